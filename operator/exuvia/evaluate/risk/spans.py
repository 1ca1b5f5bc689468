"""Intervals of many owners at once, as columns: whole fleets in a few steps. The same as `intervals` does for one.

Half-open `[began, ended)` in integers, never empty, in order of owner and begin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from exuvia.model.told import NEVER, OPEN, Column, Rows

Mask = NDArray[np.bool_]


class Spans(NamedTuple):
    """Intervals, each of an owner."""

    owner: Column
    began: Column
    ended: Column

    def chosen(self, which: Any) -> Spans:
        """Some of them: by a mask, or by their places in order."""
        return Spans(self.owner[which], self.began[which], self.ended[which])

    def real(self) -> Spans:
        """Without empty ones."""
        lasting = self.began < self.ended
        return self if lasting.all() else self.chosen(lasting)

    def within(self, began: int, ended: int) -> Spans:
        """Cut to an interval; what lies outside becomes empty, and adds up to nothing."""
        return Spans(self.owner, np.clip(self.began, began, ended), np.clip(self.ended, began, ended))


_NONE = Spans(*np.zeros((3, 0), dtype=np.int64))


def joined(parts: Iterable[Spans]) -> Spans:
    """All of them, in order."""
    found = list(parts)
    return found[0] if len(found) == 1 else Spans(*map(np.concatenate, zip(*(found or [_NONE]), strict=True)))


def changes(*columns: Column | Mask) -> Mask:
    """Where any of the columns is another than in the row before; in the first row always."""
    found = np.ones(len(columns[0]), dtype=np.bool_)
    if len(found):
        np.not_equal(columns[0][1:], columns[0][:-1], out=found[1:])
        for column in columns[1:]:
            found[1:] |= column[1:] != column[:-1]
    return found


def ordered(spans: Spans) -> Spans:
    """In order of owner and begin, without empty ones. They come in order of owner."""
    found = spans.real()
    if ((found.began[1:] < found.began[:-1]) & (found.owner[1:] == found.owner[:-1])).any():
        return found.chosen(np.lexsort((found.began, found.owner)))
    return found


def runs(spans: Spans) -> Mask:
    """Where a new maximal union begins: in the first of its spans. What touches is one."""
    found = changes(spans.owner)
    if not found.all():
        found[1:] |= spans.began[1:] > _reach(spans)[:-1]
    return found


def _reach(spans: Spans) -> Column:
    """The latest end of an owner so far. Ends are compared by rank, which leaves room for the owner above it."""
    ends, rank = np.unique(spans.ended, return_inverse=True)
    reached: Column = ends[np.maximum.accumulate(spans.owner * len(ends) + rank) % len(ends)]
    return reached


def union(spans: Spans) -> Spans:
    """The maximal unions of each owner."""
    found = ordered(spans)
    first = runs(found)
    if first.all():
        return found
    begins = np.flatnonzero(first)
    return Spans(found.owner[begins], found.began[begins], np.maximum.reduceat(found.ended, begins))


PAIRS = 1 << 18
"""So many at once, or those of one span if it has more."""


def meeting(spans: Spans, machine: Column, others: Spans, machines: int) -> Iterator[Spans]:
    """What each span shares with those of its machine. The owners of `others` are machines, and it is a union.

    In parts, in order: the pairs of a machine may be as many as the square of its rows.
    """
    counts = np.bincount(others.owner, minlength=machines)
    firsts, pairs = (np.cumsum(counts) - counts)[machine], counts[machine]
    before = np.cumsum(pairs) - pairs
    cuts = np.flatnonzero(changes(before // PAIRS))
    for begin, end in pairwise([*cuts.tolist(), len(machine)]):
        part = slice(begin, end)
        place = np.repeat(np.arange(begin, end), pairs[part])
        other = firsts[place] + np.arange(len(place)) - (before - before[begin])[place]
        began = np.maximum(spans.began[place], others.began[other])
        ended = np.minimum(spans.ended[place], others.ended[other])
        yield Spans(spans.owner[place], began, ended).real()


def things(rows: Rows, *, lives: bool = False) -> Mask:
    """Where the versions of a thing begin. A machine has one life, whatever moments its versions say."""
    return changes(rows.machine) if lives else changes(rows.machine, rows.what, rows.began)


def last(first: Mask) -> Mask:
    """Where the versions of a thing end, by where they begin."""
    return np.append(first[1:], True) if len(first) else first


def current(rows: Rows, first: Mask) -> Mask:
    """The last version of each thing, unless that takes it back: what holds by the account of K."""
    found: Mask = last(first) & (rows.word != NEVER)
    return found


def accounts(rows: Rows, first: Mask, owner: Column) -> Spans:
    """When each version was so while it was the account: until the next one of its thing was recorded."""
    until = np.where(last(first), OPEN, np.append(rows.recorded[1:], OPEN))
    ended = np.where(rows.word == NEVER, -OPEN, np.minimum(rows.ended, until))
    return Spans(owner, np.maximum(rows.began, rows.recorded), ended).real()
