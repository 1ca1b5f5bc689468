"""Many intervals that meet many others on one machine: the same in parts, and never all pairs at once."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.evaluate.risk import intervals, spans
from exuvia.evaluate.risk.spans import Spans
from exuvia.model.told import Column

MACHINES = 3
SPANS = st.lists(st.tuples(st.integers(0, MACHINES - 1), st.integers(0, 20), st.integers(0, 20)), max_size=12)


def columns(rows: list[tuple[int, int, int]]) -> Spans:
    return Spans(*np.array(rows, dtype=np.int64).reshape(-1, 3).T)


def meeting(some: Spans, machine: Column, others: Spans) -> list[tuple[int, int, int]]:
    parts = spans.meeting(some, machine, others, MACHINES)
    return [tuple(row) for part in parts for row in zip(*(one.tolist() for one in part), strict=True)]


def expected(some: list[tuple[int, int, int]], others: Spans) -> Iterator[tuple[int, int, int]]:
    for place, (machine, began, ended) in enumerate(some):
        own = others.chosen(others.owner == machine)
        frozen = tuple(zip(own.began.tolist(), own.ended.tolist(), strict=True))
        if began < ended:
            yield from ((place, *one) for one in intervals.intersection(((began, ended),), frozen))


@settings(deadline=None)
@given(SPANS, SPANS, st.integers(1, 9))
def test_parts_say_what_every_machine_says_alone(
    some: list[tuple[int, int, int]], frozen: list[tuple[int, int, int]], size: int
) -> None:
    others, seen = spans.union(columns(sorted(frozen))), columns(some)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spans, "PAIRS", size)
        found = meeting(seen._replace(owner=np.arange(len(some))), seen.owner, others)
    assert found == list(expected(some, others))


def test_memory_grows_with_the_rows_of_a_machine_and_not_with_their_pairs() -> None:
    """3,000 findings and 1,000 freezes of one machine are 3,000,000 pairs, some 150 MB at once."""
    found = columns([(place, 0, 10_000) for place in range(3000)])
    frozen = columns([(0, place * 10, place * 10 + 5) for place in range(1000)])
    tracemalloc.start()
    try:
        shared = sum(
            int((one.ended - one.began).sum())
            for one in spans.meeting(found, np.zeros_like(found.owner), frozen, MACHINES)
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert shared == 3000 * 1000 * 5
    assert peak < 40_000_000
