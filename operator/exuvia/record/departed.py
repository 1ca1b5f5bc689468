"""What the risk report must still know of machines that were pruned: on how many of them each vulnerability was.

One of its models, `undead`, counts what was ever there until today. So that a report about a time after the cut stays
the same, a checkpoint carries the number of pruned findings, apart those of machines that died frozen; they come back
as numbers, and cost no more the more machines there were. When and why each finding ended is pruned with it: no report
says of them that anything was closed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, and_, exists, func, literal, select

from exuvia.model.histories import RETRACTED
from exuvia.model.told import Gone, Numbers, Page, rows
from exuvia.record import checkpoints, queries, tables, versions

RUNNING, FROZEN = "presences", "frozenPresences"
"""Under which names a checkpoint carries them: those of machines that ran, and those of machines that died frozen."""


def counted(connection: Connection, uids: Collection[str]) -> dict[str, Counter[str]]:
    """Vulnerability -> how many of these machines, all of them dead, really had it; by the name to carry it under."""
    lives, found = tables.lives, tables.presences
    chosen = (
        select(found.c.vulnerability, func.count(func.distinct(found.c.uid)))
        .select_from(found.join(lives, lives.c.uid == found.c.uid))
        .where(found.c.uid.in_(uids), versions.holds(found), versions.holds(lives))
        .where(found.c.withdrawn.is_(False), found.c.closed != RETRACTED, lives.c.withdrawn.is_(False))
        .where(_was_there(found.c, lives.c))
        .group_by(found.c.vulnerability)
    )
    frozen = _frozen_for_ever(found.c.uid)
    kinds = {RUNNING: chosen.where(~frozen), FROZEN: chosen.where(frozen)}
    return {name: Counter({row[0]: int(row[1]) for row in connection.execute(one)}) for name, one in kinds.items()}


def departed(connection: Connection, until: int, known: Numbers, *, cluster: str | None = None) -> Iterator[Page]:
    """The numbers of those that were pruned, if they were before that moment (microseconds)."""
    for cut, carried in _carried(connection, cluster):
        if cut <= until:
            for name in (RUNNING, FROZEN):
                gone = _gone(cut, dict(carried.get(name, ())), known, frozen=name == FROZEN)
                yield Page(0, rows(()), rows(()), rows(()), tuple(known), gone)


def names(connection: Connection) -> set[str]:
    """The vulnerabilities of all that were pruned."""
    carried = [one for _, one in _carried(connection, None)]
    return {str(found) for one in carried for name in (RUNNING, FROZEN) for found, _ in one.get(name, ())}


def _carried(connection: Connection, cluster: str | None) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The cut of the last pruning of each cluster, and what it carries."""
    for name in queries.clusters(connection) if cluster is None else (cluster,):
        for _, body in checkpoints.last(connection, name)[-1:]:
            yield body["cut"], body.get("carried", {})


def _gone(cut: int, counts: Mapping[str, int], known: Numbers, *, frozen: bool) -> Gone:
    whats = np.array([known[name] for name in counts], dtype=np.int64)
    return Gone(since=cut, what=whats, machines=np.array([*counts.values()], dtype=np.int64), frozen=frozen)


def _was_there(found: Any, lives: Any) -> ColumnElement[bool]:
    """For more than no time, inside of the life."""
    ended = func.coalesce(found.ended, versions.INSTANT)
    return and_(found.began < ended, found.began < lives.died, lives.born < ended, lives.born < lives.died)


def _frozen_for_ever(uid: ColumnElement[str]) -> ColumnElement[bool]:
    """Died frozen: it is weighed as such after that."""
    table = tables.freezes
    open_ = and_(table.c.uid == uid, table.c.ended.is_(None), table.c.withdrawn.is_(False), versions.holds(table))
    return exists(select(literal(1)).select_from(table).where(open_))
