"""The lives of machines alone, without what was on them: of each what holds of all that was recorded up to a moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import Connection, select

from exuvia.model.histories import Life
from exuvia.record import histories, tables, versions
from exuvia.record.who import of_cluster

PAGE = 5000


def names(connection: Connection, uids: Iterable[str]) -> dict[str, str]:
    """UID -> name of those of these machines of which any is known, also of the dead."""
    table, found = tables.lives, dict[str, str]()
    for some in histories.chunks(uids):
        rows = connection.execute(
            select(table.c.uid, table.c.name).where(table.c.uid.in_(some), table.c.name != "", versions.holds(table))
        )
        found |= {row.uid: row.name for row in rows}
    return found


def lives(connection: Connection, until: int, *, cluster: str | None = None) -> Iterator[tuple[str, Life]]:
    """(cluster, life) of every machine that was not taken back, by UID; of one cluster, or of all. `until` in
    microseconds. Read while it is asked for."""
    table = tables.lives
    chosen = (
        select(table)
        .where(versions.holds(table, until), table.c.withdrawn.is_(False), *of_cluster(cluster))
        .order_by(table.c.uid)
    )
    with connection.execute(chosen.execution_options(yield_per=PAGE)) as rows:
        for row in rows:
            yield (
                row.cluster,
                Life(
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
                ),
            )
