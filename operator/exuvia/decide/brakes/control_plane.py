"""Control plane: its machines go one at a time, with the others healthy, and never below three. Unknown means no."""

from __future__ import annotations

from exuvia.decide.brakes.picture import Candidate, Picture
from exuvia.decide.census import Record, cordoned_by_us
from exuvia.model.blocking import Blocked
from exuvia.model.reasons import BlockedReason

LEAST = 3


def one_at_a_time(candidate: Candidate, picture: Picture) -> Blocked | None:
    """A start on a machine of the control plane: no other one is in an operation past Pending."""
    if not candidate.instance.control_plane:
        return None
    return _others_idle(candidate.uid, picture)


def quorum_kept(candidate: Candidate, picture: Picture) -> Blocked | None:
    """A Rotation of a machine of the control plane: the others idle and healthy, three or more in all."""
    return rotation_quorum(candidate.uid, picture) if candidate.instance.control_plane else None


def rotation_quorum(uid: str, picture: Picture) -> Blocked | None:
    """The same for the removal of a machine that is a member of the control plane."""
    return _others_idle(uid, picture) or _enough(picture) or _others_healthy(uid, picture)


def _others_idle(uid: str, picture: Picture) -> Blocked | None:
    busy = [one for one in sorted(_members(picture)) if one != uid and one in picture.operated]
    busy += sorted(picture.gone_control_plane - {uid})
    if not busy:
        return None
    named = _name(busy[0], picture)
    message = f"an operation works on {named}, also of the control plane; they go one at a time"
    return Blocked(reason=BlockedReason.CONTROL_PLANE, message=message)


def _enough(picture: Picture) -> Blocked | None:
    count = len(_members(picture))
    if count >= LEAST:
        return None
    message = f"the control plane has {count} machines; below {LEAST} none of them is rotated"
    return Blocked(reason=BlockedReason.CONTROL_PLANE, message=message)


def _others_healthy(uid: str, picture: Picture) -> Blocked | None:
    for other in sorted(_members(picture) - {uid}):
        record = picture.tally.census.records[other]
        if not _healthy(record):
            message = f"{record.instance.name}, also of the control plane, is not healthy; first it must be"
            return Blocked(reason=BlockedReason.CONTROL_PLANE, message=message)
    return None


def _healthy(record: Record) -> bool:
    instance = record.instance
    return instance.ready and not instance.deleting and not cordoned_by_us(instance)


def _members(picture: Picture) -> set[str]:
    return picture.tally.census.control_plane


def _name(uid: str, picture: Picture) -> str:
    record = picture.tally.census.records.get(uid)
    return record.instance.name if record else f"a machine that is gone (UID {uid})"
