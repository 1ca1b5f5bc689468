"""How long vulnerabilities stay: means, and the area under the Kaplan-Meier curve (restricted mean)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from exuvia.model.risks import HOUR

Lengths = Mapping[int, int]
"""How many had that length, in microseconds."""


def mean_hours(total: int, number: int) -> Fraction | None:
    """The mean of so many lengths; None of none."""
    return Fraction(total, number * HOUR) if number else None


def restricted_mean_hours(closed: Lengths, censored: Lengths) -> float | None:
    """The area under the Kaplan-Meier curve up to the longest length seen; None where nothing was seen.

    Every closing is an event; what is censored at a length was still at risk at it. Between two censored lengths the
    curve is a fraction of two numbers, so that part is added up in integers; each part becomes one float.
    """
    lengths = sorted({*closed, *censored})
    at_risk = sum(closed.values()) + sum(censored.values())
    parts: list[float] = []
    survival, base, area, before = 1.0, at_risk, 0, 0
    for length in lengths:
        area += at_risk * (length - before)
        at_risk -= closed.get(length, 0)
        if length in censored:
            parts.append(survival * (area / base))
            survival *= at_risk / base
            at_risk -= censored[length]
            base, area = at_risk, 0
        before = length
    if area:
        parts.append(survival * (area / base))
    return math.fsum(parts) / HOUR if lengths else None
