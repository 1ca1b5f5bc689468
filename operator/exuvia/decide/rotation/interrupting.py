"""What ends a Rotation from outside: a duplicate, a quarantine, a person, a verdict that is no longer so, a machine
that is gone. None of it counts any more once Terminating is won, but for the machine, which may go at any time.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from exuvia.decide import absence, drain
from exuvia.decide.rotation import asking, claims, undoing
from exuvia.decide.rotation.patching import Patch, finished
from exuvia.model.reasons import BlockedReason, EndReason
from exuvia.model.rotation_views import RotationView
from exuvia.model.specs.rotation import Rotation, RotationPhase
from exuvia.model.steps import Look, Step

DELETED_POLICY_WAIT = timedelta(seconds=60)


def _open_to_it(view: RotationView, before: RotationPhase = RotationPhase.TERMINATING) -> bool:
    return view.rotation.status.phase.rank < before.rank


def superseded(view: RotationView, now: datetime) -> Step | None:
    """A Quarantine took the machine over: cordon, `before` and replacement pass to it, nothing is restored. A removal
    that was asked for finishes; one that was won and may not have been asked for is not: evidence comes first."""
    quarantine, status = asking.quarantined(view), view.rotation.status
    if quarantine is None or status.phase is RotationPhase.PENDING:
        return None
    if not _open_to_it(view) and (view.instance is None or finished(view.rotation, asking.REMOVE)):
        return None
    if status.reason and (status.before is None or status.restored):
        return None  # it ends already, and nothing of it stands on the machine
    message = f"{view.rotation.spec.instance.name} was taken over by Quarantine {quarantine.name}"
    return undoing.end(view, now, EndReason.SUPERSEDED_BY_QUARANTINE, message)


def duplicate(view: RotationView, now: datetime) -> Step | None:
    """Of two open Rotations of one machine the older stays; one that only waits gives way to one that carries out a
    release, which is what it waits for: it could never start, and would keep the release from being carried out."""
    rotation = view.rotation
    uid = rotation.spec.instance.uid
    same = (one for one in claims.others(view) if one.open and one.spec.instance.uid == uid)
    first = min((one for one in same if _comes_before(view, one)), key=claims.age, default=None)
    if first is None or not _open_to_it(view):
        return None
    how = "is older" if claims.age(first) < claims.age(rotation) else "carries out the release of its Quarantine"
    return undoing.undo(view, now, EndReason.DUPLICATE, f"Rotation {first.name} of the same machine {how}")


def _comes_before(view: RotationView, other: Rotation) -> bool:
    mine = asking.carried_out(view, view.rotation) is not None
    theirs = asking.carried_out(view, other) is not None
    if mine != theirs and (view.rotation if theirs else other).status.phase is RotationPhase.PENDING:
        return theirs
    return claims.age(other) < claims.age(view.rotation)


def called_off(view: RotationView, now: datetime) -> Step | None:
    """By a person: `spec.abort`, or the deletion of the Rotation, which our finalizer holds until it is undone."""
    rotation = view.rotation
    if not _open_to_it(view) or not (rotation.spec.abort or rotation.deleting):
        return None
    how = "by spec.abort" if rotation.spec.abort else "because its deletion was asked for"
    return undoing.undo(view, now, EndReason.CALLED_OFF, f"{rotation.spec.instance.name}: called off {how}")


def vanished(view: RotationView, now: datetime) -> Step | None:
    """The machine is gone by another's hand: on to Terminating, or, while it waited, the end."""
    rotation = view.rotation
    if not asking.gone(view) or not _open_to_it(view):
        return None
    lacking = asking.look(view, Look.NODE)
    if lacking is not None:
        return lacking
    name = rotation.spec.instance.name
    if rotation.status.phase is RotationPhase.PENDING:
        message = absence.untouched(rotation.spec.instance, view.namesake, "rotate")
        return undoing.undo(view, now, EndReason.INSTANCE_GONE, message)
    patch = Patch(rotation, now).phase(RotationPhase.TERMINATING).blocked(None)
    patch.set(message=f"{name} is gone by another's hand")
    return Step(name=str(RotationPhase.TERMINATING), status=patch.body)


def unwanted(view: RotationView, now: datetime) -> Step | None:
    """No enforcing policy wants it any more. A policy that was deleted may come back within a minute."""
    rotation = view.rotation
    since = rotation.status.unwanted_since
    if rotation.spec.policy is None or asking.released(view) or not _open_to_it(view, RotationPhase.DRAINED):
        return None
    if _unsure(view):
        return None
    if view.wanted:
        return Step(status=Patch(rotation, now).set(unwantedSince=None).body) if since is not None else None
    if view.policy_deleted:
        if since is None:
            return Step(status=Patch(rotation, now).set(unwantedSince=drain.whole_second(now)).body)
        if now < since + DELETED_POLICY_WAIT:
            return Step(recheck_after=since + DELETED_POLICY_WAIT - now)
    name, policy = rotation.spec.instance.name, rotation.spec.policy.name
    why = f"policy {policy} was deleted" if view.policy_deleted else f"policy {policy} does not ask for it any more"
    return undoing.undo(view, now, EndReason.NO_LONGER_WANTED, f"{name}: {why}, and no other one does")


def _unsure(view: RotationView) -> bool:
    """What cannot be seen says nothing about what is wanted."""
    unsynced = view.hold is not None and view.hold.reason is BlockedReason.UNSYNCED
    return unsynced or not view.instance_known
