"""From sums of time to figures: times are multiplied with scores here, once, at the end."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from exuvia.evaluate.risk import scores, survival
from exuvia.evaluate.risk.scores import History
from exuvia.model.histories import Score
from exuvia.model.risks import DIGITS, HOUR, Band, Closing, Exposures, RiskReport, Stretch, Window
from exuvia.model.told import PATCHED, WORDS

if TYPE_CHECKING:
    from exuvia.evaluate.risk.accumulate import Sums, Weighed

MONTH_HOURS = 720
"""EPSS is a probability within 30 days."""

_BANDS = ((9, Band.CRITICAL), (7, Band.HIGH), (4, Band.MEDIUM))


def band(score: Fraction) -> Band:
    """The band of a score; lower bounds inclusive."""
    whole = score.numerator // score.denominator
    return next((name for least, name in _BANDS if whole >= least), Band.LOW if score.numerator > 0 else Band.NONE)


def hazard(likelihood: Fraction) -> Fraction:
    """Per hour, from a probability within 30 days: to 50 digits, the same on every machine."""
    with localcontext(prec=DIGITS) as exact:
        left = 1 - likelihood
        return -Fraction(exact.divide(Decimal(left.numerator), Decimal(left.denominator)).ln()) / MONTH_HOURS


def report(sums: Sums, factor: Fraction) -> RiskReport:
    """Everything of the report."""
    products = _Products(sums, factor)
    bounds = (sums.start, *sums.marks, sums.end)
    windows = [Window(began=a, ended=b) for a, b in pairwise(bounds)]
    alive = [Fraction(one, HOUR) for one in sums.alive.lengths()[: len(windows)]]
    parts = [products.exposures(place) for place in range(len(windows))]
    course = (Stretch(window=a, exposures=b, instance_hours=c) for a, b, c in zip(windows, parts, alive, strict=True))
    closed = [np.concatenate([_NOTHING, *lengths]) for lengths in sums.closed]
    everything, censored = np.concatenate(closed), np.concatenate([_NOTHING, *sums.censored])
    return RiskReport(
        window=sums.window,
        as_of=sums.as_of,
        quarantine_factor=factor,
        instance_hours=sum(alive, Fraction(0)),
        vulnerable_hours=Fraction(sums.vulnerable, HOUR),
        exposures=sum(parts, Exposures()),
        band_hours=products.bands(),
        band_exposures=products.band_exposures(),
        hazard=products.hazard(),
        closures={one: len(closed[WORDS.index(one)]) for one in Closing},
        mttr_patched_hours=survival.mean_hours(closed[PATCHED]),
        mean_exposure_hours=survival.mean_hours(everything),
        restricted_mean_hours=survival.restricted_mean_hours(everything, censored),
        unscored_hours=products.unscored(),
        course=tuple(course) if sums.marks else (),
    )


_NOTHING = np.zeros(0, dtype=np.int64)


class _Products:
    """Weighed time by score, for each stretch between two marks; integers until they are asked for. Scores are keyed by
    the text of their rows ("" where none is known), which is far quicker than by their fractions."""

    def __init__(self, sums: Sums, factor: Fraction) -> None:
        self._sums, self._factor = sums, factor
        self._stretches = [_Stretch() for _ in range(len(sums.marks) + 1)]
        self._likely: Counter[str] = Counter()
        self._banded: dict[Band, Counter[str]] = {one: Counter() for one in Band}
        lengths = [self._weighed(one) for one in (sums.now, sums.then, sums.undead, sums.live_only)]
        latest = [_text(one.now.at(sums.as_of)) for one in sums.accounts]
        for account, began, *times in zip(sums.bins.account.tolist(), sums.bins.began.tolist(), *lengths, strict=True):
            if any(times):
                self._add(sums.accounts[account], latest[account], began, times)

    def _weighed(self, weighed: Weighed) -> list[int]:
        """How much lies in each bin, weighed, as integers in units of 1/denominator of the factor."""
        whole, part = self._factor.denominator, self._factor.denominator - self._factor.numerator
        pairs = zip(weighed.all.lengths(), weighed.frozen.lengths(), strict=True)
        return [whole * every - part * frozen for every, frozen in pairs]

    def _add(self, history: History, latest: str, began: int, times: list[int]) -> None:
        """What was added up in one bin, in all of which the same rows hold."""
        now, then, undead, live_only = times
        moment = self._sums.start + began
        stretch = self._stretches[bisect_right(self._sums.marks, moment)]
        score = _text(history.now.at(moment))
        stretch.now[score] += now
        stretch.then[_text(history.then.at(moment))] += then
        stretch.rescore[latest] += now
        stretch.undead[latest] += undead
        stretch.live_only[latest] += live_only
        self._banded[_band(score)][score] += now
        self._likely[_text(history.epss.at(moment))] += now

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
        return {name: self._hours(found.total()) for name, found in self._banded.items()}

    def band_exposures(self) -> dict[Band, Fraction]:
        """Score-hours by band, by the lens now; they add up to `exposures.now`."""
        return {name: self._score_hours(found) for name, found in self._banded.items()}

    def unscored(self) -> Fraction:
        """Hours of presence without a known score."""
        return self._hours(self._banded[Band.NONE][""])

    def hazard(self) -> Fraction:
        """Summed in order of likelihood, so that it is the same in any order of machines."""
        found: Counter[Fraction] = Counter()
        for text, length in self._likely.items():
            found[min(_number(text), scores.LIKELIEST)] += length
        return sum((hazard(likelihood) * self._hours(length) for likelihood, length in found.items()), Fraction(0))

    def _hours(self, length: int) -> Fraction:
        return Fraction(length, self._factor.denominator * HOUR)

    def _score_hours(self, found: Counter[str]) -> Fraction:
        """Numbers with the same decimals are added up as integers."""
        sums: Counter[int] = Counter()
        for text, length in found.items():
            score = _number(text)
            sums[score.denominator] += score.numerator * length
        return self._hours(1) * sum((Fraction(top, bottom) for bottom, top in sums.items()), Fraction(0))


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


@lru_cache(maxsize=16_384)
def _band(text: str) -> Band:
    return band(_number(text))
