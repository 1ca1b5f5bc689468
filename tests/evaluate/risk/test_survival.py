"""Means of lengths, and the curve of Kaplan and Meier, against its definition in fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from exuvia.evaluate.risk.survival import mean_hours, restricted_mean_hours
from exuvia.model.risks import HOUR
from exuvia.model.told import Column

lengths = st.lists(st.integers(0, 6), max_size=12)


def hours(found: list[int]) -> Column:
    return np.array([one * HOUR for one in found], dtype=np.int64)


def curve(ended: list[int], lasting: list[int]) -> Fraction:
    """The product over the lengths of 1 - events / at risk; who is censored at a length was at risk at it."""
    area, survival, before = Fraction(0), Fraction(1), 0
    for length in sorted({*ended, *lasting}):
        area += survival * (length - before)
        survival *= 1 - Fraction(ended.count(length), sum(one >= length for one in (*ended, *lasting)))
        before = length
    return area


@given(lengths, lengths)
def test_the_area_is_that_of_the_definition(ended: list[int], lasting: list[int]) -> None:
    found = restricted_mean_hours(hours(ended), hours(lasting))
    if not ended and not lasting:
        assert found is None
    else:
        assert found == curve(ended, lasting)


@given(lengths.filter(bool))
def test_without_anything_open_it_is_the_mean_in_any_order(ended: list[int]) -> None:
    assert restricted_mean_hours(hours(ended), hours([])) == mean_hours(hours(ended))
    assert restricted_mean_hours(hours(ended[::-1]), hours([])) == restricted_mean_hours(hours(ended), hours([]))


def test_what_ends_where_another_is_censored_was_at_risk_with_it() -> None:
    assert restricted_mean_hours(hours([2, 4]), hours([2])) == 2 + Fraction(4, 3)
    assert restricted_mean_hours(hours([]), hours([3])) == 3
    assert mean_hours(hours([])) is None
