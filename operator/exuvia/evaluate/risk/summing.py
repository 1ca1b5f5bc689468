"""From sums of time to figures: times are multiplied with scores here, once, at the end."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

from exuvia.evaluate.risk import scores, survival
from exuvia.evaluate.risk.accounts import Account
from exuvia.model.histories import Score
from exuvia.model.risks import HOUR, Band, Closing, Exposures, RiskReport, Stretch, Window

if TYPE_CHECKING:
    from exuvia.evaluate.risk.accumulate import Sums

MONTH_HOURS = 720
"""EPSS is a probability within 30 days."""

_BOUNDS = ((Fraction(9), Band.CRITICAL), (Fraction(7), Band.HIGH), (Fraction(4), Band.MEDIUM))


def band(score: Fraction) -> Band:
    """The band of a score; lower bounds inclusive."""
    return next((name for least, name in _BOUNDS if score >= least), Band.LOW if score > 0 else Band.NONE)


def hazard(likelihood: Fraction) -> float:
    """Per hour, from a probability within 30 days; by the logarithm that loses no digits."""
    small = likelihood < Fraction(1, 2)
    return -(math.log1p(-float(likelihood)) if small else math.log(float(1 - likelihood))) / MONTH_HOURS


def report(sums: Sums, factor: Fraction) -> RiskReport:
    """Everything of the report."""
    products = _Products(sums.marks, factor)
    for account in sums.accounts.values():
        products.add(account)
    bounds = (sums.window.began, *sums.marks, sums.window.ended)
    windows = [Window(began=a, ended=b) for a, b in pairwise(bounds)]
    alive = [Fraction(one, HOUR) for one in sums.alive.lengths(sums.window)]
    parts = [products.exposures(place) for place in range(len(windows))]
    course = (Stretch(window=a, exposures=b, instance_hours=c) for a, b, c in zip(windows, parts, alive, strict=True))
    closed = [length for lengths in sums.closed.values() for length in lengths]
    return RiskReport(
        window=sums.window,
        as_of=sums.as_of,
        instance_hours=sum(alive, Fraction(0)),
        vulnerable_hours=Fraction(sums.vulnerable, HOUR),
        exposures=sum(parts, Exposures()),
        band_hours=products.bands(),
        band_exposures=products.band_exposures(),
        hazard=products.hazard(),
        closures={one: len(sums.closed[one.value]) for one in Closing},
        mttr_patched_hours=survival.mean_hours(sums.closed[Closing.PATCHED.value]),
        mean_exposure_hours=survival.mean_hours(closed),
        restricted_mean_hours=survival.restricted_mean_hours(closed, sums.censored),
        unscored_hours=products.unscored(),
        course=tuple(course) if sums.marks else (),
    )


class _Products:
    """Weighed time by score, for each stretch between two marks; integers until they are asked for. Scores are keyed by
    the text of their rows ("" where none is known), which is far quicker than by their fractions."""

    def __init__(self, marks: tuple[int, ...], factor: Fraction) -> None:
        self._marks = marks
        self._factor = factor
        self._stretches = [_Stretch() for _ in range(len(marks) + 1)]
        self._likely: Counter[str] = Counter()
        self._scored: Counter[str] = Counter()

    def add(self, account: Account) -> None:
        """All that was added up for one vulnerability."""
        for one in account.bins(self._factor):
            stretch = self._stretches[bisect_right(self._marks, one.began)]
            stretch.now[_text(one.row_now)] += one.now
            stretch.then[_text(one.row_then)] += one.then
            stretch.rescore[account.latest] += one.now
            stretch.undead[account.latest] += one.undead
            stretch.live_only[account.latest] += one.live_only
            self._scored[_text(one.row_now)] += one.now
            self._likely[_text(one.row_epss)] += one.now

    def exposures(self, place: int) -> Exposures:
        """Score-hours of one stretch."""
        found = self._stretches[place]
        return Exposures(
            now=self._score_hours(found.now),
            then=self._score_hours(found.then),
            rescore=self._score_hours(found.rescore),
            undead=self._score_hours(found.undead),
            live_only=self._score_hours(found.live_only),
        )

    def bands(self) -> dict[Band, Fraction]:
        """Hours of presence by band."""
        found: Counter[Band] = Counter()
        for text, length in self._scored.items():
            found[band(_number(text))] += length
        return {one: self._hours(found[one]) for one in Band}

    def band_exposures(self) -> dict[Band, Fraction]:
        """Score-hours by band, by the lens now; they add up to `exposures.now`."""
        found = dict.fromkeys(Band, Fraction(0))
        for text, length in self._scored.items():
            found[band(_number(text))] += _number(text) * length
        return {one: self._hours(1) * found[one] for one in Band}

    def unscored(self) -> Fraction:
        """Hours of presence without a known score."""
        return self._hours(self._scored[""])

    def hazard(self) -> float:
        """Summed in order of likelihood, so that it is the same in any order of machines."""
        found: Counter[Fraction] = Counter()
        for text, length in self._likely.items():
            found[min(_number(text), scores.LIKELIEST)] += length
        return math.fsum(
            hazard(likelihood) * float(self._hours(length))
            for likelihood, length in sorted(found.items())
            if likelihood and length
        )

    def _hours(self, length: int) -> Fraction:
        return Fraction(length, self._factor.denominator * HOUR)

    def _score_hours(self, found: Counter[str]) -> Fraction:
        return self._hours(1) * sum((_number(text) * length for text, length in found.items()), Fraction(0))


class _Stretch:
    """Weighed time by score between two marks, for each way to count it."""

    __slots__ = ("live_only", "now", "rescore", "then", "undead")

    def __init__(self) -> None:
        self.now: Counter[str] = Counter()
        self.then: Counter[str] = Counter()
        self.rescore: Counter[str] = Counter()
        self.undead: Counter[str] = Counter()
        self.live_only: Counter[str] = Counter()


def _text(row: Score | None) -> str:
    return "" if row is None else row.value


def _number(text: str) -> Fraction:
    return scores.number(text) if text else Fraction(0)
