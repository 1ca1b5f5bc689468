"""Which operations must look again when something changed: a machine, its pods, a budget, an operation, a brake."""

from __future__ import annotations

from exuvia.app.advance import Advancer
from exuvia.app.operations import Operation, under_way
from exuvia.app.services import Services
from exuvia.model.specs.fleet_guard import FleetGuard
from exuvia.model.specs.rotation import Rotation, RotationPhase
from exuvia.observe.ours import Unparsable

_AWAITING = (RotationPhase.REPLACING, RotationPhase.TERMINATING)


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

    def of_machine(self, uid: str, pool: str) -> None:
        """Operations of this machine, and those that wait for a machine of its pool."""
        for one in self._open():
            settings = one.status.settings
            awaited = settings is not None and settings.pool == pool
            if one.spec.instance.uid == uid or (awaited and _awaits(one)):
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
                        self._advancer.wake(found.KIND, uid)
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
        for one in self._open():
            if one.spec.instance.name in touched:
                self._advancer.wake_soon(one.KIND, one.uid)

    def _drains(self) -> None:
        for one in self._open():
            if isinstance(one, Rotation) and one.status.phase is RotationPhase.DRAINING:
                self._advancer.wake_soon(one.KIND, one.uid)

    def _open(self) -> list[Operation]:
        return under_way(self._services.view)


def _awaits(one: Operation) -> bool:
    """Whether a machine of the pool may be the one that it waits for."""
    if isinstance(one, Rotation):
        return one.status.phase in _AWAITING
    return one.status.capacity is None or one.status.capacity.state in ("Requested", "Missing")


def _written(guard: FleetGuard | Unparsable) -> tuple[str, str]:
    """What a person wrote: our own status of it wakes nobody."""
    if isinstance(guard, Unparsable):
        return guard.uid, guard.problem
    return guard.uid, str(guard.metadata.generation)
