"""Gathering what one step is decided from: the view as it is, and what must be read from its source right now.

A read that fails is named in `failed`; it never passes for an empty answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from exuvia import errors, ports
from exuvia.act import network
from exuvia.app.controllers import Controllers
from exuvia.app.fleet import Fleet
from exuvia.app.operations import Operation
from exuvia.app.services import Services
from exuvia.app.sharing import LazyMapping, LazySequence
from exuvia.kube.sharing import SharedRead
from exuvia.model import resources
from exuvia.model.blocking import Blocked
from exuvia.model.instances import Instance
from exuvia.model.quarantine_views import CapacityFacts, QuarantineView
from exuvia.model.reasons import BlockedReason
from exuvia.model.rotation_views import ProviderFacts, RotationView
from exuvia.model.specs.operation import FrozenSettings, ReplacementStatus
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation, RotationPhase
from exuvia.model.steps import Look
from exuvia.observe import fresh
from exuvia.observe.ours import from_body
from exuvia.observe.store import Store

Reader = Callable[[], Awaitable[dict[str, Any]]]
V = TypeVar("V", RotationView, QuarantineView)


class Gatherer:
    """Builds the views of Rotations and Quarantines."""

    def __init__(self, services: Services, fleet: Fleet) -> None:
        self._services = services
        self._fleet = fleet
        self._controllers = Controllers(services)
        self._machines: dict[str, ports.Machine] = {}
        self._networks = network.PolicyLists(services.client)
        self._others: SharedRead[dict[str, Any]] = SharedRead(self._read_others)
        self.collecting: set[str] = set()

    def forget(self, uid: str) -> None:
        """The operation ended."""
        self._machines.pop(uid, None)

    async def rotation(self, rotation: Rotation, looks: frozenset[Look]) -> RotationView:
        """The picture of one Rotation, with these things read anew."""
        view = self._rotation(rotation)
        return await self._read(view, {look: self._rotation_reader(view, look) for look in sorted(looks)})

    async def quarantine(self, quarantine: Quarantine, looks: frozenset[Look]) -> QuarantineView:
        """The picture of one Quarantine, with these things read anew."""
        view = self._quarantine(quarantine)
        return await self._read(view, {look: self._quarantine_reader(view, look) for look in sorted(looks)})

    async def _read(self, view: V, readers: Mapping[Look, Reader]) -> V:
        """All of them side by side; one that fails is named and keeps nothing from the others."""
        answers = await asyncio.gather(*(self._one(reader) for reader in readers.values()))
        for look, found in zip(readers, answers, strict=True):
            if isinstance(found, errors.ExuviaError):
                view = replace(view, failed={**view.failed, look: found.message})
            else:
                view = replace(view, fresh=view.fresh | {look}, **found)
        return view

    async def _one(self, reader: Reader) -> dict[str, Any] | errors.ExuviaError:
        try:
            return await reader()
        except errors.ExuviaError as trouble:
            return trouble

    def _rotation(self, rotation: Rotation) -> RotationView:
        services, uid = self._services, rotation.spec.instance.uid
        now = services.clock.now()
        moment = self._fleet.moment()
        holds = services.planner.holds_for(rotation.uid, moment, now)
        settings = rotation.status.settings or self._fleet.settings_for(uid)
        provider = self._provider(rotation.status.settings, uid)
        candidates = LazySequence(lambda: tuple(one for one in self._fleet.in_pool(settings.pool) if one.uid != uid))
        return RotationView(
            rotation=rotation,
            instance=self._fleet.instance(uid),
            instance_known=services.view.nodes.synced,
            namesake=self._fleet.namesake(rotation.spec.instance.name, uid),
            pods=services.view.pods_on(rotation.spec.instance.name),
            budgets=services.view.all_budgets(),
            provider=provider,
            capacity=self._capacity(rotation, rotation.status.replacement, provider),
            candidates=candidates,
            newcomers=lambda since: [one for one in self._fleet.born_in(settings.pool, since) if one.uid != uid],
            failing=LazyMapping(lambda: [one.uid for one in candidates], services.judgements.failing),
            rotations=tuple(one for one in moment.rotations if one.uid != rotation.uid),
            quarantines=moment.quarantines,
            settings=settings,
            wanted=self._wanted(rotation),
            policy_deleted=rotation.spec.policy is not None and not services.policies.exists(rotation.spec.policy.uid),
            hold=self._doubt(rotation) or holds.hold,  # a pause must not hide that nothing is known
            eviction_hold=holds.eviction_hold,
            removal_hold=holds.removal_hold,
            own=services.own,
            standby=self._standby(rotation),
            ledger_down=services.ledger_down(),
        )

    def _quarantine(self, quarantine: Quarantine) -> QuarantineView:
        services, uid = self._services, quarantine.spec.instance.uid
        moment = self._fleet.moment()
        holds = services.planner.holds_for(quarantine.uid, moment, services.clock.now())
        status = quarantine.status
        instance = self._fleet.instance(uid)
        return QuarantineView(
            quarantine=quarantine,
            instance=instance,
            instance_known=services.view.nodes.synced,
            pods=services.view.pods_on(quarantine.spec.instance.name),
            budgets=services.view.all_budgets(),
            collecting=quarantine.uid in self.collecting,
            capacity=self._capacity(
                quarantine,
                status.capacity.replacement if status.capacity else None,
                self._provider(status.settings, uid),
            ),
            rotations=tuple(one for one in moment.rotations if one.spec.instance.uid == uid),
            quarantines=tuple(one for one in moment.quarantines if one.uid != quarantine.uid),
            instances=self._namesakes(quarantine, instance),
            settings=status.settings or self._fleet.settings_for(uid),
            hold=holds.hold,
            eviction_hold=holds.eviction_hold,
            own=services.own,
            policy_enforces=self._enforces(quarantine),
            controllers=self._controllers.of(instance),
            ledger_down=services.ledger_down(),
        )

    def _provider(self, frozen: FrozenSettings | None, uid: str) -> ProviderFacts:
        if frozen is None:
            return self._fleet.provider_for(uid)
        return self._fleet.provider_named(frozen.provider)

    def _capacity(
        self, operation: Operation, replacement: ReplacementStatus | None, provider: ProviderFacts
    ) -> CapacityFacts:
        machine = self._machines.get(operation.uid)
        node = self._node_of(replacement, machine)
        unsupported = provider.problem
        if not unsupported and not provider.brings_replacement:
            unsupported = f"provider {provider.name} cannot be asked for a machine; the pool's owner refills it"
        return CapacityFacts(
            unsupported=unsupported,
            machine_state=str(machine.state) if machine else "",
            message=machine.message if machine else "",
            provider_id=(machine.provider_id if machine else "") or (replacement.provider_id if replacement else ""),
            request_id=(machine.request_id if machine else "") or (replacement.request_id if replacement else ""),
            node=node,
            failing=self._services.judgements.failing(node.uid) if node else "",
        )

    def _node_of(self, replacement: ReplacementStatus | None, machine: ports.Machine | None) -> Instance | None:
        if replacement is not None and replacement.uid:
            return self._fleet.instance(replacement.uid)
        provider_id = (machine.provider_id if machine else "") or (replacement.provider_id if replacement else "")
        return self._fleet.by_provider_id(provider_id)

    def _wanted(self, rotation: Rotation) -> bool:
        """Whether an enforcing policy wants something done to it; a manual Rotation and a release always are."""
        if rotation.spec.policy is None or rotation.spec.released_from:
            return True
        return self._fleet.wish(rotation.spec.instance.uid, enforced=True) is not None

    def _standby(self, rotation: Rotation) -> bool:
        """Whether another replica runs on another machine; asked only where exuvia's own machine is to go."""
        own, view = self._services.own, self._services.view
        if not own.node_name or rotation.spec.instance.name != own.node_name:
            return False
        others = (one for one in view.pods.store if own.is_own(one) and one.uid != own.pod_uid)
        return any(one.node != own.node_name and one.phase == "Running" and not one.deleting_since for one in others)

    def _doubt(self, rotation: Rotation) -> Blocked | None:
        """Why it is not known whether it is wanted: then nothing is done for it, and it is not called off either.
        From Drained on it does not matter any more."""
        spec, machine = rotation.spec, self._fleet.instance(rotation.spec.instance.uid)
        if spec.policy is None or spec.released_from or machine is None:
            return None
        if rotation.status.phase.rank >= RotationPhase.DRAINED.rank or self._wanted(rotation):
            return None
        doubt = self._fleet.doubt(machine, spec.policy.uid)
        return Blocked(reason=BlockedReason.UNSYNCED, message=f"{machine.name}: {doubt}") if doubt else None

    def _enforces(self, quarantine: Quarantine) -> bool:
        policy = quarantine.spec.policy
        if policy is None:
            return False
        facts = self._services.policies.facts.get(policy.name)
        if facts is None or facts.uid != policy.uid or not facts.enforces:
            return False
        instance = self._fleet.instance(quarantine.spec.instance.uid)
        subject = self._fleet.subject(quarantine.spec.instance.uid, self._services.clock.now()) if instance else None
        return subject is not None and policy.name in subject.selecting

    def _namesakes(self, quarantine: Quarantine, instance: Instance | None) -> tuple[Instance, ...]:
        """Other living machines with the same name, providerID or machineID."""
        spec, frozen = quarantine.spec.instance, quarantine.status.settings
        machine_id = (frozen.machine_id if frozen else "") or (instance.machine_id if instance else "")
        provider_id = spec.provider_id or (instance.provider_id if instance else "")
        found = self._fleet.alike(name=spec.name, provider_id=provider_id, machine_id=machine_id)
        return tuple(one for one in found if one.uid != spec.uid)

    def _rotation_reader(self, view: RotationView, look: Look) -> Reader:
        rotation = view.rotation
        match look:
            case Look.PODS:
                return lambda: self._pods(rotation, with_daemon_sets=True)
            case Look.VOLUMES:
                return lambda: self._volumes(rotation)
            case Look.MACHINE:
                return lambda: self._replacement(rotation, view.provider)
            case Look.OTHERS:
                return self._others.ask
            case Look.NODE | Look.NETWORK_POLICIES | Look.EVIDENCE:
                return lambda: self._node(rotation)

    def _quarantine_reader(self, view: QuarantineView, look: Look) -> Reader:
        quarantine = view.quarantine
        match look:
            case Look.PODS | Look.VOLUMES:
                return lambda: self._pods(quarantine, with_daemon_sets=False)
            case Look.MACHINE:
                capacity = quarantine.status.capacity
                provider = self._provider(quarantine.status.settings, quarantine.spec.instance.uid)
                return lambda: self._machine(quarantine, provider, capacity.replacement if capacity else None)
            case Look.OTHERS:
                return self._others_of(quarantine)
            case Look.NETWORK_POLICIES:
                return lambda: self._policies(view)
            case Look.EVIDENCE:
                return lambda: self._evidence(quarantine)
            case Look.NODE:
                return lambda: self._node(quarantine)

    async def _node(self, operation: Operation) -> dict[str, Any]:
        spec = operation.spec.instance
        found = await fresh.read_instance(self._services.client, spec.name, spec.uid)
        return {"instance": found, "instance_known": True}

    async def _pods(self, operation: Operation, *, with_daemon_sets: bool) -> dict[str, Any]:
        pods = await fresh.read_pods(self._services.client, operation.spec.instance.name)
        if not with_daemon_sets:
            return {"pods": pods}
        return {"pods": pods, "daemon_sets": await fresh.daemon_sets_exist(self._services.client, pods)}

    async def _volumes(self, operation: Operation) -> dict[str, Any]:
        """Whose a volume is matters only where pods that stay have some: when it is asked the others have left."""
        services, name = self._services, operation.spec.instance.name
        with_claims = any(pod.claims and not pod.finished for pod in services.view.pods_on(name))
        return {"volumes": await fresh.read_volumes(services.client, name, with_claims=with_claims)}

    async def _machine(
        self, operation: Operation, facts: ProviderFacts, replacement: ReplacementStatus | None
    ) -> dict[str, Any]:
        provider = self._services.providers.get(facts.name)
        if provider is None or replacement is None or not replacement.request_id:
            return {"capacity": self._capacity(operation, replacement, facts)}
        settings = operation.status.settings or FrozenSettings()
        self._machines[operation.uid] = await provider.find(pool=settings.pool, key=replacement.request_id)
        return {"capacity": self._capacity(operation, replacement, facts)}

    async def _replacement(self, rotation: Rotation, facts: ProviderFacts) -> dict[str, Any]:
        """The provider's answer; and, once it ends, what runs on the machine that came: what is given back is empty."""
        found = await self._machine(rotation, facts, rotation.status.replacement)
        node = found["capacity"].node if rotation.status.reason else None
        pods = await fresh.read_pods(self._services.client, node.name) if node is not None else None
        return {**found, "replacement_pods": pods}

    async def _read_others(self) -> dict[str, Any]:
        view = self._services.view
        rotations, quarantines = await asyncio.gather(
            self._all(resources.ROTATIONS, view.rotations.store, Rotation),
            self._all(resources.QUARANTINES, view.quarantines.store, Quarantine),
        )
        return {"rotations": rotations, "quarantines": quarantines}

    def _others_of(self, quarantine: Quarantine) -> Reader:
        async def read() -> dict[str, Any]:
            found = await self._others.ask()
            uid = quarantine.spec.instance.uid
            return {
                "rotations": tuple(one for one in found["rotations"] if one.spec.instance.uid == uid),
                "quarantines": tuple(one for one in found["quarantines"] if one.uid != quarantine.uid),
            }

        return read

    async def _all(self, resource: resources.Resource, store: Store[Any], kind: Any) -> tuple[Any, ...]:
        """What is served now. What the view holds at that very version is not parsed once more."""
        found: list[Any] = []
        async for page in self._services.client.pages(resource):
            found += [one for body in page if isinstance(one := _parsed(store, kind, body), kind)]
        return tuple(found)

    async def _policies(self, view: QuarantineView) -> dict[str, Any]:
        namespaces = {pod.namespace for pod in view.pods or ()} | set(view.quarantine.status.namespaces)
        return {"network_policies": await self._networks.read(namespaces)}

    async def _evidence(self, quarantine: Quarantine) -> dict[str, Any]:
        digest = quarantine.status.evidence.digest if quarantine.status.evidence else ""
        found = await self._services.custodian.on_disk(quarantine.name, quarantine.uid, digest)
        return {"evidence": found}


def _parsed(store: Store[Any], kind: Any, body: ports.Body) -> Any:
    known = store.get(body["metadata"]["uid"])
    same = isinstance(known, kind) and known.metadata.resource_version == body["metadata"]["resourceVersion"]
    return known if same else from_body(kind, body)
