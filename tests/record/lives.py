"""What the ledger holds of one machine or operation, entry by entry: what tests look at."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, select

from exuvia.record import queries, tables


def life(connection: Connection, uid: str) -> list[dict[str, Any]]:
    """Every entry about an instance or one of its operations, in order: the whole life."""
    return about(connection, queries.with_operations(connection, uid))


def about(connection: Connection, uids: set[str]) -> list[dict[str, Any]]:
    """Every entry about some instances or operations, in order."""
    table, entries = tables.mentions, tables.entries
    rows = connection.execute(
        select(entries.c.cluster, entries.c.seq, entries.c.body)
        .join(table, (table.c.cluster == entries.c.cluster) & (table.c.seq == entries.c.seq))
        .where(table.c.uid.in_(uids))
        .distinct()
        .order_by(entries.c.cluster, entries.c.seq)
    )
    return [{"seq": row.seq, **json.loads(row.body)} for row in rows]


def unfinished_intents(connection: Connection, operation: str) -> list[int]:
    """Sequence numbers of intents of an operation without an outcome."""
    table, outcomes = tables.intents, tables.outcomes
    done = (outcomes.c.cluster == table.c.cluster) & (outcomes.c.intent == table.c.seq)
    return list(
        connection.scalars(
            select(table.c.seq)
            .select_from(table.outerjoin(outcomes, done))
            .where(table.c.operation == operation, outcomes.c.seq.is_(None))
            .order_by(table.c.seq)
        )
    )
