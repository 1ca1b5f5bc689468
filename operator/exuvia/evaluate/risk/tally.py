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

    An account is a number, and its edges are some of `edges`: so a bin is found by an integer of both. `began` and
    `ended` are where each bin begins and ends, `account` whose it is, `first` the first one of that account.
    """

    def __init__(self, edges: Iterable[int], length: int) -> None:
        self._edges = np.unique(np.array(list(edges), dtype=np.int64))
        self._stride = len(self._edges) + 1
        self._keys: Column = np.zeros(0, dtype=np.int64)
        self._length = length
        self._accounts = 0
        self.account, self.first, self.began, self.ended = np.zeros((4, 0), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.account)

    def add(self, accounts: list[tuple[int, ...]]) -> None:
        """More accounts, each by its edges in order. The bins of others stay where they are."""
        edges = np.array([edge for edges in accounts for edge in edges], dtype=np.int64)
        sizes = np.array([len(edges) for edges in accounts], dtype=np.int64)
        numbers = np.arange(self._accounts, self._accounts + len(accounts))
        keys = np.repeat(numbers, sizes) * self._stride + np.searchsorted(self._edges, edges, "right")
        first, start = np.cumsum(sizes) - sizes, len(self)
        self.account = np.append(self.account, np.repeat(numbers, sizes + 1))
        self.first = np.append(self.first, np.repeat(start + first + np.arange(len(sizes)), sizes + 1))
        self.began = np.append(self.began, np.insert(edges, first, 0))
        self.ended = np.append(self.ended, np.insert(edges, first + sizes, self._length))
        self._keys = np.append(self._keys, keys)
        self._accounts += len(accounts)

    def of(self, account: Column, place: Column) -> Column:
        """The bins into which places fall. Asked for account by account, they are found three times as fast; and what
        is on a machine often begins and ends together."""
        fresh = np.append(True, place[1:] != place[:-1])[: len(place)]
        keys = account * self._stride + np.searchsorted(self._edges, place[fresh], "right")[np.cumsum(fresh) - 1]
        order = np.argsort(account.astype(np.uint16), kind="stable")
        found = np.empty_like(account)
        found[order] = np.searchsorted(self._keys, keys[order], "right")
        return found + account


class Tally:
    """How much of many intervals lies in each bin. Integers: exact, and in any order the same."""

    def __init__(self, bins: Bins) -> None:
        self._bins = bins
        self._sums = np.zeros((3, 0), dtype=np.int64)

    def begin(self, bins: Column, places: Column, count: Column | int = 1) -> None:
        """Intervals begin, so many of each. Without an end they last until the window ends."""
        counts, high, low = self._grown()
        np.subtract.at(counts, bins, count)
        np.subtract.at(high, bins, (places >> SHIFT) * count)
        np.subtract.at(low, bins, (places & LOW) * count)

    def end(self, bins: Column, places: Column) -> None:
        """Intervals end."""
        counts, high, low = self._grown()
        np.add.at(counts, bins, 1)
        np.add.at(high, bins, places >> SHIFT)
        np.add.at(low, bins, places & LOW)

    def lengths(self) -> list[int]:
        """How much lies in each bin. What has no end ends with the window."""
        counts, high, low = self._grown()
        if not self._sums.any():
            return [0] * len(counts)
        until = np.cumsum(counts)
        before = until - counts
        outside = before[self._bins.first]
        places = (high.astype(object) << SHIFT) + low
        left = (until - outside).astype(object) * self._bins.ended - (before - outside).astype(
            object
        ) * self._bins.began
        return list((places - left).tolist())

    def _grown(self) -> Any:
        missing = len(self._bins) - self._sums.shape[1]
        if missing:
            self._sums = np.pad(self._sums, ((0, 0), (0, missing)))
        return self._sums
