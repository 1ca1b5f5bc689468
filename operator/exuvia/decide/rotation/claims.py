"""Who may take which machine as its replacement: of operations that name the same one the oldest keeps it.

A machine that an earlier operation left over is taken before one is asked for; where the pool's owner refills it by
himself, a machine born after the removal is claimed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from exuvia.decide.rotation import asking
from exuvia.model.instances import Instance
from exuvia.model.rotation_views import RotationView
from exuvia.model.specs.operation import ReplacementStatus
from exuvia.model.specs.quarantine import QuarantinePhase, ReleaseVerdict
from exuvia.model.specs.rotation import Rotation, RotationPhase


def others(view: RotationView) -> tuple[Rotation, ...]:
    """All Rotations but this one."""
    return tuple(one for one in view.rotations if one.uid != view.rotation.uid)


def age(rotation: Rotation) -> tuple[datetime, str]:
    """Older is less."""
    return rotation.metadata.creation_timestamp, rotation.name


def contested(view: RotationView) -> Rotation | None:
    """The older operation that names the same replacement; this one must look for another."""
    mine = view.rotation.status.replacement
    if mine is None or not mine.uid:
        return None
    holders = (one for one in others(view) if _names(one, mine.uid) and _keeps(one, view.rotation))
    return min(holders, key=age, default=None)


def _keeps(other: Rotation, mine: Rotation) -> bool:
    """Whether it has the better right: it is open and older, or it ended with that machine in place."""
    if other.open:
        return age(other) < age(mine)
    return other.status.phase is RotationPhase.SUCCEEDED and not _surplus(other)


def _names(rotation: Rotation, uid: str) -> bool:
    replacement = rotation.status.replacement
    return replacement is not None and replacement.uid == uid


def _surplus(rotation: Rotation) -> bool:
    return rotation.status.replacement is not None and bool(rotation.status.replacement.surplus)


def _taken(view: RotationView) -> set[str]:
    """UIDs that other operations have as their replacement, or work on."""
    rotations = [one for one in others(view) if one.open or (one.status.phase is RotationPhase.SUCCEEDED)]
    named = {one.status.replacement.uid for one in rotations if one.status.replacement and not _surplus(one)}
    worked = {one.spec.instance.uid for one in others(view) if one.open}
    worked |= {one.spec.instance.uid for one in view.quarantines if one.open}
    held = {
        one.status.capacity.replacement.uid
        for one in view.quarantines
        if one.open and one.status.capacity and one.status.capacity.replacement
    }
    return named | worked | held


def _fit(view: RotationView, some: Iterable[Instance]) -> Iterator[Instance]:
    """Those of them that are of the pool, that serve and that nobody else has, oldest first."""
    own, pool = view.rotation.spec.instance.uid, asking.frozen(view).pool
    usable = [one for one in some if one.pool == pool and one.uid != own]
    usable = [one for one in usable if not one.deleting and not one.unschedulable]
    taken = _taken(view) if usable else set()
    return iter(sorted((one for one in usable if one.uid not in taken), key=_birth))


def _birth(one: Instance) -> tuple[datetime, str, str]:
    return one.born, one.name, one.uid


def _newcomers(view: RotationView, since: datetime) -> list[Instance]:
    """Machines born then or later, to the second. A pool may hold thousands, so these are picked before all else."""
    born = since.replace(microsecond=0)
    some = view.candidates if view.newcomers is None else view.newcomers(born)
    return [one for one in some if one.born >= born]


def surplus(view: RotationView) -> ReplacementStatus | None:
    """A machine of the pool that an ended operation left over and that is good now."""
    left = tuple(_left_over(view))
    for one in _fit(view, view.candidates if left else ()):
        for former in left:
            same = former.uid == one.uid or (not former.uid and former.provider_id and _same_id(former, one))
            if same and one.ready and not view.failing.get(one.uid):
                return ReplacementStatus(
                    name=one.name, uid=one.uid, request_id=former.request_id, provider_id=one.provider_id
                )
    return None


def _same_id(former: ReplacementStatus, one: Instance) -> bool:
    return former.provider_id == one.provider_id


def _left_over(view: RotationView) -> Iterable[ReplacementStatus]:
    for rotation in others(view):
        if not rotation.open and rotation.status.replacement is not None and _surplus(rotation):
            yield rotation.status.replacement
    for quarantine in view.quarantines:
        accepted, capacity = quarantine.status.release_accepted, quarantine.status.capacity
        back = accepted is not None and accepted.verdict is ReleaseVerdict.RETURN
        ended = quarantine.status.phase is QuarantinePhase.RELEASED
        if ended and back and capacity is not None and capacity.replacement is not None:
            yield capacity.replacement


def born_since(view: RotationView, since: datetime) -> Instance | None:
    """The first machine of the pool that was born after the removal, is another one, and nobody else has."""
    return next((one for one in _fit(view, _newcomers(view, since)) if _another(view, one)), None)


def _another(view: RotationView, one: Instance) -> bool:
    """Another providerID, and not the same machineID and name. A providerID that is still to come says nothing."""
    old = view.rotation.spec.instance
    if old.provider_id and (not one.provider_id or one.provider_id == old.provider_id):
        return False
    return not (one.machine_id == asking.frozen(view).machine_id and one.name == old.name)


def came_back(view: RotationView, since: datetime) -> Instance | None:
    """The same machine under a new UID: nothing was replaced."""
    old, machine_id = view.rotation.spec.instance, asking.frozen(view).machine_id
    for one in sorted(_newcomers(view, since), key=lambda each: (each.born, each.uid)):
        same_id = bool(old.provider_id) and one.provider_id == old.provider_id
        same_machine = bool(machine_id) and one.machine_id == machine_id and one.name == old.name
        if one.uid != old.uid and (same_id or same_machine):
            return one
    return None
