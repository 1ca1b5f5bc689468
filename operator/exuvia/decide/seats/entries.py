"""Changes of seats as bodies of ledger entries, and back: strings, booleans, null, integers, maps only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

from exuvia import errors
from exuvia.model.seats import (
    Claimant,
    Denied,
    Ending,
    Ghost,
    Granted,
    Kept,
    Lease,
    Left,
    Queued,
    Reported,
    ReturnCause,
    Returned,
    SeatChange,
    Waiting,
)


def body(change: SeatChange, *, pool: str, uid: str) -> dict[str, Any]:
    """What is entered of one change of a pool, of that name and UID. When it was so is the entry's `at`."""
    return {"pool": pool, "uid": uid, **_said(change)}


def read(said: Mapping[str, Any], at: int) -> SeatChange:
    """A change from what was entered, `at` in microseconds. Raises `errors.InvalidObject` for an event that is not
    known."""
    event, uid = str(said.get("event")), str(said.get("instance"))
    match event:
        case "granted":
            return Granted(at=at, lease=_lease(said), waited=int(said["waited"]), over=bool(said["over"]))
        case "returned":
            cause, owed = ReturnCause(said["cause"]), bool(said.get("owed"))
            return Returned(at=at, lease=_lease(said), cause=cause, died=said["died"], owed=owed)
        case "ending":
            return Ending(at=at, uid=uid, due=int(said["due"]), cause=ReturnCause(said["cause"]))
        case "kept":
            return Kept(at=at, uid=uid)
        case "queued":
            place = Waiting(claimant=_claimant(said), since=int(said["since"]), order=int(said["order"]))
            return Queued(at=at, place=place)
        case "denied":
            return Denied(at=at, claimant=_claimant(said))
        case "left":
            return Left(at=at, uid=uid)
        case "ghost":
            return Ghost(at=at, uid=uid)
        case "reported":
            return Reported(at=at, uid=uid, order=int(said["order"]), outcome=str(said["outcome"]))
        case _:
            remedy = "It was written by a newer exuvia; use that one."
            raise errors.InvalidObject(f"{event!r} is no event of a seat", place="event", remedy=remedy)


def _said(change: SeatChange) -> dict[str, Any]:
    match change:
        case Granted(lease=lease, waited=waited, over=over):
            return {"event": "granted", **_of_lease(lease), "waited": waited, "over": over}
        case Returned(lease=lease, cause=cause, died=died, owed=owed):
            return {"event": "returned", **_of_lease(lease), "cause": str(cause), "died": died, "owed": owed}
        case Ending(uid=uid, due=due, cause=cause):
            return {"event": "ending", "instance": uid, "due": due, "cause": str(cause)}
        case Kept(uid=uid):
            return {"event": "kept", "instance": uid}
        case Queued(place=place):
            return {"event": "queued", **_of(place.claimant), "since": place.since, "order": place.order}
        case Denied(claimant=claimant):
            return {"event": "denied", **_of(claimant)}
        case Left(uid=uid):
            return {"event": "left", "instance": uid}
        case Ghost(uid=uid):
            return {"event": "ghost", "instance": uid}
        case Reported(uid=uid, order=order, outcome=outcome):
            return {"event": "reported", "instance": uid, "order": order, "outcome": outcome}
        case _:
            assert_never(change)


def _of(claimant: Claimant) -> dict[str, Any]:
    return {"instance": claimant.uid, "persistent": claimant.persistent, "priority": claimant.priority}


def _of_lease(lease: Lease) -> dict[str, Any]:
    return {**_of(lease.holder), "since": lease.since, "order": lease.order, "heard": lease.heard, "due": lease.due}


def _claimant(said: Mapping[str, Any]) -> Claimant:
    return Claimant(uid=str(said["instance"]), persistent=bool(said["persistent"]), priority=int(said["priority"]))


def _lease(said: Mapping[str, Any]) -> Lease:
    """A lease bears a cause only once its holder is dead."""
    dead = said.get("died") is not None
    return Lease(
        holder=_claimant(said),
        since=int(said["since"]),
        order=int(said["order"]),
        heard=int(said["heard"]),
        died=said.get("died"),
        due=said["due"],
        cause=ReturnCause(said["cause"]) if dead else ReturnCause.DEATH,
    )
