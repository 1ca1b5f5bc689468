"""Dead letters: what was told and cannot have been so, with the reason why it is in no chain."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, select

from exuvia.model.facts import microseconds
from exuvia.record import tables
from exuvia.record.moments import moment

PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What was told to the chain of a cluster, when it came in and why it was refused. `entry`: what it would be."""

    cluster: str
    recorded: datetime
    reason: str
    entry: dict[str, Any]


def clusters(connection: Connection) -> tuple[str, ...]:
    """Every cluster of which there is any."""
    return tuple(connection.scalars(select(tables.dead_letters.c.cluster).distinct()))


def letters(
    connection: Connection, *, cluster: str | None = None, since: datetime | None = None, limit: int = 0
) -> Generator[Letter]:
    """The last `limit` (0: all) that came in since, oldest first; of one cluster, or of all. Close it before the
    connection."""
    table = tables.dead_letters
    chosen = select(table).order_by(table.c.id.desc() if limit else table.c.id)
    if cluster is not None:
        chosen = chosen.where(table.c.cluster == cluster)
    if since is not None:
        chosen = chosen.where(table.c.recorded >= microseconds(since))
    with connection.execute(chosen.execution_options(yield_per=PAGE)) as rows:
        last = reversed(tuple(islice(rows, limit))) if limit else rows
        for row in last:
            yield Letter(
                cluster=row.cluster, recorded=moment(row.recorded), reason=row.reason, entry=json.loads(row.body)
            )
