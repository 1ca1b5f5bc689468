"""A slow pool, written from history.md alone: lists, no heaps, every instant looked at, every figure summed by hand.

It shares nothing with `exuvia.decide.seats` but the nouns that tests hand in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from exuvia.model.histories import Life


@dataclass
class Seat:
    """One lease, as a line of a paper list."""

    uid: str
    began: int
    waited: int
    over: bool
    ended: int | None = None


@dataclass
class SlowPool:
    """Replays lives, one instant after the other."""

    seats: int
    policy: str = "Queue"
    keeps: int = 0
    book: list[Seat] = field(default_factory=list)
    queue: list[tuple[str, int]] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    latencies: list[tuple[int, int]] = field(default_factory=list)

    def run(self, lives: Iterable[Life], until: int) -> SlowPool:
        """Everything before `until`."""
        real = [one for one in lives if one.died is None or one.died > one.born]
        moments = {one.born for one in real} | {one.died for one in real if one.died is not None}
        moments |= {one.died + self.keeps for one in real if one.died is not None}
        for now in sorted(moment for moment in moments if moment < until):
            self.instant(now, real)
        return self

    def instant(self, now: int, lives: list[Life]) -> None:
        """Deaths, returns, queue, births by uid."""
        dead = [one.uid for one in lives if one.died == now]
        self.queue = [one for one in self.queue if one[0] not in dead]
        for life in lives:
            if life.died is not None and life.died + self.keeps == now:
                for seat in self.held():
                    if seat.uid == life.uid:
                        seat.ended = now
                        self.latencies.append((now, self.keeps))
        while self.queue and len(self.held()) < self.seats:
            uid, since = self.queue.pop(0)
            self.book.append(Seat(uid, now, now - since, over=False))
        for life in sorted((one for one in lives if one.born == now), key=lambda one: one.uid):
            self.born(now, life, lives)

    def born(self, now: int, life: Life, lives: list[Life]) -> None:
        """One birth, after everything else of this instant."""
        if len(self.held()) < self.seats:
            self.book.append(Seat(life.uid, now, 0, over=False))
            return
        if self.policy == "Overcommit":
            self.book.append(Seat(life.uid, now, 0, over=True))
        elif self.policy == "Deny":
            self.refused[life.uid] = now
        else:
            self.reclaim_or_wait(now, life, lives)

    def reclaim_or_wait(self, now: int, life: Life, lives: list[Life]) -> None:
        """Queue, and ReclaimOldest."""
        gone = {one.uid for one in lives if one.died is not None and one.died <= now}
        weak = {one.uid for one in lives if not one.persistent}
        taken = [seat for seat in self.held() if seat.uid in weak and seat.uid not in gone]
        if self.policy == "Queue" or not taken:
            self.queue.append((life.uid, now))
            return
        oldest = taken[0]
        for seat in taken:
            if seat.began < oldest.began:
                oldest = seat
        oldest.ended = now
        self.book.append(Seat(life.uid, now, 0, over=False))
        self.queue.append((oldest.uid, now))

    def held(self) -> list[Seat]:
        """Leases that have not ended, in the order in which they were given."""
        return [seat for seat in self.book if seat.ended is None]


def slow(lives: list[Life], *, seats: int, policy: str, keeps: int, began: int, ended: int) -> dict[str, object]:
    """The figures of a window, summed moment by moment (so spans must be small numbers)."""
    pool = SlowPool(seats, policy, keeps).run(lives, ended)
    living = [one for one in lives if one.died is None or one.died > one.born]
    used_peak = demand_peak = unmet = used_sum = 0
    for moment in range(began, ended):
        used = [seat.uid for seat in pool.book if seat.began <= moment and (seat.ended is None or moment < seat.ended)]
        wanting = [one.uid for one in living if one.born <= moment and (one.died is None or moment < one.died)]
        used_peak, demand_peak = max(used_peak, len(used)), max(demand_peak, len(wanting))
        unmet += len([uid for uid in wanting if uid not in used])
        used_sum += len(used)
    grants = [(seat.uid, seat.began, seat.waited) for seat in pool.book if began <= seat.began < ended]
    over = [seat for seat in pool.book if seat.over and began <= seat.began < ended]
    return {
        "grants": grants,
        "denials": len([at for at in pool.refused.values() if began <= at < ended]),
        "unmet": unmet,
        "used": used_peak,
        "demanded": demand_peak,
        "sum": used_sum,
        "latency": max((span for at, span in pool.latencies if began <= at < ended), default=None),
        "overcommitted": len(over),
    }
