"""The past of every instance, streamed machine by machine: all that was recorded of it up to a moment.

Three ordered reads go side by side, so that memory does not grow with the fleet.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Table, select

from exuvia.model.histories import Freeze, Life, Past, Presence, Score
from exuvia.record import tables

PAGE = 5000


def pasts(connection: Connection, until: int, *, uid: str = "", cluster: str = "") -> Iterator[Past]:
    """Every machine, or the one of a UID, with all versions recorded up to then (microseconds), ordered by UID.

    Versions of one thing stand in the order in which they hold: of equal `recorded` the last holds. With `cluster`
    only machines of that one; a machine without a known life comes along only without it.
    """
    rows = [_ordered(connection, table, make, until, uid) for table, make in _MAKERS]
    for named, group in groupby(heapq.merge(*rows, key=attrgetter("uid")), key=attrgetter("uid")):
        found = _past(named, group)
        if not cluster or _of_cluster(connection, named, cluster):
            yield found


def scores(connection: Connection, until: int, *, vulnerability: str = "") -> tuple[Score, ...]:
    """Every score that was recorded up to then, in the order in which the versions of each thing hold."""
    table = tables.scores
    chosen = select(table).where(table.c.recorded <= until).order_by(*table.primary_key.columns)
    if vulnerability:
        chosen = chosen.where(table.c.vulnerability == vulnerability)
    return tuple(
        Score(
            vulnerability=row.vulnerability,
            source=row.source,
            recorded=row.recorded,
            valid_from=row.valid_from,
            value=row.value,
            basis=row.basis,
            withdrawn=row.withdrawn,
        )
        for row in connection.execute(chosen)
    )


def _ordered(connection: Connection, table: Table, make: Callable[[Any], Any], until: int, uid: str) -> Iterator[Any]:
    chosen = select(table).where(table.c.recorded <= until).order_by(*table.primary_key.columns)
    if uid:
        chosen = chosen.where(table.c.uid == uid)
    return map(make, connection.execution_options(yield_per=PAGE).execute(chosen))


def _past(uid: str, group: Iterator[Life | Presence | Freeze]) -> Past:
    lives, presences, freezes = list[Life](), list[Presence](), list[Freeze]()
    for one in group:
        match one:
            case Life():
                lives.append(one)
            case Presence():
                presences.append(one)
            case Freeze():
                freezes.append(one)
    return Past(uid=uid, lives=tuple(lives), presences=tuple(presences), freezes=tuple(freezes))


def _of_cluster(connection: Connection, uid: str, cluster: str) -> bool:
    table = tables.lives
    return (
        connection.scalar(select(table.c.uid).where(table.c.uid == uid, table.c.cluster == cluster).limit(1))
        is not None
    )


def _life(row: Any) -> Life:
    return Life(
        uid=row.uid,
        recorded=row.recorded,
        born=row.born,
        died=row.died,
        kind=row.kind,
        name=row.name,
        pool=row.pool,
        zone=row.zone,
        not_before=row.died_not_before,
        reason=row.reason,
        persistent=row.persistent,
        withdrawn=row.withdrawn,
    )


def _presence(row: Any) -> Presence:
    return Presence(
        uid=row.uid,
        vulnerability=row.vulnerability,
        recorded=row.recorded,
        began=row.began,
        ended=row.ended,
        closed=row.closed,
        withdrawn=row.withdrawn,
    )


def _freeze(row: Any) -> Freeze:
    return Freeze(uid=row.uid, recorded=row.recorded, began=row.began, ended=row.ended, withdrawn=row.withdrawn)


_MAKERS: tuple[tuple[Table, Callable[[Any], Any]], ...] = (
    (tables.lives, _life),
    (tables.presences, _presence),
    (tables.freezes, _freeze),
)
