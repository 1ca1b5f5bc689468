"""How long vulnerabilities stay: means, and the area under the Kaplan-Meier curve (restricted mean)."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from exuvia.evaluate.risk.tally import sums_before, total
from exuvia.model.risks import HOUR
from exuvia.model.told import Column

BITS = 1024
"""So long may a fraction grow: what it is rounded to then is far below what any number printed can show."""


def mean_hours(lengths: Column) -> Fraction | None:
    """The mean of lengths in microseconds; None of none."""
    return Fraction(total(lengths), len(lengths) * HOUR) if len(lengths) else None


def restricted_mean_hours(ended: Column, lasting: Column) -> Fraction | None:
    """The area under the Kaplan-Meier curve up to the longest length seen; None where nothing was seen.

    `ended` are the lengths (microseconds) of what was closed: the events. `lasting` are those of what was still there
    when it was last looked at: censored, at risk up to and at that length. Between two censored lengths the curve is a
    fraction of two numbers, so that part is added up in integers.
    """
    at_risk = len(ended) + len(lasting)
    if not at_risk:
        return None
    closed = np.sort(ended)
    lengths, leaving = np.unique(lasting, return_counts=True)
    taken = [0, *np.searchsorted(closed, lengths, "right").tolist(), len(closed)]
    before = sums_before(closed, taken)
    curve, since = _Curve(), 0
    for place, (length, censored) in enumerate(zip(lengths.tolist(), leaving.tolist(), strict=True)):
        events = taken[place + 1] - taken[place]
        left = at_risk - events
        curve.go(at_risk, left, before[place + 1] - before[place] - events * since + left * (length - since))
        at_risk, since = left - censored, length
    if at_risk:
        curve.go(at_risk, 0, before[-1] - before[-2] - at_risk * since)
    return curve.area / HOUR


class _Curve:
    """A curve that falls from 1 in steps, as whole numbers over one denominator."""

    def __init__(self) -> None:
        self._height, self._area, self._whole = 1, 0, 1

    def go(self, at_risk: int, left: int, area: int) -> None:
        """On to where of those at risk so many are left, with an area below of that part of its height at first."""
        shared = math.gcd(at_risk, left, area)
        at_risk, left, area = at_risk // shared, left // shared, area // shared
        self._area = self._area * at_risk + self._height * area
        self._height, self._whole = self._height * left, self._whole * at_risk
        over = self._whole.bit_length() - BITS
        if over > 0:
            self._height, self._area, self._whole = self._height >> over, self._area >> over, self._whole >> over

    @property
    def area(self) -> Fraction:
        """All of it."""
        return Fraction(self._area, self._whole)
