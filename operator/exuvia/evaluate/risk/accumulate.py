"""The report over a fleet, in one pass: every machine is looked at once and forgotten, only sums are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from fractions import Fraction

from exuvia.evaluate.risk import closures, intervals, known, scores, summing
from exuvia.evaluate.risk.accounts import Account
from exuvia.evaluate.risk.closures import Held
from exuvia.evaluate.risk.intervals import Intervals
from exuvia.evaluate.risk.scores import History
from exuvia.evaluate.risk.tally import Tally
from exuvia.model.histories import Past, Presence, Score
from exuvia.model.risks import Closing, RiskReport, Window


def accumulate(
    pasts: Iterable[Past],
    facts: Iterable[Score],
    *,
    window: Window,
    as_of: int,
    quarantine_factor: Fraction = Fraction(0),
    marks: Iterable[int] = (),
) -> RiskReport:
    """The whole report over a window, as of a moment (microseconds). Nothing recorded after `as_of` says anything.

    `pasts` are the machines with all their versions in order of `recorded`, in any order of machines; `marks` are
    moments at which the report is cut into a `course`, for plots. Exact, and the same for ever with the same `as_of`.
    """
    sums = Sums(facts, window=window, as_of=as_of, marks=marks)
    for past in pasts:
        sums.add(past)
    return summing.report(sums, quarantine_factor)


class Sums:
    """What is kept of a fleet while it passes by. Moments are integers, so the order of machines says nothing."""

    def __init__(self, facts: Iterable[Score], *, window: Window, as_of: int, marks: Iterable[int] = ()) -> None:
        self.window = window.until(as_of)
        self.as_of = as_of
        self.marks = tuple(sorted({one for one in marks if self.window.began < one < self.window.ended}))
        self.alive = Tally(self.marks)
        self.vulnerable = 0
        self.accounts: dict[str, Account] = {}
        self.closed: Counter[int] = Counter()
        self.censored: Counter[int] = Counter()
        self.closings: Counter[Closing] = Counter()
        self.patched = 0
        self._histories = scores.histories(facts, as_of)
        self._whole = intervals.interval(self.window.began, self.window.ended)

    def add(self, past: Past) -> None:
        """One machine."""
        alive = known.now(past.lives, self.as_of)
        for began, ended in self._seen(alive):
            self.alive.add(began, ended)
        if not past.presences:
            return
        rows = _by_vulnerability(past.presences)
        self._add_now(past, rows)
        self._add_then(past, rows)

    def _add_now(self, past: Past, rows: dict[str, list[Presence]]) -> None:
        """What was there by the account of K."""
        lives = known.current(past.lives, self.as_of)
        if not lives:
            return
        frozen = known.now(past.freezes, self.as_of)
        anything: list[tuple[int, int]] = []
        for vulnerability, versions in rows.items():
            found = closures.held(known.current(versions, self.as_of), lives[0])
            if found:
                self._add_held(self._account(vulnerability), found, frozen)
                anything += closures.times(found)
        self.vulnerable += intervals.length(self._seen(intervals.union(anything)))

    def _add_held(self, account: Account, found: list[Held], frozen: Intervals) -> None:
        open_ = tuple((one.began, one.ended) for one in found if one.ended > self.as_of)
        account.now.add(self._seen(closures.times(found)), frozen)
        account.undead.add(self._seen(((found[0].began, intervals.FOREVER),)), frozen)
        account.live_only.add(self._seen(open_), frozen)
        for one in found:
            self._close(one)

    def _close(self, one: Held) -> None:
        """What ended in the window is closed; what is there at its end is censored; what ended before is neither."""
        if self.window.began <= one.ended < self.window.ended:
            length = one.ended - one.began
            self.closed[length] += 1
            self.closings[one.reason] += 1
            self.patched += length if one.reason is Closing.PATCHED else 0
        elif one.ended >= self.window.ended > one.began and self.window.ended <= self.as_of:
            self.censored[self.window.ended - one.began] += 1

    def _add_then(self, past: Past, rows: dict[str, list[Presence]]) -> None:
        """What was there by the account of the time."""
        alive = self._seen(known.then(past.lives, self.as_of))
        if not alive:
            return
        frozen = known.then(past.freezes, self.as_of)
        for vulnerability, versions in rows.items():
            found = intervals.intersection(known.then(versions, self.as_of), alive)
            if found:
                self._account(vulnerability).then.add(found, frozen)

    def _seen(self, some: Intervals) -> Intervals:
        return intervals.intersection(some, self._whole)

    def _account(self, vulnerability: str) -> Account:
        found = self.accounts.get(vulnerability)
        if found is None:
            history = self._histories.get(vulnerability, History())
            found = self.accounts[vulnerability] = Account(history, self.window, self.as_of, self.marks)
        return found


def _by_vulnerability(presences: Iterable[Presence]) -> dict[str, list[Presence]]:
    found: dict[str, list[Presence]] = {}
    for one in presences:
        found.setdefault(one.vulnerability, []).append(one)
    return found
