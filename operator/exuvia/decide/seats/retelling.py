"""What a pool really did, from what was told of it: the same figures as of a replay, with nothing supposed.

Demand is who held a seat and lived, waited, was denied one, or lost it by silence and lives on, each from the moment
at which that was told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import assert_never

from exuvia.decide.seats.simulating import Held, Replay
from exuvia.model.histories import Life
from exuvia.model.seats import (
    Denied,
    Ending,
    Ghost,
    Granted,
    Kept,
    Left,
    Queued,
    Reported,
    ReturnCause,
    Returned,
    SeatChange,
    Terms,
)

_UNKNOWN = Terms(seats=0)
"""How many seats there were is not told with them, and may have been edited: there is no utilisation."""


def retold(pools: Iterable[Iterable[SeatChange]]) -> Replay:
    """What pools did that follow each other under one name, each told in order. Its lives are spans of demand: one
    machine may have several, that never overlap."""
    told = [_told(changes) for changes in pools]
    return Replay(
        terms=_UNKNOWN,
        lives=tuple(chain.from_iterable(one.demand() for one in told)),
        leases=tuple(chain.from_iterable(one.leases for one in told)),
        denied=tuple(chain.from_iterable(one.denied for one in told)),
        latencies=tuple(chain.from_iterable(one.latencies for one in told)),
    )


def _told(changes: Iterable[SeatChange]) -> _Told:
    found = _Told()
    for change in changes:
        found.note(change)
    return found


class _Told:
    """One pool, while its changes are read."""

    def __init__(self) -> None:
        self.leases: list[Held] = []
        self.denied: list[int] = []
        self.latencies: list[tuple[int, int]] = []
        self._waits: list[tuple[str, int, int]] = []
        self._held: dict[str, int] = {}
        self._without: dict[str, int] = {}

    def note(self, change: SeatChange) -> None:
        """One more."""
        match change:
            case Granted():
                self._grant(change)
            case Returned():
                self._return(change)
            case Queued(at=at, place=place):
                self._without.setdefault(place.uid, at)
            case Denied(at=at, claimant=claimant):
                self.denied.append(at)
                self._without.setdefault(claimant.uid, at)
            case Left(at=at, uid=uid):
                self._seated(uid, at)
            case Ending(at=at, uid=uid):
                self._mark(uid, died=at)
            case Kept(uid=uid):
                self._mark(uid, died=None)
            case Ghost() | Reported():
                return
            case _:
                assert_never(change)

    def demand(self) -> Iterator[Life]:
        """From when to when a machine wanted a seat, whether it had one or not."""
        for one in self.leases:
            ends = [at for at in (one.ended, one.died) if at is not None]
            yield Life(uid=one.uid, recorded=0, born=one.began, died=min(ends, default=None))
        for uid, began, ended in self._waits:
            yield Life(uid=uid, recorded=0, born=began, died=ended)
        for uid, began in self._without.items():
            yield Life(uid=uid, recorded=0, born=began)

    def _grant(self, change: Granted) -> None:
        uid = change.lease.uid
        self._seated(uid, change.at)
        self._held[uid] = len(self.leases)
        held = Held(uid=uid, began=change.at, ended=None, waited=change.waited, over=change.over, died=None)
        self.leases.append(held)

    def _return(self, change: Returned) -> None:
        uid, index = change.lease.uid, self._held.pop(change.lease.uid, None)
        if index is not None:
            self.leases[index] = replace(self.leases[index], ended=change.at, died=change.died)
        if change.died is not None:
            self.latencies.append((change.at, change.at - change.died))
        if change.cause is ReturnCause.EXPIRY:
            self._without[uid] = change.at

    def _mark(self, uid: str, *, died: int | None) -> None:
        index = self._held.get(uid)
        if index is not None:
            self.leases[index] = replace(self.leases[index], died=died)

    def _seated(self, uid: str, at: int) -> None:
        """It is not without a seat any more: it has one, or asks for none."""
        since = self._without.pop(uid, None)
        if since is not None:
            self._waits.append((uid, since, at))
