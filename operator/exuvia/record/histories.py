"""The past of every instance, streamed machine by machine: all that was recorded of it up to a moment.

Three ordered reads go side by side, so that memory does not grow with the fleet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, starmap
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
    groups = [groupby(_ordered(connection, *each, until, uid), key=attrgetter("uid")) for each in _TABLES]
    for found in map(_past, _side_by_side(groups)):
        if not cluster or _of_cluster(connection, found.uid, cluster):
            yield found


def scores(connection: Connection, until: int, *, vulnerability: str = "") -> tuple[Score, ...]:
    """Every score that was recorded up to then, in the order in which the versions of each thing hold."""
    table = tables.scores
    names = _COLUMNS[Score]
    chosen = select(*(table.c[one] for one in names)).where(table.c.recorded <= until)
    if vulnerability:
        chosen = chosen.where(table.c.vulnerability == vulnerability)
    return tuple(starmap(Score, connection.execute(chosen.order_by(*table.primary_key.columns))))


def _ordered(connection: Connection, table: Table, make: Callable[..., Any], until: int, uid: str) -> Iterator[Any]:
    """Rows as nouns, in the order of the primary key: by machine, thing, and when it was learnt."""
    names = _COLUMNS[make]
    chosen = select(*(table.c[one] for one in names)).where(table.c.recorded <= until)
    if uid:
        chosen = chosen.where(table.c.uid == uid)
    rows = connection.execution_options(yield_per=PAGE).execute(chosen.order_by(*table.primary_key.columns))
    return starmap(make, rows)


def _side_by_side(groups: Sequence[Iterator[tuple[str, Iterator[Any]]]]) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """UID after UID, with what each read has of it; each read is ordered by UID."""
    heads = [next(one, None) for one in groups]
    while any(heads):
        uid = min(head[0] for head in heads if head is not None)
        of = [tuple(head[1]) if head is not None and head[0] == uid else () for head in heads]
        yield uid, of
        heads = [
            next(group, None) if head is not None and head[0] == uid else head
            for group, head in zip(groups, heads, strict=True)
        ]


def _past(told: tuple[str, list[tuple[Any, ...]]]) -> Past:
    uid, (lives, presences, freezes) = told
    return Past(uid=uid, lives=lives, presences=presences, freezes=freezes)


def _of_cluster(connection: Connection, uid: str, cluster: str) -> bool:
    table = tables.lives
    return (
        connection.scalar(select(table.c.uid).where(table.c.uid == uid, table.c.cluster == cluster).limit(1))
        is not None
    )


_COLUMNS: dict[Callable[..., Any], tuple[str, ...]] = {
    Life: (
        *("uid", "recorded", "born", "died", "kind", "name", "pool", "zone"),
        *("died_not_before", "reason", "persistent", "withdrawn"),
    ),
    Presence: ("uid", "vulnerability", "recorded", "began", "ended", "closed", "withdrawn"),
    Freeze: ("uid", "recorded", "began", "ended", "withdrawn"),
    Score: ("vulnerability", "source", "recorded", "valid_from", "value", "basis", "withdrawn"),
}
"""The columns of each noun, in the order of its fields."""

_TABLES: tuple[tuple[Table, Callable[..., Any]], ...] = (
    (tables.lives, Life),
    (tables.presences, Presence),
    (tables.freezes, Freeze),
)
