"""The state of a pool from what was told of it: the ledger keeps the changes, and after a crash they are read again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import assert_never

from exuvia.decide.seats.book import LASTING
from exuvia.model.seats import (
    Claimant,
    Denied,
    Ending,
    Ghost,
    Granted,
    Kept,
    Lapsed,
    Lease,
    Left,
    Queued,
    Reported,
    ReturnCause,
    Returned,
    SeatChange,
    Seats,
    Waiting,
)


def recall(changes: Iterable[SeatChange], *, at: int) -> Seats:
    """Who holds, waits, is denied or has lapsed after these changes. Quarantines and ghosts are seen again by a look.
    Nobody's silence counts from before `at`: what was heard meanwhile is not known."""
    kept = _Kept()
    for change in changes:
        kept.apply(change)
    return kept.seats(at)


class _Kept:
    def __init__(self) -> None:
        self.leases: dict[str, Lease] = {}
        self.waiting: dict[str, Waiting] = {}
        self.denied: dict[str, Claimant] = {}
        self.lapsed: dict[str, Lapsed] = {}
        self.order = 0

    def apply(self, change: SeatChange) -> None:
        match change:
            case Granted(lease=lease):
                self._leave(lease.uid)
                self.leases[lease.uid] = lease
                self.order = max(self.order, lease.order)
            case Queued(place=place):
                self._leave(place.uid)
                self.waiting[place.uid] = place
                self.order = max(self.order, place.order)
            case Denied(claimant=claimant):
                self._leave(claimant.uid)
                self.denied[claimant.uid] = claimant
            case Returned():
                self._return(change)
            case Ending() | Kept():
                self._mark(change)
            case Left(uid=uid):
                self._leave(uid)
            case Ghost() | Reported():
                return
            case _:
                assert_never(change)

    def _return(self, change: Returned) -> None:
        self.leases.pop(change.lease.uid, None)
        if change.cause in LASTING:
            self.lapsed[change.lease.uid] = Lapsed(uid=change.lease.uid, at=change.at, cause=change.cause)

    def _mark(self, change: Ending | Kept) -> None:
        lease = self.leases.get(change.uid)
        if lease is None:
            return
        if isinstance(change, Ending):
            self.leases[change.uid] = replace(lease, died=change.at, due=change.due, cause=change.cause)
        else:
            self.leases[change.uid] = replace(lease, died=None, due=None, cause=ReturnCause.DEATH)

    def _leave(self, uid: str) -> None:
        places: dict[str, Waiting] | dict[str, Claimant] | dict[str, Lapsed]
        for places in (self.waiting, self.denied, self.lapsed):
            places.pop(uid, None)

    def seats(self, at: int) -> Seats:
        leases = (replace(one, heard=max(one.heard, at)) for one in self.leases.values())
        return Seats(
            at=at,
            leases=tuple(sorted(leases, key=lambda one: one.order)),
            waiting=tuple(sorted(self.waiting.values(), key=lambda one: one.place)),
            denied=tuple(self.denied[uid] for uid in sorted(self.denied)),
            lapsed=tuple(self.lapsed[uid] for uid in sorted(self.lapsed)),
            order=self.order,
        )
