"""How each living machine stands with a licence pool, from the state of its seats: for rules that ask."""

from __future__ import annotations

from collections.abc import Iterable

from exuvia.model.learnt import SeatSign, SeatState
from exuvia.model.seats import Denied, Granted, Lapsed, Queued, Returned, SeatChange, Seats
from exuvia.record.moments import moment

HELD = SeatSign(state=SeatState.HELD)
DENIED = SeatSign(state=SeatState.DENIED)
NOT_ASKED = SeatSign(state=SeatState.NONE, message="the pool does not select it, or still waits for its agent")


def signs(seats: Seats, living: Iterable[str]) -> dict[str, SeatSign]:
    """By UID. A lease that only lasts until its grace is over is none."""
    found = dict.fromkeys(living, NOT_ASKED)
    found |= {one.uid: _lapsed(one) for one in seats.lapsed}
    found |= {one.uid: DENIED for one in seats.denied}
    found |= {one.uid: SeatSign(state=SeatState.WAITING, since=moment(one.since)) for one in seats.waiting}
    return found | {one.uid: HELD for one in seats.leases if one.due is None}


def concerned(told: Iterable[SeatChange]) -> set[str]:
    """The machines of which these changes speak."""
    return {_whose(one) for one in told}


def _whose(change: SeatChange) -> str:
    if isinstance(change, Granted | Returned):
        return change.lease.uid
    if isinstance(change, Queued):
        return change.place.uid
    return change.claimant.uid if isinstance(change, Denied) else change.uid


def _lapsed(one: Lapsed) -> SeatSign:
    said = f"its lease ended ({one.cause}), and it has not asked again since"
    return SeatSign(state=SeatState.NONE, message=said)


def unknown(message: str, *, awaited: bool = False) -> SeatSign:
    """Nobody knows, and why."""
    return SeatSign(state=SeatState.UNKNOWN, message=message, awaited=awaited)
