"""Step functions of scores: which row holds when, by the account of K, or by that of the time (history.md).

Within one source the row with the greatest `validFrom` holds; between sources a VEX statement, then the one recorded
last, then the higher value, then the name. EPSS and KEV are no scores; EPSS has its own steps.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

from exuvia.evaluate.risk import known
from exuvia.evaluate.risk.intervals import FOREVER
from exuvia.model.histories import EPSS, KEV, VEX, Score

LIKELIEST = Fraction(999_999, 1_000_000)
"""EPSS counts up to this: the hazard of a certainty would be endless."""


@dataclass(frozen=True, slots=True)
class Steps:
    """`rows[n]` holds from `moments[n]` until the next moment; None where nothing is known."""

    moments: tuple[int, ...] = ()
    rows: tuple[Score | None, ...] = ()

    def at(self, moment: int) -> Score | None:
        """What holds then."""
        index = bisect_right(self.moments, moment) - 1
        return self.rows[index] if index >= 0 else None

    def pieces(self) -> Iterator[tuple[int, int, Score]]:
        """Each row that holds, and from when until when."""
        ends = (*self.moments, FOREVER)[1:]
        for began, ended, row in zip(self.moments, ends, self.rows, strict=True):
            if row is not None:
                yield began, ended, row


UNKNOWN = Steps()


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What is known of the scores of one vulnerability by K."""

    now: Steps = UNKNOWN
    then: Steps = UNKNOWN
    epss: Steps = UNKNOWN


NOTHING = History()


def histories(scores: Iterable[Score], as_of: int) -> dict[str, History]:
    """By vulnerability."""
    found: dict[str, list[Score]] = {}
    for one in scores:
        if one.recorded <= as_of:
            found.setdefault(one.vulnerability, []).append(one)
    return {name: _history(rows, as_of) for name, rows in found.items()}


def at(rows: Sequence[Score], *, time: int, as_of: int) -> Score | None:
    """The row of one vulnerability that holds at a moment, by the account of K: what its steps `now` say there, without
    the steps."""
    picked: dict[str, Score] = {}
    for one in known.current(rows, as_of):
        former = picked.get(one.source)
        if one.valid_from <= time and (former is None or former.valid_from < one.valid_from):
            picked[one.source] = one
    rated = [one for name, one in picked.items() if name not in (EPSS, KEV)]
    return max(rated, key=_rank) if rated[1:] else next(iter(rated), None)


def value(row: Score | None) -> Fraction:
    """What a row counts; 0 where none is known."""
    return Fraction(0) if row is None else number(row.value)


def likelihood(row: Score | None) -> Fraction:
    """What a row of EPSS counts, between 0 and almost 1."""
    return min(value(row), LIKELIEST)


@lru_cache(maxsize=16_384)
def number(text: str) -> Fraction:
    """A decimal as it was written, exactly."""
    return Fraction(Decimal(text))


def _history(rows: Sequence[Score], as_of: int) -> History:
    sources: dict[str, list[Score]] = {}
    for one in rows:
        sources.setdefault(one.source, []).append(one)
    rated = [found for name, found in sources.items() if name not in (EPSS, KEV)]
    return History(
        now=_between([_within(found, as_of, _for_good) for found in rated]),
        then=_between([_within(found, as_of, _at_the_time) for found in rated]),
        epss=_within(sources.get(EPSS, ()), as_of, _for_good),
    )


_Lasting = Callable[[Sequence[Score], int], Iterable[tuple[int, int, Score]]]


def _for_good(rows: Sequence[Score], as_of: int) -> Iterable[tuple[int, int, Score]]:
    return ((one.valid_from, FOREVER, one) for one in known.current(rows, as_of))


def _at_the_time(rows: Sequence[Score], as_of: int) -> Iterable[tuple[int, int, Score]]:
    return ((max(one.valid_from, learnt), ended, one) for one, learnt, ended in known.accounts(rows, as_of))


def _within(rows: Sequence[Score], as_of: int, lasting: _Lasting) -> Steps:
    return uppermost(lasting(rows, as_of), lambda one: one.valid_from)


def _between(sources: Sequence[Steps]) -> Steps:
    if len(sources) == 1:
        return sources[0]
    return uppermost((piece for steps in sources for piece in steps.pieces()), _rank)


def _rank(one: Score) -> tuple[bool, int, Fraction, str]:
    return one.source == VEX, one.recorded, number(one.value), one.source


def uppermost(pieces: Iterable[tuple[int, int, Score]], rank: Callable[[Score], Any]) -> Steps:
    """At every moment the row of the greatest rank among those that last then. O(n log n)."""
    ranked = sorted((one for one in pieces if one[0] < one[1]), key=lambda one: rank(one[2]), reverse=True)
    order = sorted(range(len(ranked)), key=lambda place: ranked[place][0])
    moments = sorted({one[0] for one in ranked} | {one[1] for one in ranked if one[1] < FOREVER})
    lasting: list[int] = []
    steps: list[tuple[int, Score | None]] = []
    taken = 0
    for moment in moments:
        while taken < len(order) and ranked[order[taken]][0] <= moment:
            heapq.heappush(lasting, order[taken])
            taken += 1
        while lasting and ranked[lasting[0]][1] <= moment:
            heapq.heappop(lasting)
        row = ranked[lasting[0]][2] if lasting else None
        if not steps or steps[-1][1] is not row:
            steps.append((moment, row))
    return Steps(tuple(moment for moment, _ in steps), tuple(row for _, row in steps))
