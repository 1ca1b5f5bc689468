"""What a new leader recalls beside `queries`: who bore an attribute and lives, and which brakes were ever told of."""

from __future__ import annotations

import json

from sqlalchemy import Connection, select

from exuvia.model.facts import FactKind
from exuvia.record import tables


def bearers(connection: Connection, attribute: str) -> set[str]:
    """UIDs of living instances that bear any value of an attribute now."""
    table = tables.identities
    return set(connection.scalars(select(table.c.uid).where(table.c.attribute == attribute, table.c.ended.is_(None))))


def brake_known(connection: Connection, name: str) -> bool:
    """Whether anything was ever recorded of a brake."""
    table = tables.entries
    rows = connection.scalars(select(table.c.body).where(table.c.kind == FactKind.BRAKE))
    return any(json.loads(body)["body"].get("brake") == name for body in rows)
