"""What the risk report must still know of machines that were pruned: on how many of them each vulnerability was.

One of its models, `undead`, counts what was ever there until today. So that a report about a time after the cut stays
the same, a checkpoint carries the number of pruned findings; here they come back as machines that lived for a moment
before the cut, with nothing known of them but that. When and why each finding ended is pruned with it: no report says
of them that anything was closed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, and_, exists, func, literal, select

from exuvia.model.histories import RETRACTED
from exuvia.model.told import DIED, NEVER, Column, Numbers, Page, Rows, rows
from exuvia.record import checkpoints, queries, tables, versions


def counted(connection: Connection, uids: Collection[str]) -> Counter[str]:
    """Vulnerability -> how many of these machines, all of them dead, really had it."""
    lives, found = tables.lives, tables.presences
    chosen = (
        select(found.c.vulnerability, func.count(func.distinct(found.c.uid)))
        .select_from(found.join(lives, lives.c.uid == found.c.uid))
        .where(found.c.uid.in_(uids), versions.holds(found), versions.holds(lives))
        .where(found.c.withdrawn.is_(False), found.c.closed != RETRACTED, lives.c.withdrawn.is_(False))
        .where(_was_there(found.c, lives.c), ~_frozen_for_ever(found.c.uid))
        .group_by(found.c.vulnerability)
    )
    return Counter({name: int(count) for name, count in connection.execute(chosen)})


BLOCK = 1000
"""Machines on a page."""

UNTOLD = NEVER - 1
"""Instead of a word: it was, and why it ended is not known any more. It is no closure, not even an unknown one."""


def departed(connection: Connection, until: int, known: Numbers, *, cluster: str | None = None) -> Iterator[Page]:
    """Machines that stand for those that were pruned, if they were before that moment (microseconds)."""
    for name in queries.clusters(connection) if cluster is None else (cluster,):
        for _, body in checkpoints.last(connection, name)[-1:]:
            cut, carried = body["cut"], body.get("carried", {}).get("presences", ())
            if cut <= until and carried:
                yield from _pages(cut, dict(carried), known)


def _pages(cut: int, counts: dict[str, int], known: Numbers) -> Iterator[Page]:
    """As few machines as there can be: each has every vulnerability that was on so many."""
    whats = np.array([known[name] for name in counts], dtype=np.int64)
    left = np.array(list(counts.values()), dtype=np.int64)
    while (size := min(int(left.max()), BLOCK)) > 0:
        machines = np.arange(size)
        machine, place = np.nonzero(machines[:, np.newaxis] < left)
        lives = _moment(machines, np.zeros_like(machines), cut, DIED)
        yield Page(size, lives, _moment(machine, whats[place], cut, UNTOLD), rows(()), tuple(known))
        left = left - size


def _moment(machine: Column, what: Column, cut: int, word: int) -> Rows:
    began = np.full_like(machine, cut - 2)
    return Rows(machine, what, began, began, began + 1, np.full_like(machine, word))


def _was_there(found: Any, lives: Any) -> ColumnElement[bool]:
    """For more than no time, inside of the life."""
    ended = func.coalesce(found.ended, versions.INSTANT)
    return and_(found.began < ended, found.began < lives.died, lives.born < ended, lives.born < lives.died)


def _frozen_for_ever(uid: ColumnElement[str]) -> ColumnElement[bool]:
    """Died frozen: it counts for nothing after that."""
    table = tables.freezes
    open_ = and_(table.c.uid == uid, table.c.ended.is_(None), table.c.withdrawn.is_(False), versions.holds(table))
    return exists(select(literal(1)).select_from(table).where(open_))
