"""What the risk report must still know of machines that were pruned: on how many of them each vulnerability was.

One of its models, `undead`, counts what was ever there until today. So that a report about a time after the cut stays
the same, a checkpoint carries the number of pruned findings; here they come back as machines that lived for a moment
before the cut, with nothing known of them but that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, func, literal, select

from exuvia.model.histories import RETRACTED
from exuvia.model.told import Told
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


def departed(connection: Connection, until: int) -> Iterator[Told]:
    """Machines that stand for those that were pruned, if they were before that moment (microseconds)."""
    for cluster in queries.clusters(connection):
        for seq, body in checkpoints.last(connection, cluster)[-1:]:
            cut, carried = body["cut"], body.get("carried", {}).get("presences", ())
            if cut <= until:
                yield from _told(f"pruned under {cluster}/{seq}", cut, dict(carried))


def _told(uid: str, cut: int, counts: dict[str, int]) -> Iterator[Told]:
    """As few machines as there can be: each has every vulnerability that was on so many."""
    names, number = sorted(counts), 0
    began, ended = cut - 2, cut - 1
    while names := [name for name in names if counts[name] > number]:
        number += 1
        named = f"{uid}, {number}"
        life = (named, began, began, ended, "", False)
        yield Told(named, [life], ((named, "", began, began, ended, "", False),), (), names)


def _was_there(found: Any, lives: Any) -> ColumnElement[bool]:
    """For more than no time, inside of the life."""
    ended = func.coalesce(found.ended, versions.INSTANT)
    return and_(found.began < ended, found.began < lives.died, lives.born < ended, lives.born < lives.died)


def _frozen_for_ever(uid: ColumnElement[str]) -> ColumnElement[bool]:
    """Died frozen: it counts for nothing after that."""
    table = tables.freezes
    open_ = and_(table.c.uid == uid, table.c.ended.is_(None), table.c.withdrawn.is_(False), versions.holds(table))
    return exists(select(literal(1)).select_from(table).where(open_))
