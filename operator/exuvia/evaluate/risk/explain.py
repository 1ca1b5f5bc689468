"""Where each score-hour of one machine comes from (`exuvia risk explain`): the pieces that the report adds up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

from exuvia.evaluate.risk import intervals, known, scores
from exuvia.evaluate.risk.intervals import FOREVER, Interval, Intervals
from exuvia.evaluate.risk.scores import History, Steps
from exuvia.model.histories import Past, Presence, Score
from exuvia.model.risks import Explanation, Piece, Window


def explain(
    past: Past, facts: Iterable[Score], *, window: Window, as_of: int, quarantine_factor: Fraction = Fraction(0)
) -> Explanation:
    """The pieces of one machine by both lenses. They add up to what a report over this machine alone says."""
    asked = window.until(as_of)
    there = {one.vulnerability for one in past.presences}
    histories = scores.histories((one for one in facts if one.vulnerability in there), as_of)
    now: list[Piece] = []
    then: list[Piece] = []
    for name in sorted(there):
        rows = [one for one in past.presences if one.vulnerability == name]
        history = histories.get(name, History())
        now += _pieces(name, _now(past, rows, as_of), history.now, asked, quarantine_factor)
        then += _pieces(name, _then(past, rows, as_of), history.then, asked, quarantine_factor)
    return Explanation(uid=past.uid, window=asked, as_of=as_of, now=tuple(now), then=tuple(then))


_Times = tuple[Intervals, Intervals]
"""When it was there, and when the machine was frozen."""


def _now(past: Past, rows: list[Presence], as_of: int) -> _Times:
    there = intervals.intersection(known.now(rows, as_of), known.now(past.lives, as_of))
    return there, known.now(past.freezes, as_of)


def _then(past: Past, rows: list[Presence], as_of: int) -> _Times:
    there = intervals.intersection(known.then(rows, as_of), known.then(past.lives, as_of))
    return there, known.then(past.freezes, as_of)


def _pieces(name: str, times: _Times, steps: Steps, window: Window, factor: Fraction) -> list[Piece]:
    there, frozen = times
    seen = intervals.intersection(there, intervals.interval(window.began, window.ended))
    parts = [(one, Fraction(1)) for one in intervals.without(seen, frozen)]
    parts += [(one, factor) for one in intervals.intersection(seen, frozen)]
    found = (
        _piece(name, began, ended, weight, row) for part, weight in parts for began, ended, row in _steps(steps, part)
    )
    return sorted(found, key=lambda one: one.window.began)


def _steps(steps: Steps, part: Interval) -> Iterator[tuple[int, int, Score | None]]:
    """The interval, cut where the row that holds changes."""
    began, ended = part
    for moment in (*(one for one in steps.moments if began < one < ended), ended):
        yield began, moment, steps.at(began)
        began = moment


def _piece(name: str, began: int, ended: int, factor: Fraction, row: Score | None) -> Piece:
    return Piece(
        vulnerability=name,
        window=Window(began=began, ended=ended),
        factor=factor,
        score=scores.value(row),
        source="" if row is None else row.source,
        basis="" if row is None else row.basis,
    )


def life_of(past: Past, as_of: int) -> Window | None:
    """The life of a machine as known by then: the window to explain where none is given. None: none is known."""
    lives = known.now(past.lives, as_of)
    return Window(began=lives[0][0], ended=min(lives[0][1], as_of, FOREVER)) if lives else None
