"""Hands: carry out actions, and say what came of each. They never choose.

Evictions and labels of pods that stand side by side go out together, a few at a time; everything else goes one after
the other, in the order in which it was decided.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import assert_never

from exuvia import errors, ports
from exuvia.act import evictions, freezing, marks, network, operations, providers
from exuvia.model.actions import (
    Action,
    AllowNetwork,
    CreateOperation,
    DeletePod,
    DenyNetwork,
    EvictPod,
    LabelPod,
    MarkInstance,
    Outcome,
    OutcomeKind,
    RemoveMachine,
    RequestMachine,
    RestoreInstance,
)
from exuvia.model.permissions import Permission
from exuvia.model.reasons import BlockedReason

TOGETHER = 8
PERMISSIONS: tuple[Permission, ...] = (
    *marks.PERMISSIONS,
    *evictions.PERMISSIONS,
    *freezing.PERMISSIONS,
    *network.PERMISSIONS,
    *operations.PERMISSIONS,
    *providers.PERMISSIONS,
)


class Hands:
    """Executes actions on one cluster and its providers. `Fenced` is never swallowed; every other trouble with the API
    server or a provider is an `Outcome`; cluster and providers bring their own fence. `on_eviction` is told of the HTTP
    code of every eviction (0: no answer)."""

    def __init__(
        self,
        cluster: ports.Cluster,
        providers: Mapping[str, ports.Provider],
        *,
        dry_run: bool = False,
    ) -> None:
        self._cluster = cluster
        self._providers = providers
        self._dry_run = dry_run
        self.on_eviction: Callable[[int], None] | None = None

    async def execute_all(self, actions: Iterable[Action]) -> tuple[Outcome, ...]:
        """One outcome an action, in their order. Raises `Fenced` once no started write is under way any more."""
        outcomes: list[Outcome] = []
        for group in _groups(actions):
            outcomes += await self._together(group)
        return tuple(outcomes)

    async def execute(self, action: Action) -> Outcome:
        """Do it. Raises `errors.Fenced`, and nothing else that is expected to happen."""
        cluster, dry_run = self._cluster, self._dry_run
        match action:
            case MarkInstance():
                return await marks.mark_instance(cluster, action, dry_run=dry_run)
            case RestoreInstance():
                return await marks.restore_instance(cluster, action, dry_run=dry_run)
            case EvictPod():
                return await self._evict(action)
            case DeletePod():
                return await evictions.delete_pod(cluster, action, dry_run=dry_run)
            case LabelPod():
                return await freezing.label_pod(cluster, action, dry_run=dry_run)
            case DenyNetwork():
                return await network.deny_network(cluster, action, dry_run=dry_run)
            case AllowNetwork():
                return await network.allow_network(cluster, action, dry_run=dry_run)
            case RequestMachine():
                return await self._request(action)
            case RemoveMachine():
                return await self._remove(action)
            case CreateOperation():
                return await operations.create_operation(cluster, action, dry_run=dry_run)
            case _:
                assert_never(action)

    async def _together(self, group: list[Action]) -> list[Outcome]:
        """All of a group, a few at a time. Trouble in one lets those under way end; the others do not start."""
        if len(group) == 1:
            return [await self.execute(group[0])]
        gate, stopped = asyncio.Semaphore(TOGETHER), asyncio.Event()

        async def one(action: Action) -> Outcome:
            async with gate:
                if stopped.is_set():
                    raise errors.Fenced("not begun: a write beside it was fenced")
                try:
                    return await self.execute(action)
                except BaseException:
                    stopped.set()
                    raise

        results = await asyncio.gather(*(one(action) for action in group), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result for result in results if isinstance(result, Outcome)]

    async def _evict(self, action: EvictPod) -> Outcome:
        outcome = await evictions.evict_pod(self._cluster, action, dry_run=self._dry_run)
        if self.on_eviction is not None:
            self.on_eviction(outcome.code)
        return outcome

    async def _request(self, action: RequestMachine) -> Outcome:
        provider = self._providers.get(action.provider)
        if provider is None:
            return _no_provider(action, action.provider)
        if self._dry_run:
            return Outcome(action=action, kind=OutcomeKind.DONE, message=f"dry run: {action.provider} was not asked")
        try:
            machine = await provider.request(pool=action.pool, key=action.key, like=action.like)
        except errors.ProviderError as trouble:
            return _failed(action, trouble)
        detail = {
            "requestID": machine.request_id,
            "providerID": machine.provider_id,
            "nodeName": machine.node_name,
            "state": str(machine.state),
        }
        failed = machine.state is ports.MachineState.FAILED
        kind = OutcomeKind.FAILED if failed else OutcomeKind.DONE
        return Outcome(action=action, kind=kind, message=machine.message, detail=detail)

    async def _remove(self, action: RemoveMachine) -> Outcome:
        provider = self._providers.get(action.provider)
        if provider is None:
            return _no_provider(action, action.provider)
        if self._dry_run:
            return Outcome(action=action, kind=OutcomeKind.DONE, message=f"dry run: {action.provider} was not asked")
        try:
            await provider.remove(pool=action.pool, instance=action.instance)
        except errors.ProviderError as trouble:
            return _failed(action, trouble)
        return Outcome(action=action, kind=OutcomeKind.DONE)


def _groups(actions: Iterable[Action]) -> Iterator[list[Action]]:
    """Neighbours of one kind that may go out together; everything else alone."""
    group: list[Action] = []
    for action in actions:
        if group and isinstance(action, EvictPod | LabelPod) and type(action) is type(group[0]):
            group.append(action)
            continue
        if group:
            yield group
        group = [action]
    if group:
        yield group


def _no_provider(action: RequestMachine | RemoveMachine, name: str) -> Outcome:
    message = f"provider {name!r} is not served here; see `spec.rotation.provider` and the options of `exuvia run`"
    return Outcome(action=action, kind=OutcomeKind.REFUSED, reason=BlockedReason.PROVIDER_UNKNOWN, message=message)


def _failed(action: RequestMachine | RemoveMachine, trouble: errors.ProviderError) -> Outcome:
    kind = OutcomeKind.FAILED if trouble.definite else OutcomeKind.UNKNOWN
    return Outcome(action=action, kind=kind, message=str(trouble)[:1000])
