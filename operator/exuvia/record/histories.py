"""The past of every instance, streamed machine by machine: all that was recorded of it up to a moment.

Three ordered reads go side by side, so that memory does not grow with the fleet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby, starmap
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, or_, select

from exuvia.model.histories import Freeze, Life, Past, Presence, Score
from exuvia.record import belonging, tables

PAGE = 5000
CHUNK = 200


def pasts(
    connection: Connection, until: int, *, uid: str = "", cluster: str | None = None, at: int | None = None
) -> Iterator[Past]:
    """Every machine, or the one of a UID, with all versions recorded up to then (microseconds), ordered by UID.

    Versions of one thing stand in the order in which they hold: of equal `recorded` the last holds. With `cluster`
    only machines of that one, with `at` only those that any version says to have lived at that moment; a machine
    without a known life comes along only without these.
    """
    with ExitStack() as opened:
        groups = []
        for table, make in _TABLES:
            chosen = _ordered(table, make, until).where(*_asked(table, until, uid, cluster, at))
            rows = opened.enter_context(connection.execute(chosen, execution_options={"yield_per": PAGE}))
            groups.append(groupby(starmap(make, rows), key=attrgetter("uid")))
        yield from map(_past, _side_by_side(groups))


def scores(connection: Connection, until: int, *, vulnerabilities: Iterable[str] | None = None) -> tuple[Score, ...]:
    """Every score that was recorded up to then, or those of some vulnerabilities; the versions of each thing stand in
    the order in which they hold."""
    chosen, name = _ordered(tables.scores, Score, until), tables.scores.c.vulnerability
    parts = [chosen] if vulnerabilities is None else [chosen.where(name.in_(some)) for some in chunks(vulnerabilities)]
    return tuple(one for part in parts for one in starmap(Score, connection.execute(part)))


def chunks(names: Iterable[str]) -> Iterator[Sequence[str]]:
    """So many names as one statement may ask for, each once and in order."""
    asked = sorted(set(names))
    yield from (asked[start : start + CHUNK] for start in range(0, len(asked), CHUNK))


def _ordered(table: Table, make: Callable[..., Any], until: int) -> Select[Any]:
    """The columns of a noun, in the order of the primary key: by machine, thing, and when it was learnt."""
    chosen = select(*(table.c[one] for one in _COLUMNS[make])).where(table.c.recorded <= until)
    return chosen.order_by(*table.primary_key.columns)


def _asked(table: Table, until: int, uid: str, cluster: str | None, at: int | None) -> Iterator[ColumnElement[bool]]:
    if uid:
        yield table.c.uid == uid
    if cluster is not None:
        yield table.c.uid.in_(belonging.members(cluster))
    if at is not None:
        lives = tables.lives.c
        lived = or_(lives.died.is_(None), lives.died > at)
        yield table.c.uid.in_(select(lives.uid).where(lives.recorded <= until, lives.born <= at, lived))


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
