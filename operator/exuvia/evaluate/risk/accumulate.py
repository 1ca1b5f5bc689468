"""The report over a fleet, in one pass: every page of machines is looked at once and forgotten, only sums are kept."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import chain, islice

import numpy as np

from exuvia.evaluate.risk import held, scores, spans, summing
from exuvia.evaluate.risk.held import Held
from exuvia.evaluate.risk.scores import History, Steps
from exuvia.evaluate.risk.spans import Spans
from exuvia.evaluate.risk.tally import Bins, Tally, total
from exuvia.model.histories import Score
from exuvia.model.risks import RiskReport, Window
from exuvia.model.told import OPEN, WORDS, Column, Gone, Page, Rows


def accumulate(
    pages: Iterable[Page],
    facts: Iterable[Score],
    *,
    window: Window,
    as_of: int,
    quarantine_factor: Fraction = Fraction(0),
    marks: Iterable[int] = (),
) -> RiskReport:
    """The whole report over a window, as of a moment (microseconds). Nothing recorded after `as_of` says anything.

    `pages` are the machines with all their versions, in any order of machines; each machine is on one page. `marks` are
    moments at which the report is cut into a `course`, for plots. Exact, and the same for ever with the same `as_of`.
    """
    known, coming = tuple(facts), iter(pages)
    first = list(islice(coming, 1))  # who hands over pages may read the next one while we work
    sums = Sums(known, window=window, as_of=as_of, marks=marks)
    for page in chain(first, coming):
        sums.add(page)
    return summing.report(sums, quarantine_factor)


class Weighed:
    """Time on all machines, and that of it on frozen ones: they weigh differently."""

    def __init__(self, bins: Bins) -> None:
        self.all = Tally(bins)
        self.frozen = Tally(bins)


class Sums:
    """What is kept of a fleet while it passes by. Moments are integers, so the order of machines says nothing.

    `accounts` are the scores of vulnerabilities that were on a machine; all that have none share the first.
    """

    def __init__(self, facts: Iterable[Score], *, window: Window, as_of: int, marks: Iterable[int] = ()) -> None:
        self.window = window.until(as_of)
        self.as_of = as_of
        self.start, self.end = self.window.began, self.window.ended
        self.marks = tuple(sorted({one for one in marks if self.start < one < self.end}))
        self.vulnerable = 0
        self.closed: list[list[Column]] = [[] for _ in WORDS]
        self.censored: list[Column] = []
        self.accounts: list[History] = []
        self._histories = scores.histories(facts, as_of)
        self._numbers = np.zeros(0, dtype=np.int64)
        edges = {moment for one in self._histories.values() for moment in self._edges(one)}
        self.bins = Bins({*edges, *self._edges(scores.NOTHING)}, self.end - self.start)
        self._open([scores.NOTHING])
        self.alive = Tally(self.bins)
        self.now, self.then, self.undead, self.live_only = (Weighed(self.bins) for _ in range(4))

    def add(self, page: Page) -> None:
        """Some machines."""
        self._meet(page.vulnerabilities)
        if page.gone is not None:
            self._add_gone(page.gone)
        lives, presences, freezes = (self._known(one) for one in (page.lives, page.presences, page.freezes))
        alive = held.lives(lives)
        self._count(self.alive, Spans(np.zeros_like(alive.machine), alive.began, alive.ended))
        found = held.held(presences, alive, page.machines)
        self._add_now(found, _frozen_now(freezes), page.machines)
        self._add_vulnerable(found)
        self._add_closed(found)
        self._add_then(presences, lives, freezes, page.machines)

    def _known(self, rows: Rows) -> Rows:
        known = rows.recorded <= self.as_of
        return rows if known.all() else Rows(*(one[known] for one in rows))

    def _meet(self, vulnerabilities: Sequence[str]) -> None:
        """Give those that were not seen before the account that is theirs, if they have scores."""
        fresh = [self._histories.get(one) for one in vulnerabilities[len(self._numbers) :]]
        first = len(self.accounts)
        self._open([one for one in fresh if one is not None])
        scored = np.array([one is not None for one in fresh], dtype=np.int64)
        self._numbers = np.append(self._numbers, np.where(scored, first - 1 + np.cumsum(scored), 0))

    def _open(self, histories: list[History]) -> None:
        self.accounts += histories
        self.bins.add([self._edges(one) for one in histories])

    def _edges(self, history: History) -> tuple[int, ...]:
        """The moments inside of the window at which any of its scores changes, and the marks; since it began."""
        inside = {moment for steps in (history.now, history.then, history.epss) for moment in self._inside(steps)}
        return tuple(sorted(moment - self.start for moment in (*self.marks, *inside)))

    def _inside(self, steps: Steps) -> Iterator[int]:
        first = bisect_right(steps.moments, self.start)
        return (one for one in steps.moments[first:] if one < self.end and one not in self.marks)

    def _add_now(self, found: Held, frozen: Spans, machines: int) -> None:
        """What was there by the account of K: as it was, and as the naive models have it."""
        seen = Spans(self._numbers[found.what], found.began, found.ended)
        first, open_ = spans.changes(found.machine, found.what), found.ended > self.as_of
        bins, places = self._count(self.now.all, seen)
        self.undead.all.begin(bins[first], places[first])
        self.live_only.all.begin(bins[open_], places[open_])
        if len(frozen.owner):
            endless = seen._replace(ended=np.full_like(seen.ended, OPEN))
            self._count_frozen(self.now, seen, found.machine, frozen, machines)
            self._count_frozen(self.undead, endless.chosen(first), found.machine[first], frozen, machines)
            self._count_frozen(self.live_only, endless.chosen(open_), found.machine[open_], frozen, machines)

    def _add_gone(self, gone: Gone) -> None:
        """What was pruned is undead, and nothing else."""
        places = np.full_like(gone.what, min(max(gone.since - self.start, 0), self.end - self.start))
        bins = self.bins.of(self._numbers[gone.what], places)
        for tally in (self.undead.all, *([self.undead.frozen] if gone.frozen else [])):
            tally.begin(bins, places, gone.machines)

    def _add_vulnerable(self, found: Held) -> None:
        """When anything was on a machine. Most of it came and went together."""
        seen = Spans(found.machine, found.began, found.ended).within(self.start, self.end)
        there = spans.union(seen.chosen(spans.changes(*seen)))
        self.vulnerable += total(there.ended - there.began)

    def _add_closed(self, found: Held) -> None:
        """What ended in the window is closed; what is there at its end is censored; what ended before is neither."""
        ended = (self.start <= found.ended) & (found.ended < self.end)
        for word, lengths in enumerate(self.closed):
            chosen = ended & (found.word == word)
            lengths.append(found.ended[chosen] - found.began[chosen])
        there = ~ended & (found.began < self.end) & (self.end <= np.minimum(found.ended, self.as_of))
        self.censored.append(self.end - found.began[there])

    def _add_then(self, presences: Rows, lives: Rows, freezes: Rows, machines: int) -> None:
        """What was there by the account of the time."""
        alive = spans.union(spans.accounts(lives, spans.things(lives, lives=True), lives.machine))
        first = spans.changes(presences.machine, presences.what)
        machine, account = presences.machine[first], self._numbers[presences.what[first]]
        told = spans.union(spans.accounts(presences, spans.things(presences), np.cumsum(first) - 1))
        found = spans.joined(spans.meeting(told, machine[told.owner], alive, machines))
        seen = found._replace(owner=account[found.owner])
        self._count(self.then.all, seen)
        frozen = spans.union(spans.accounts(freezes, spans.things(freezes), freezes.machine))
        if len(frozen.owner):
            self._count_frozen(self.then, seen, machine[found.owner], frozen, machines)

    def _count(self, tally: Tally, seen: Spans) -> tuple[Column, Column]:
        """Add up spans, whose owners are accounts; the bins and the places where they begin."""
        account, began, ended = seen.within(self.start, self.end)
        bins, began, ended = self.bins.of(account, began - self.start), began - self.start, ended - self.start
        tally.begin(bins, began)
        tally.end(self.bins.of(account, ended), ended)
        return bins, began

    def _count_frozen(self, weighed: Weighed, seen: Spans, machine: Column, frozen: Spans, machines: int) -> None:
        for part in spans.meeting(seen, machine, frozen, machines):
            self._count(weighed.frozen, part)


def _frozen_now(rows: Rows) -> Spans:
    """When machines were frozen by the account of K, also after their death."""
    found = Spans(rows.machine, rows.began, rows.ended)
    return spans.union(found.chosen(spans.current(rows, spans.things(rows))))
