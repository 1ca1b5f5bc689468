"""From sums of time to figures: times are multiplied with scores here, once, at the end."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

from exuvia.evaluate.risk import scores, survival
from exuvia.evaluate.risk.accounts import Account, Bin
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
    """Per hour, from a probability within 30 days."""
    return -math.log1p(-float(likelihood)) / MONTH_HOURS


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
    closed = sum(length * number for length, number in sums.closed.items())
    return RiskReport(
        window=sums.window,
        as_of=sums.as_of,
        instance_hours=sum(alive, Fraction(0)),
        vulnerable_hours=Fraction(sums.vulnerable, HOUR),
        exposures=sum(parts, Exposures()),
        band_hours={one: products.hours(products.bands[one]) for one in Band},
        hazard=products.hazard(),
        closures={one: sums.closings[one] for one in Closing},
        mttr_patched_hours=survival.mean_hours(sums.patched, sums.closings[Closing.PATCHED]),
        mean_exposure_hours=survival.mean_hours(closed, sums.closed.total()),
        restricted_mean_hours=survival.restricted_mean_hours(sums.closed, sums.censored),
        unscored_hours=products.hours(products.unscored),
        course=tuple(course) if sums.marks else (),
    )


class _Products:
    """Weighed time by score, for each stretch between two marks; integers until they are asked for."""

    def __init__(self, marks: tuple[int, ...], factor: Fraction) -> None:
        self._marks = marks
        self._factor = factor
        self._now: list[Counter[Fraction]] = [Counter() for _ in range(len(marks) + 1)]
        self._then: list[Counter[Fraction]] = [Counter() for _ in range(len(marks) + 1)]
        self._latest: list[dict[str, Counter[Fraction]]] = [
            {"rescore": Counter(), "undead": Counter(), "live_only": Counter()} for _ in range(len(marks) + 1)
        ]
        self._likely: Counter[Fraction] = Counter()
        self.bands: Counter[Band] = Counter()
        self.unscored = 0

    def add(self, account: Account) -> None:
        """All that was added up for one vulnerability."""
        for one in account.bins(self._factor):
            place = bisect_right(self._marks, one.began)
            self._now[place][scores.value(one.row_now)] += one.now
            self._then[place][scores.value(one.row_then)] += one.then
            self._latest[place]["rescore"][account.latest] += one.now
            self._add_bin(one)
        for name, weighed in (("undead", account.undead), ("live_only", account.live_only)):
            for place, length in enumerate(weighed.lengths(account.window, self._factor)):
                self._latest[place][name][account.latest] += length

    def _add_bin(self, one: Bin) -> None:
        self.bands[band(scores.value(one.row_now))] += one.now
        self.unscored += one.now if one.row_now is None else 0
        self._likely[scores.likelihood(one.row_epss)] += one.now

    def exposures(self, place: int) -> Exposures:
        """Score-hours of one stretch."""
        return Exposures(
            now=self._score_hours(self._now[place]),
            then=self._score_hours(self._then[place]),
            **{name: self._score_hours(found) for name, found in self._latest[place].items()},
        )

    def hazard(self) -> float:
        """Summed in order of likelihood, so that it is the same in any order of machines."""
        return math.fsum(
            hazard(likelihood) * float(self.hours(length))
            for likelihood, length in sorted(self._likely.items())
            if likelihood and length
        )

    def hours(self, length: int) -> Fraction:
        """Weighed time in hours."""
        return Fraction(length, self._factor.denominator * HOUR)

    def _score_hours(self, found: Counter[Fraction]) -> Fraction:
        return self.hours(1) * sum((value * length for value, length in found.items()), Fraction(0))
