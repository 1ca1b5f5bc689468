"""The report over a fleet, in one pass: every machine is looked at once and forgotten, only sums are kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from exuvia.evaluate.risk import closures, intervals, known, ordinary, scores, summing
from exuvia.evaluate.risk.accounts import Account
from exuvia.evaluate.risk.closures import Held
from exuvia.evaluate.risk.intervals import Interval, Intervals
from exuvia.evaluate.risk.ordinary import Frame
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
    sums.settle()
    return summing.report(sums, quarantine_factor)


MOST_WAITING = 200_000
"""Rows, some 30 MB."""


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
        self._start, self._end = self.window.began, self.window.ended
        self._whole = intervals.interval(self.window.began, self.window.ended)

    def add(self, past: Past) -> None:
        """One machine."""
        life = ordinary.frame(past, self.as_of)
        if life is None:
            for began, ended in known.now(past.lives, self.as_of):
                self._add_life(began, ended)
            there = self._add_any(past, _by_vulnerability(past.presences)) if past.presences else set()
        else:
            self._add_life(life.born, life.died)
            there = self._add_ordinary(past, life)
        for began, ended in there if len(there) < 2 else intervals.union(there):
            first, last = self._clip(began, ended)
            self.vulnerable += last - first
        self._waiting += len(past.presences)
        if self._waiting > MOST_WAITING:
            self.settle()

    def settle(self) -> None:
        """Add up what waits to be."""
        for account in self.accounts.values():
            account.settle()
        self._waiting = 0

    def _add_life(self, began: int, ended: int) -> None:
        first, last = self._clip(began, ended)
        if first < last:
            self.alive.add(first, last)

    def _clip(self, began: int, ended: int) -> Interval:
        """Cut to the window; empty ones become one moment."""
        if began < self._start:
            began = self._start
        if ended > self._end:
            ended = self._end
        return (began, ended) if began < ended else (began, began)

    def _add_ordinary(self, past: Past, life: Frame) -> set[Interval]:
        """Findings on an ordinary machine; when they were there by the account of K."""
        there: set[Interval] = set()
        others: dict[str, list[Presence]] = {}
        for name, told in _by_vulnerability(past.presences).items():
            learnt = ordinary.learnt(told, self.as_of)
            if learnt is None:
                others[name] = told
            else:
                there.add(self._add_plain(told[-1], life, learnt))
        return there | self._add_any(past, others) if others else there

    def _add_plain(self, row: Presence, life: Frame, learnt: Interval) -> Interval:
        """An ordinary finding on an ordinary machine."""
        account = self.accounts.get(row.vulnerability) or self._account(row.vulnerability)
        began, ended, reason = row.began if row.began > life.born else life.born, row.ended, ""
        if ended is None or ended > life.died:
            ended, reason = life.died, life.at_death
        if began < ended:
            self._close(began, ended, reason or closures.word(row.closed))
            if began < self._end:
                account.plain_now += self._clip(began, ended)
                if ended > self.as_of:
                    account.live_only.running.add(*self._clip(began, ended))
        since, until = learnt
        account.plain_then += self._clip(
            since if since > life.since else life.since, until if until < life.until else life.until
        )
        return began, ended

    def _add_any(self, past: Past, rows: dict[str, list[Presence]]) -> set[Interval]:
        """Findings of any kind; when they were there by the account of K."""
        self._add_then(past, rows)
        lives = known.current(past.lives, self.as_of)
        frozen = known.now(past.freezes, self.as_of)
        there: set[Interval] = set()
        for name, versions in rows.items() if lives else ():
            found = closures.held(known.current(versions, self.as_of), lives[0])
            if found:
                self._add_held(self._account(name), found, frozen)
                there.update(closures.times(found))
        return there

    def _add_held(self, account: Account, found: list[Held], frozen: Intervals) -> None:
        open_ = tuple((one.began, one.ended) for one in found if one.ended > self.as_of)
        account.now.add(self._seen(closures.times(found)), frozen)
        account.undead.add(self._seen(((found[0].began, intervals.FOREVER),)), frozen)
        account.live_only.add(self._seen(open_), frozen)
        for one in found:
            self._close(one.began, one.ended, one.reason)

    def _close(self, began: int, ended: int, reason: str) -> None:
        """What ended in the window is closed; what is there at its end is censored; what ended before is neither."""
        if ended < self._end:
            if ended >= self._start:
                self.closed[reason].append(ended - began)
        elif began < self._end <= self.as_of:
            self.censored.append(self._end - began)

    def _add_then(self, past: Past, rows: dict[str, list[Presence]]) -> None:
        """What was there by the account of the time."""
        alive = self._seen(known.then(past.lives, self.as_of))
        if not alive:
            return
        frozen = known.then(past.freezes, self.as_of)
        for name, versions in rows.items():
            found = intervals.intersection(known.then(versions, self.as_of), alive)
            if found:
                self._account(name).then.add(found, frozen)

    def _seen(self, some: Intervals) -> Intervals:
        return intervals.intersection(some, self._whole)

    def _account(self, vulnerability: str) -> Account:
        found = self.accounts.get(vulnerability)
        if found is None:
            history = self._histories.get(vulnerability, History())
            found = self.accounts[vulnerability] = Account(history, self.window, self.as_of, self.marks)
        return found


def _by_vulnerability(presences: Sequence[Presence]) -> dict[str, list[Presence]]:
    found: dict[str, list[Presence]] = {}
    for one in presences:
        told = found.get(one.vulnerability)
        if told is None:
            found[one.vulnerability] = [one]
        else:
            told.append(one)
    return found
