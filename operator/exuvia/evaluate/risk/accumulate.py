"""The report over a fleet, in one pass: every machine is looked at once and forgotten, only sums are kept."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from exuvia.evaluate.risk import closures, intervals, known, ordinary, scores, summing
from exuvia.evaluate.risk.accounts import Account
from exuvia.evaluate.risk.closures import Held
from exuvia.evaluate.risk.intervals import Interval, Intervals
from exuvia.evaluate.risk.scores import History
from exuvia.evaluate.risk.tally import Tally
from exuvia.model import told
from exuvia.model.histories import Past, Presence, Score
from exuvia.model.risks import Closing, RiskReport, Window
from exuvia.model.told import Told


def accumulate(
    pasts: Iterable[Past | Told],
    facts: Iterable[Score],
    *,
    window: Window,
    as_of: int,
    quarantine_factor: Fraction = Fraction(0),
    marks: Iterable[int] = (),
) -> RiskReport:
    """The whole report over a window, as of a moment (microseconds). Nothing recorded after `as_of` says anything.

    `pasts` are the machines with all their versions in order of `recorded`, in any order of machines, as objects or as
    rows, which are quicker. `marks` are moments at which the report is cut into a `course`, for plots. Exact, and the
    same for ever with the same `as_of`.
    """
    sums = Sums(facts, window=window, as_of=as_of, marks=marks)
    for past in pasts:
        sums.add(past if isinstance(past, Told) else told.told(past))
    sums.settle()
    return summing.report(sums, quarantine_factor)


MOST_WAITING = 300_000
"""Findings: at most some 60 MB."""


class Sums:
    """What is kept of a fleet while it passes by. Moments are integers, so the order of machines says nothing."""

    def __init__(self, facts: Iterable[Score], *, window: Window, as_of: int, marks: Iterable[int] = ()) -> None:
        self.window = window.until(as_of)
        self.as_of = as_of
        self.marks = tuple(sorted({one for one in marks if self.window.began < one < self.window.ended}))
        self.alive = Tally(self.marks)
        self.vulnerable = 0
        self.accounts: dict[str, Account] = {}
        self.closed: dict[str, list[int]] = {one.value: [] for one in Closing}
        self.censored: list[int] = []
        self._histories = scores.histories(facts, as_of)
        self._waiting = 0
        self.start, self.end = self.window.began, self.window.ended
        self._whole = intervals.interval(self.window.began, self.window.ended)

    def add(self, machine: Told) -> None:
        """One machine."""
        life = ordinary.frame(machine, self.as_of)
        if life is None:
            past = told.past(machine, told.rows(machine))
            for began, ended in known.now(past.lives, self.as_of):
                self._add_life(began, ended)
            self._add_vulnerable(self._add_any(past))
        else:
            self._add_life(life[0], life[1])
            there, others = ordinary.add(self, life, machine)
            if others:
                there += self._add_any(told.past(machine, others))
            self._add_vulnerable(there)
        self._waiting += len(machine.alike or machine.presences)
        if self._waiting > MOST_WAITING:
            self.settle()

    def settle(self) -> None:
        """Add up what waits to be."""
        for account in self.accounts.values():
            account.settle()
        self._waiting = 0

    def _add_life(self, began: int, ended: int) -> None:
        first, last = max(began, self.start), min(ended, self.end)
        if first < last:
            self.alive.add(first, last)

    def _add_vulnerable(self, there: list[Interval]) -> None:
        for began, ended in there if len(there) < 2 else intervals.union(there):
            first, last = max(began, self.start), min(ended, self.end)
            if first < last:
                self.vulnerable += last - first

    def _add_any(self, past: Past) -> list[Interval]:
        """A machine of any kind; when anything was there by the account of K."""
        rows: dict[str, list[Presence]] = {}
        for one in past.presences:
            rows.setdefault(one.vulnerability, []).append(one)
        self._add_then(past, rows)
        lives = known.current(past.lives, self.as_of)
        frozen = known.now(past.freezes, self.as_of)
        there: list[Interval] = []
        for name, versions in rows.items() if lives else ():
            found = closures.held(known.current(versions, self.as_of), lives[0])
            if found:
                self._add_held(self.account(name), found, frozen)
                there += closures.times(found)
        return there

    def _add_held(self, account: Account, found: list[Held], frozen: Intervals) -> None:
        open_ = tuple((one.began, one.ended) for one in found if one.ended > self.as_of)
        account.now.add(self._seen(closures.times(found)), frozen)
        account.undead.add(self._seen(((found[0].began, intervals.FOREVER),)), frozen)
        account.live_only.add(self._seen(open_), frozen)
        for one in found:
            self._close(one)

    def _close(self, one: Held) -> None:
        """What ended in the window is closed; what is there at its end is censored; what ended before is neither."""
        if self.start <= one.ended < self.end:
            self.closed[one.reason].append(one.ended - one.began)
        elif one.began < self.end <= min(one.ended, self.as_of):
            self.censored.append(self.end - one.began)

    def _add_then(self, past: Past, rows: dict[str, list[Presence]]) -> None:
        """What was there by the account of the time."""
        alive = self._seen(known.then(past.lives, self.as_of))
        if not alive:
            return
        frozen = known.then(past.freezes, self.as_of)
        for name, versions in rows.items():
            found = intervals.intersection(known.then(versions, self.as_of), alive)
            if found:
                self.account(name).then.add(found, frozen)

    def _seen(self, some: Intervals) -> Intervals:
        return intervals.intersection(some, self._whole)

    def account(self, vulnerability: str) -> Account:
        """That of a vulnerability, made when it is seen first."""
        found = self.accounts.get(vulnerability)
        if found is None:
            history = self._histories.get(vulnerability, History())
            found = self.accounts[vulnerability] = Account(history, self.window, self.as_of, self.marks)
        return found
