"""How long a vulnerability was on a machine, and why that ended: one closure for each maximal union of its rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from exuvia.evaluate.risk import spans
from exuvia.evaluate.risk.spans import Spans
from exuvia.model.told import OPEN, Column, Rows


class Held(NamedTuple):
    """The maximal times in which a vulnerability was on a machine, inside of its life, by the account of K. `ended` is
    OPEN where it still is. In order of machine, vulnerability and time."""

    machine: Column
    what: Column
    began: Column
    ended: Column
    word: Column


def lives(rows: Rows) -> Rows:
    """The life of each machine that has one, by the account of K."""
    found = spans.current(rows, spans.things(rows, lives=True))
    return Rows(*(one[found] for one in rows))


def held(presences: Rows, alive: Rows, machines: int) -> Held:
    """What was on machines. Without a life nothing was.

    The reason is that of the row that ends last; of several the one recorded last, then the greater word.
    """
    rows = _cut(presences, alive, machines)
    spans_ = Spans(np.cumsum(spans.changes(rows.machine, rows.what)), rows.began, rows.ended)
    first = spans.runs(spans_)
    begins, ends = _edges(rows, first)
    return Held(rows.machine[begins], rows.what[begins], rows.began[begins], rows.ended[ends], rows.word[ends])


def _cut(presences: Rows, alive: Rows, machines: int) -> Rows:
    """The rows that hold, cut to the lives; what is empty then falls away. What a death ends has its word."""
    born, died, word = (np.zeros(machines, dtype=np.int64) for _ in range(3))
    born[alive.machine], died[alive.machine], word[alive.machine] = alive.began, alive.ended, alive.word
    holding = spans.current(presences, spans.things(presences))
    chosen = slice(None) if holding.all() else np.flatnonzero(holding)
    machine, ended = presences.machine[chosen], presences.ended[chosen]
    began = np.maximum(presences.began[chosen], born[machine])
    over = (ended > died[machine]) | (ended == OPEN)
    ended = np.minimum(ended, died[machine])
    rows = Rows(
        machine, presences.what[chosen], presences.recorded[chosen], began, ended,
        np.where(over, word[machine], presences.word[chosen]),
    )  # fmt: skip
    real = began < ended
    return rows if real.all() else Rows(*(one[real] for one in rows))


def _edges(rows: Rows, first: spans.Mask) -> tuple[Any, Any]:
    """The rows in which each union begins, and those that end it last."""
    if first.all():
        return slice(None), slice(None)
    run = np.cumsum(first)
    order = np.lexsort((rows.word, rows.recorded, rows.ended, run))
    return np.flatnonzero(first), order[spans.last(spans.changes(run))]
