"""Which operations must look again when something changed: a machine, its pods, a budget, an operation, a brake."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from exuvia.app.advance import Advancer
from exuvia.app.operations import Operation, under_way
from exuvia.app.services import Services
from exuvia.decide.brakes.times import LARGEST_SKEW
from exuvia.model.instances import Instance
from exuvia.model.specs.fleet_guard import FleetGuard
from exuvia.model.specs.operation import ReplacementStatus
from exuvia.model.specs.rotation import Rotation, RotationPhase
from exuvia.observe.ours import Unparsable

_AWAITING = (RotationPhase.REPLACING, RotationPhase.TERMINATING)
_LEAVING = 1.0
"""Seconds: pods of a drained machine leave one after the other, and only the last one changes what is done next."""


class Waking:
    """Turns changes of the view into looks at operations."""

    def __init__(self, services: Services, advancer: Advancer) -> None:
        self._services = services
        self._advancer = advancer
        self._operated: set[str] = set()
        self._guards: frozenset[tuple[str, str]] = frozenset()

    def everything(self) -> None:
        """Every open operation: a brake or a policy changed."""
        for one in self._open():
            self._advancer.wake(one.KIND, one.uid)

    def of_machines(self, changed: Iterable[Instance]) -> None:
        """Operations of these machines, as they are or were last seen, and those that one of them may replace."""
        by_uid = {one.uid: one for one in changed}
        by_pool: dict[str, list[Instance]] = {}
        for machine in by_uid.values():
            by_pool.setdefault(machine.pool, []).append(machine)
        for one in self._open() if by_uid else ():
            settings = one.status.settings
            pool = by_pool.get(settings.pool, ()) if settings is not None and _awaits(one) else ()
            if one.spec.instance.uid in by_uid or any(_may_replace(machine, one) for machine in pool):
                self._advancer.wake_soon(one.KIND, one.uid)

    def of_changes(self) -> None:
        """Operations that changed themselves, or whose pods or budgets did."""
        view = self._services.view
        for store in (view.rotations.store, view.quarantines.store):
            for uid in store.take_dirty():
                found = store.get(uid)
                if isinstance(found, Operation):
                    self._operated.add(found.spec.instance.uid)
                    if found.open or found.metadata.finalizers:
                        self._advancer.changed(found.KIND, uid, found.metadata.resource_version)
            for last in store.take_gone().values():
                if isinstance(last, Operation):
                    self._operated.add(last.spec.instance.uid)
        view.guards.store.take_dirty()
        view.guards.store.take_gone()
        brakes = frozenset(map(_written, view.guards.store))
        if brakes != self._guards:
            self._guards = brakes
            self.everything()
        self._pods()
        if bool(view.budgets.store.take_dirty()) | bool(view.budgets.store.take_gone()):
            self._drains()

    def take_operated(self) -> set[str]:
        """UIDs of machines whose operations changed since the last call."""
        taken, self._operated = self._operated, set()
        return taken

    def _pods(self) -> None:
        store, chronicle = self._services.view.pods.store, self._services.chronicle
        touched = set()
        for uid, last in store.take_gone().items():
            chronicle.unplaced(uid)
            touched.add(last.node)
        for uid in store.take_dirty():
            pod = store.get(uid)
            if pod is None or not pod.node:
                continue
            touched.add(pod.node)
            if pod.finished:
                chronicle.unplaced(uid)
            elif (node := self._services.view.nodes.store.named(pod.node)) is not None:
                chronicle.placed(pod, node.uid)
        for one in self._open() if touched else ():
            if one.spec.instance.name in touched:
                self._of_pods(one)

    def _of_pods(self, one: Operation) -> None:
        if _drains(one):
            self._advancer.wake_soon(one.KIND, one.uid, _LEAVING)
        else:
            self._advancer.wake_soon(one.KIND, one.uid)

    def _drains(self) -> None:
        for one in self._open():
            if _drains(one):
                self._advancer.wake_soon(one.KIND, one.uid)

    def _open(self) -> list[Operation]:
        return under_way(self._services.view)


def _drains(one: Operation) -> bool:
    return isinstance(one, Rotation) and one.status.phase is RotationPhase.DRAINING


def _awaits(one: Operation) -> bool:
    """Whether a machine of the pool may be the one that it waits for."""
    if isinstance(one, Rotation):
        return one.status.phase in _AWAITING
    return one.status.capacity is not None and one.status.capacity.state in ("Requested", "Missing")


def _may_replace(machine: Instance, one: Operation) -> bool:
    """Whether it is, or may turn out to be, the machine that the operation waits for: the one that it names, else one
    that was born since it began. What this misses is found by the next look, which comes within seconds."""
    wanted = _wanted(one)
    if wanted is not None and wanted.uid:
        return machine.uid == wanted.uid
    if wanted is not None and wanted.provider_id:
        return machine.provider_id == wanted.provider_id
    return machine.born >= _since(one, wanted) - LARGEST_SKEW


def _wanted(one: Operation) -> ReplacementStatus | None:
    if isinstance(one, Rotation):
        return one.status.replacement
    return one.status.capacity.replacement if one.status.capacity else None


def _since(one: Operation, wanted: ReplacementStatus | None) -> datetime:
    """What was asked for by another operation may have been asked for before this one began."""
    begun = one.status.started_at or one.metadata.creation_timestamp
    asked = wanted.requested_at if wanted else None
    return min(begun, asked) if asked else begun


def _written(guard: FleetGuard | Unparsable) -> tuple[str, str]:
    """What a person wrote: our own status of it wakes nobody."""
    if isinstance(guard, Unparsable):
        return guard.uid, guard.problem
    return guard.uid, str(guard.metadata.generation)
