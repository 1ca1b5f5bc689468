"""What ends with a pool that was deleted, or with its hook: nobody holds or waits for a seat of it, nobody is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from exuvia.model.seats import Left, Reported, ReturnCause, Returned, SeatChange, Seats

GONE = "pool-deleted"
"""The outcome of a return that the vendor was not told of before its pool, and so the hook, was gone."""

UNHOOKED = "hook-removed"
"""The same where the hook alone was taken off the pool."""


def closed(seats: Seats, owed: Iterable[Returned], at: int) -> Iterator[SeatChange]:
    """Every lease ends at `at` (microseconds), and nobody wants a seat in vain any more: who waits, was denied one, or
    lost it by silence. What is `owed` is told to nobody, for whom to tell went with the pool."""
    for lease in seats.leases:
        yield Returned(at=at, lease=lease, cause=ReturnCause.RELEASE, died=lease.died)
    without = [one.uid for one in seats.denied]
    without += [one.uid for one in seats.lapsed if one.cause is ReturnCause.EXPIRY]
    for uid in (*(one.uid for one in seats.waiting), *without):
        yield Left(at=at, uid=uid)
    yield from untold(owed, at, GONE)


def untold(owed: Iterable[Returned], at: int, outcome: str) -> Iterator[Reported]:
    """These are told to nobody any more."""
    for one in owed:
        yield Reported(at=at, uid=one.lease.uid, order=one.lease.order, outcome=outcome)
