"""Adding up many intervals against the edges of accounts: two look-ups an interval, whatever the number of edges.

An account has edges in the window and a bin before, between and behind them. Of an interval only its two ends are
noted, in the bins into which they fall: how many, and where. How much of all intervals lies in each bin is a running
sum over the bins, made once at the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from exuvia.model.told import Column

SHIFT = 26
LOW = (1 << SHIFT) - 1
"""Moments are added up in two halves, so that no sum of any number of them overflows."""


def total(column: Column) -> int:
    """The sum, whatever its size."""
    return (int((column >> SHIFT).sum()) << SHIFT) + int((column & LOW).sum())


def sums_before(column: Column, places: list[int]) -> list[int]:
    """At each place the sum of what stands before it, whatever its size."""
    high, low = (np.concatenate([[0], np.cumsum(one)])[places].tolist() for one in (column >> SHIFT, column & LOW))
    return [(a << SHIFT) + b for a, b in zip(high, low, strict=True)]


class Bins:
    """The bins of all accounts, one account behind the other. Places are microseconds since the window began.

    An account is a number, and its edges are some of `edges`: so a bin is found by an integer of both.
    """

    def __init__(self, edges: Iterable[int], length: int) -> None:
        self._edges = np.unique(np.array(list(edges), dtype=np.int64))
        self._stride = len(self._edges) + 1
        self._keys: Column = np.zeros(0, dtype=np.int64)
        self._length = length
        self.bounds: list[tuple[int, ...]] = []

    def __len__(self) -> int:
        return len(self._keys) + len(self.bounds)

    def add(self, accounts: list[tuple[int, ...]]) -> None:
        """More accounts, each by its edges in order. The bins of others stay where they are."""
        keys = [self._keys]
        for number, edges in enumerate(accounts, start=len(self.bounds)):
            keys.append(number * self._stride + np.searchsorted(self._edges, np.array(edges, dtype=np.int64), "right"))
        self._keys = np.concatenate(keys)
        self.bounds += [(0, *edges, self._length) for edges in accounts]

    def of(self, account: Column, place: Column) -> Column:
        """The bins into which places fall. Asked for account by account, they are found three times as fast."""
        keys = account * self._stride + np.searchsorted(self._edges, place, "right")
        order = np.argsort(account.astype(np.uint16), kind="stable")
        found = np.empty_like(account)
        found[order] = np.searchsorted(self._keys, keys[order], "right")
        return found + account


class Tally:
    """How much of many intervals lies in each bin. Integers: exact, and in any order the same."""

    def __init__(self, bins: Bins) -> None:
        self._bins = bins
        self._sums = np.zeros((3, 0), dtype=np.int64)

    def begin(self, bins: Column, places: Column) -> None:
        """Intervals begin. Without an end they last until the window ends."""
        counts, high, low = self._grown()
        np.subtract.at(counts, bins, 1)
        np.subtract.at(high, bins, places >> SHIFT)
        np.subtract.at(low, bins, places & LOW)

    def end(self, bins: Column, places: Column) -> None:
        """Intervals end."""
        counts, high, low = self._grown()
        np.add.at(counts, bins, 1)
        np.add.at(high, bins, places >> SHIFT)
        np.add.at(low, bins, places & LOW)

    def lengths(self) -> list[int]:
        """How much lies in each bin. What has no end ends with the window."""
        counts, high, low = (row.astype(object) for row in self._grown())
        places = (high << SHIFT) + low
        found: list[int] = []
        for bounds in self._bins.bounds:
            start = len(found)
            found += _lengths(bounds, counts[start : start + len(bounds) - 1], places[start:])
        return found

    def _grown(self) -> Any:
        missing = len(self._bins) - self._sums.shape[1]
        if missing:
            self._sums = np.pad(self._sums, ((0, 0), (0, missing)))
        return self._sums


def _lengths(bounds: tuple[int, ...], counts: Any, places: Any) -> list[int]:
    found, before = [], 0
    for count, place, began, ended in zip(counts, places, bounds, bounds[1:], strict=False):
        found.append(place - (before + count) * ended + before * began)
        before += count
    return found
