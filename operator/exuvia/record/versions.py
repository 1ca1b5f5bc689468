"""Two clocks in tables that only grow: which row of a thing holds, as known now or as of a moment (history.md)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Insert, Table, and_, exists, insert, literal, select, tuple_

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


@lru_cache(maxsize=64)
def adding(table: Table) -> Insert:
    """The statement that adds a row; made once: building statements costs most."""
    return insert(table)
