"""How long vulnerabilities stay: means, and the area under the Kaplan-Meier curve (restricted mean)."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction

from exuvia.model.risks import HOUR


def mean_hours(lengths: Sequence[int]) -> Fraction | None:
    """The mean of lengths in microseconds; None of none."""
    return Fraction(sum(lengths), len(lengths) * HOUR) if lengths else None


def restricted_mean_hours(ended: Iterable[int], lasting: Iterable[int]) -> float | None:
    """The area under the Kaplan-Meier curve up to the longest length seen; None where nothing was seen.

    `ended` are the lengths (microseconds) of what was closed: the events. `lasting` are those of what was still there
    when it was last looked at: censored, at risk up to and at that length. Between two censored lengths the curve is a
    fraction of two numbers, so that part is added up in integers, and only each part becomes a float.
    """
    closed, censored = sorted(ended), Counter(lasting)
    at_risk = len(closed) + censored.total()
    if not at_risk:
        return None
    parts: list[float] = []
    survival, before, taken = 1.0, 0, 0
    for length in sorted(censored):
        events = bisect_right(closed, length) - taken
        left = at_risk - events
        area = sum(closed[taken : taken + events]) - events * before + left * (length - before)
        parts.append(survival * (area / (at_risk * HOUR)))
        survival *= left / at_risk
        at_risk, before, taken = left - censored[length], length, taken + events
    if at_risk:
        parts.append(survival * ((sum(closed[taken:]) - at_risk * before) / (at_risk * HOUR)))
    return math.fsum(parts)
