"""Two clocks in tables that only grow: which row of a thing holds, as known now or as of a moment (history.md)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    Select,
    Table,
    and_,
    bindparam,
    desc,
    exists,
    insert,
    literal,
    select,
    tuple_,
)

KNOWN = ("recorded", "rank")
INSTANT = 2**62
"""Later than every moment: as of it everything recorded is known."""


@lru_cache(maxsize=64)
def key(table: Table) -> tuple[str, ...]:
    """The columns that say which thing a row is about."""
    return tuple(column.name for column in table.primary_key.columns if column.name not in KNOWN)


def holds(table: Any, until: int = INSTANT) -> ColumnElement[bool]:
    """Whether a row is the one that holds of its thing, of what was recorded up to then; a withdrawn row holds too."""
    later = _original(table).alias()
    same = and_(*(later.c[one] == table.c[one] for one in key(_original(table))))
    after = tuple_(later.c.recorded, later.c.rank) > tuple_(table.c.recorded, table.c.rank)
    superseded = exists(select(literal(1)).select_from(later).where(same, after, later.c.recorded <= until))
    return and_(table.c.recorded <= until, ~superseded)


def _original(table: Any) -> Table:
    found = getattr(table, "element", table)
    assert isinstance(found, Table)
    return found


def latest(connection: Connection, table: Table, **thing: Any) -> Any:
    """The row that holds of one thing, or None."""
    return connection.execute(_latest(table), {f"the_{name}": value for name, value in thing.items()}).first()


@lru_cache(maxsize=64)
def _latest(table: Table) -> Select[Any]:
    same = and_(*(table.c[one] == bindparam(f"the_{one}") for one in key(table)))
    return select(table).where(same).order_by(desc(table.c.recorded), desc(table.c.rank)).limit(1)


@lru_cache(maxsize=64)
def adding(table: Table) -> Insert:
    """The statement that adds a row; made once: building statements costs most."""
    return insert(table)


def add(connection: Connection, table: Table, row: Mapping[str, Any], *, rank: int = 0) -> None:
    """Add a row as it was learnt; `rank` tells it from others of the same thing and the same moment."""
    connection.execute(adding(table), {**row, "rank": rank})


def follow(connection: Connection, table: Table, row: Mapping[str, Any], former: Any = None) -> None:
    """Add a row that holds after `former`, the row of the same thing that held so far."""
    if former is None or former.recorded < row["recorded"]:
        add(connection, table, row)
    else:
        add(connection, table, {**row, "recorded": former.recorded}, rank=former.rank + 1)
