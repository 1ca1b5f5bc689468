"""The quick way for what is ordinary: a machine told once or twice and never frozen, a finding told once or twice.

Most of a fleet is so, and a report may hold millions of it. What is taken on here is added up exactly as `accumulate`
would; everything else is handed back. Nothing here has a meaning of its own. It is written for speed: plain
comparisons, few calls, no objects for a single finding.
"""

from __future__ import annotations

from collections.abc import Sequence

from exuvia.evaluate.risk import closures
from exuvia.evaluate.risk.intervals import FOREVER, Interval
from exuvia.model.histories import RETRACTED, Past, Presence


class Frame:
    """An ordinary life: `[born, died)` by the account of K, `[since, until)` by that of the time."""

    __slots__ = ("at_death", "born", "died", "since", "until")

    def __init__(self, *, born: int, died: int, then: Interval, at_death: str) -> None:
        self.born = born
        self.died = died
        self.since, self.until = then
        self.at_death = at_death


def frame(past: Past, as_of: int) -> Frame | None:
    """The life of an ordinary machine; None if it is none."""
    lives = past.lives
    if past.freezes or not 1 <= len(lives) <= 2:
        return None
    life, first = lives[-1], lives[0]
    if life.withdrawn or first.withdrawn or life.recorded > as_of:
        return None
    born, died = life.born, FOREVER if life.died is None else life.died
    if life is first:
        then: Interval | None = (born if born > life.recorded else life.recorded, died)
    else:
        learnt = first.born if first.born > first.recorded else first.recorded
        then = _told_twice(learnt, FOREVER if first.died is None else first.died, life.recorded, born, died)
    return None if then is None else Frame(born=born, died=died, then=then, at_death=closures.at_death(life))


def learnt(told: Sequence[Presence], as_of: int) -> Interval | None:
    """When an ordinary finding was there by the account of the time; None if it is not ordinary."""
    row, first = told[-1], told[0]
    if row.withdrawn or row.closed == RETRACTED or row.recorded > as_of:
        return None
    began, ended = row.began, FOREVER if row.ended is None else row.ended
    if row is first:
        return (began if began > row.recorded else row.recorded), ended
    if len(told) > 2 or first.began != began or first.withdrawn or first.closed == RETRACTED:
        return None
    former = FOREVER if first.ended is None else first.ended
    return _told_twice(began if began > first.recorded else first.recorded, former, row.recorded, began, ended)


def _told_twice(began: int, ended: int, recorded: int, later_began: int, later_ended: int) -> Interval | None:
    """When something was so by the account of the time, from two versions of it; None if that is no one interval."""
    if ended > recorded:
        ended = recorded
    if later_began < recorded:
        later_began = recorded
    if later_began >= later_ended:
        return began, ended
    if began >= ended:
        return later_began, later_ended
    return (began, later_ended) if ended == later_began else None
