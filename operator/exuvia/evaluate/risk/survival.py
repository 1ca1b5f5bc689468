"""How long vulnerabilities stay: means, and the area under the Kaplan-Meier curve (restricted mean)."""

from __future__ import annotations

import math
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
    when it was last looked at: censored, at risk up to and at that length. Between two censored lengths the
    curve is a fraction of two numbers, so that part is added up in integers; each part becomes one float.
    """
    closed, censored = Counter(ended), Counter(lasting)
    lengths = sorted(closed | censored)
    at_risk = closed.total() + censored.total()
    parts: list[float] = []
    survival, base, area, before = 1.0, at_risk, 0, 0
    for length in lengths:
        area += at_risk * (length - before)
        at_risk -= closed[length]
        if length in censored:
            parts.append(survival * (area / base))
            survival *= at_risk / base
            at_risk -= censored[length]
            base, area = at_risk, 0
        before = length
    if area:
        parts.append(survival * (area / base))
    return math.fsum(parts) / HOUR if lengths else None
