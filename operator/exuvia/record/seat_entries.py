"""What the ledger holds of the seats of one licence pool, streamed: it may be the history of years."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, select

from exuvia.model.facts import FactKind
from exuvia.record import tables

PAGE = 5000


def of_pool(connection: Connection, uid: str, cluster: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """When (microseconds) and what, of every change of the pool of that UID, oldest first. Closed where the walk ends
    early, too."""
    entries, mentions = tables.entries, tables.mentions
    chosen = (
        select(entries.c.body)
        .join(mentions, (mentions.c.cluster == entries.c.cluster) & (mentions.c.seq == entries.c.seq))
        .where(mentions.c.uid == uid, entries.c.cluster == cluster, entries.c.kind == FactKind.SEAT.value)
        .order_by(entries.c.seq)
    )
    with connection.execute(chosen.execution_options(yield_per=PAGE)) as rows:
        for (text,) in rows:
            entry = json.loads(text)
            yield int(entry["at"]), entry["body"]
