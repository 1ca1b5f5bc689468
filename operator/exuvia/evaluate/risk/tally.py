"""Adding up many intervals against fixed edges: two look-ups an interval, whatever the number of edges.

For an interval only its two ends are noted, in the bin between two edges into which they fall: how many, and where. How
much of all intervals lies in each bin is a running sum over the bins, made once at the end.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import pairwise

from exuvia.model.risks import Window


class Tally:
    """How much of many intervals lies between neighbouring edges. Integers: exact, and in any order the same."""

    __slots__ = ("counts", "edges", "places")

    def __init__(self, edges: tuple[int, ...] = ()) -> None:
        self.edges = edges
        self.counts = [0] * (len(edges) + 1)
        self.places = [0] * (len(edges) + 1)

    def add(self, began: int, ended: int) -> None:
        """An interval that lies within the window of `lengths`."""
        if not self.edges:
            self.places[0] += ended - began
            return
        first, last = bisect_right(self.edges, began), bisect_right(self.edges, ended)
        self.places[first] -= began
        self.places[last] += ended
        self.counts[first] -= 1
        self.counts[last] += 1

    def add_begins(self, moments: list[int]) -> None:
        """The beginnings of many intervals at once, sorted. Without an end they last until the window ends."""
        self._add_all(moments, -1)

    def add_ends(self, moments: list[int]) -> None:
        """The ends of many intervals at once, sorted."""
        self._add_all(moments, 1)

    def _add_all(self, moments: list[int], sign: int) -> None:
        bounds = [bisect_left(moments, edge) for edge in self.edges]
        for place, (first, last) in enumerate(pairwise((0, *bounds, len(moments)))):
            if first < last:
                self.places[place] += sign * sum(moments[first:last])
                self.counts[place] += sign * (last - first)

    def lengths(self, window: Window) -> list[int]:
        """How much lies in each bin; the edges lie inside of the window. What has no end ends with the window."""
        counts, places = list(self.counts), list(self.places)
        endless = -sum(counts)
        counts[-1] += endless
        places[-1] += endless * window.ended
        bounds = (window.began, *self.edges, window.ended)
        found, before = [], 0
        for place, count, began, ended in zip(places, counts, bounds, bounds[1:], strict=False):
            found.append(place - (before + count) * ended + before * began)
            before += count
        return found
