"""Sets of moments as half-open intervals `[began, ended)` of integers: sorted, disjoint, not touching, never empty."""

from __future__ import annotations

from collections.abc import Iterable

FOREVER = 1 << 62
"""Later than any moment that can be written: the end of what is still open."""

Interval = tuple[int, int]
Intervals = tuple[Interval, ...]

NOTHING: Intervals = ()


def end(moment: int | None) -> int:
    """The end of an interval that may be open."""
    return FOREVER if moment is None else moment


def interval(began: int, ended: int) -> Intervals:
    """One interval, or nothing where it is empty."""
    return ((began, ended),) if began < ended else NOTHING


def union(parts: Iterable[Interval]) -> Intervals:
    """All moments of any part; what touches becomes one."""
    found: list[Interval] = []
    for began, ended in sorted(parts):
        if began >= ended:
            continue
        if found and began <= found[-1][1]:
            found[-1] = (found[-1][0], max(ended, found[-1][1]))
        else:
            found.append((began, ended))
    return tuple(found)


def intersection(some: Intervals, others: Intervals) -> Intervals:
    """The moments of both."""
    found: list[Interval] = []
    i = j = 0
    while i < len(some) and j < len(others):
        began, ended = max(some[i][0], others[j][0]), min(some[i][1], others[j][1])
        if began < ended:
            found.append((began, ended))
        if some[i][1] < others[j][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


def without(some: Intervals, others: Intervals) -> Intervals:
    """The moments of the first that are in none of the second."""
    if not others or not some:
        return some
    gaps = zip((-FOREVER, *(ended for _, ended in others)), (*(began for began, _ in others), FOREVER), strict=True)
    return intersection(some, tuple(gaps))


def length(some: Intervals) -> int:
    """Its length in all."""
    return sum(ended - began for began, ended in some)
