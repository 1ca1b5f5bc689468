"""What a pool of these terms would have done with the machines that really lived (`exuvia license simulate`).

Lives are demand, from birth to death under every policy. The replay begins before the first birth, so the state at the
begin of a window is carried into it; what happens in `[from, to)` counts. Exact in whole microseconds; floats only in
the figures that are divisions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from exuvia.decide.seats.advancing import advance
from exuvia.model.histories import Life
from exuvia.model.seats import Claim, Claimant, Denied, Died, Granted, Returned, SeatChange, SeatEvent, Seats, Terms

HOUR = 3_600_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """`[began, ended)`, microseconds since 1970."""

    began: int
    ended: int

    @property
    def length(self) -> int:
        """Microseconds."""
        return max(0, self.ended - self.began)

    def holds(self, at: int) -> bool:
        """Whether a moment lies in it."""
        return self.began <= at < self.ended

    def overlap(self, began: int, ended: int | None) -> int:
        """How much of `[began, ended)` lies in it; open ends reach beyond it."""
        return max(0, (self.ended if ended is None else min(self.ended, ended)) - max(self.began, began))


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A lease as it was: from, to (None: still held at the end of the replay), and the life of its holder."""

    uid: str
    began: int
    ended: int | None
    waited: int
    over: bool
    died: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Lives, and what the pool did with them up to a moment."""

    terms: Terms
    lives: tuple[Life, ...]
    leases: tuple[Held, ...]
    denied: tuple[int, ...]
    latencies: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A seat was given at a moment, after so many microseconds of waiting."""

    uid: str
    at: int
    waited: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HighWater:
    """The most seats in use, and the most instances that wanted one, at any moment of a window."""

    used: int
    demanded: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a window cost. Spans are microseconds; `latency` is the longest from death to return, None without one."""

    window: Window
    seats: int
    grants: tuple[Grant, ...]
    denials: int
    unmet: int
    high_water: HighWater
    used: int
    latency: int | None
    overcommitted: int

    @property
    def seat_hours(self) -> float:
        """Seats in use times hours."""
        return self.used / HOUR

    @property
    def utilisation(self) -> float | None:
        """Seat-hours by the seat-hours that there were; None without seats or time."""
        there = self.seats * self.window.length
        return self.used / there if there else None


def simulate(lives: Iterable[Life], terms: Terms, window: Window) -> Figures:
    """The figures of one window. Lives are one a UID, as they are known now; of no length they ask for nothing."""
    return measure(replay(lives, terms, until=window.ended), window)


def replay(lives: Iterable[Life], terms: Terms, *, until: int) -> Replay:
    """Everything that the pool does before `until`."""
    known = tuple(one for one in lives if one.born < until and (one.died is None or one.died > one.born))
    told = advance(Seats(at=_before(known, until)), terms, _events(known), until=until - 1).told
    return Replay(
        terms=terms,
        lives=known,
        leases=tuple(_leases(told, known)),
        denied=tuple(one.at for one in told if isinstance(one, Denied)),
        latencies=tuple(
            (one.at, one.at - one.died) for one in told if isinstance(one, Returned) and one.died is not None
        ),
    )


def measure(done: Replay, window: Window) -> Figures:
    """The figures of a window of a replay that reaches at least to its end."""
    latencies = [span for at, span in done.latencies if window.holds(at)]
    used = sum(window.overlap(one.began, one.ended) for one in done.leases)
    seated = sum(window.overlap(one.began, _first(one.ended, one.died)) for one in done.leases)
    wanted = sum(window.overlap(one.born, one.died) for one in done.lives)
    granted = [one for one in done.leases if window.holds(one.began)]
    return Figures(
        window=window,
        seats=done.terms.seats,
        grants=tuple(Grant(uid=one.uid, at=one.began, waited=one.waited) for one in granted),
        denials=sum(window.holds(at) for at in done.denied),
        unmet=wanted - seated,
        high_water=HighWater(
            used=peak(((one.began, one.ended) for one in done.leases), window),
            demanded=peak(((one.born, one.died) for one in done.lives), window),
        ),
        used=used,
        latency=max(latencies, default=None),
        overcommitted=sum(one.over for one in granted),
    )


def peak(spans: Iterable[tuple[int, int | None]], window: Window) -> int:
    """The most of these at once at any moment of a window, read after everything that happens at that moment."""
    steps: defaultdict[int, int] = defaultdict(int)
    for began, ended in spans:
        if began < window.ended and (ended is None or ended > max(began, window.began)):
            steps[max(began, window.began)] += 1
            if ended is not None:
                steps[ended] -= 1
    highest = level = 0
    for at in sorted(steps):
        level += steps[at]
        highest = max(highest, level if at < window.ended else 0)
    return highest


def _before(lives: Sequence[Life], until: int) -> int:
    return min((one.born for one in lives), default=until) - 1


def _events(lives: Sequence[Life]) -> Iterator[SeatEvent]:
    for life in lives:
        yield Claim(at=life.born, claimant=Claimant(uid=life.uid, persistent=life.persistent))
        if life.died is not None:
            yield Died(at=life.died, uid=life.uid)


def _leases(told: Sequence[SeatChange], lives: Sequence[Life]) -> Iterator[Held]:
    """Every lease from its grant to its return, in the order of the grants."""
    ended = {change.lease.order: change.at for change in told if isinstance(change, Returned)}
    deaths = {one.uid: one.died for one in lives}
    for change in told:
        if isinstance(change, Granted):
            lease = change.lease
            yield Held(
                uid=lease.uid,
                began=change.at,
                ended=ended.get(lease.order),
                waited=change.waited,
                over=change.over,
                died=deaths[lease.uid],
            )


def _first(ended: int | None, died: int | None) -> int | None:
    """The earlier of two ends, of which each may be open."""
    known = [one for one in (ended, died) if one is not None]
    return min(known, default=None)
