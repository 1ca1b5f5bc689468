"""What is added up for one vulnerability over the whole fleet, and what comes of it at the end."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from exuvia.evaluate.risk.intervals import Intervals, intersection, without
from exuvia.evaluate.risk.scores import History, Steps
from exuvia.evaluate.risk.tally import Tally
from exuvia.model.histories import Score
from exuvia.model.risks import Window


class Weighed:
    """Time on running machines and time on frozen ones, apart: they weigh differently."""

    __slots__ = ("frozen", "running")

    def __init__(self, edges: tuple[int, ...]) -> None:
        self.running = Tally(edges)
        self.frozen = Tally(edges)

    def add(self, times: Intervals, frozen: Intervals) -> None:
        """Times within the window, of a machine that was frozen in some moments."""
        for began, ended in without(times, frozen):
            self.running.add(began, ended)
        for began, ended in intersection(times, frozen) if frozen else ():
            self.frozen.add(began, ended)

    def lengths(self, window: Window, factor: Fraction) -> list[int]:
        """How much lies in each bin, weighed, as integers in units of 1/denominator of the factor."""
        running, frozen = self.running.lengths(window), self.frozen.lengths(window)
        return [factor.denominator * a + factor.numerator * b for a, b in zip(running, frozen, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """What was added up between two edges: weighed times by lens and model, and the rows that hold all through it."""

    began: int
    now: int
    then: int
    undead: int
    live_only: int
    row_now: Score | None
    row_then: Score | None
    row_epss: Score | None


class Account:
    """One vulnerability: when it was there by each lens and model, and the scores that it had.

    `visits` are stays on running machines that are not added up yet, because many at once are quicker: from when until
    when within the window by the account of K (perhaps empty: it was there before, and is gone), and by that of the
    time (perhaps empty). `still` are the begins of what is still there at K.
    """

    __slots__ = (
        "edges",
        "history",
        "latest",
        "live_only",
        "now",
        "still",
        "then",
        "undead",
        "visits",
        "window",
    )

    def __init__(self, history: History, window: Window, as_of: int, marks: tuple[int, ...]) -> None:
        self.edges = tuple(sorted({*marks, *_inside(history, window)}))
        self.history = history
        self.window = window
        latest = history.now.at(as_of)
        self.latest = "" if latest is None else latest.value
        self.now = Weighed(self.edges)
        self.then = Weighed(self.edges)
        self.undead = Weighed(self.edges)
        self.live_only = Weighed(self.edges)
        self.visits: list[tuple[int, int, int, int]] = []
        self.still: list[int] = []

    def settle(self) -> None:
        """Add up what waits to be."""
        if self.visits:
            began, ended, since, until = map(sorted, zip(*self.visits, strict=True))
            self.undead.running.add_begins(began)
            self.now.running.add_begins(began)
            self.now.running.add_ends(ended)
            self.then.running.add_begins(since)
            self.then.running.add_ends(until)
            self.visits.clear()
        if self.still:
            self.live_only.running.add_begins(sorted(self.still))
            self.still.clear()

    def bins(self, factor: Fraction) -> Iterator[Bin]:
        """The bins in order of time."""
        weighed = (self.now, self.then, self.undead, self.live_only)
        sums = (one.lengths(self.window, factor) for one in weighed)
        begins = (self.window.began, *self.edges)
        for began, now, then, undead, live_only in zip(begins, *sums, strict=True):
            yield Bin(
                began=began,
                now=now,
                then=then,
                undead=undead,
                live_only=live_only,
                row_now=self.history.now.at(began),
                row_then=self.history.then.at(began),
                row_epss=self.history.epss.at(began),
            )


def _inside(history: History, window: Window) -> Iterator[int]:
    """The moments inside of the window at which any of its scores changes."""
    for steps in (history.now, history.then, history.epss):
        yield from _between(steps, window)


def _between(steps: Steps, window: Window) -> tuple[int, ...]:
    first = bisect_right(steps.moments, window.began)
    return tuple(one for one in steps.moments[first:] if one < window.ended)
