"""Where the counters of the metrics begin after a start: from all that is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, func, select

from exuvia.model.facts import microseconds
from exuvia.record import tables, versions


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Counters of the metrics, from all that is recorded."""

    records: dict[str, int]
    births: dict[tuple[str, str], int]
    deaths: dict[tuple[str, str, str], int]
    rotations: dict[tuple[str, str], int]
    noncompliant_seconds: dict[tuple[str, str], float]


def counts(connection: Connection, now: datetime, *, cluster: str) -> Counts:
    """Of one cluster. Open verdicts count up to `now`."""
    entries = tables.entries
    records = select(entries.c.kind, func.count()).where(entries.c.cluster == cluster).group_by(entries.c.kind)
    births, deaths = _lives(connection, cluster)
    return Counts(
        records={row[0]: row[1] for row in connection.execute(records)},
        births=births,
        deaths=deaths,
        rotations=_outcomes(connection),
        noncompliant_seconds=_noncompliant(connection, microseconds(now)),
    )


def _lives(connection: Connection, cluster: str) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str, str], int]]:
    """Births by kind and pool; deaths by kind, pool and reason."""
    table = tables.lives
    columns = (table.c.kind, table.c.pool, table.c.reason, table.c.died.is_(None))
    chosen = select(*columns, func.count()).where(
        table.c.cluster == cluster, table.c.withdrawn.is_(False), versions.holds(table)
    )
    births, deaths = dict[tuple[str, str], int](), dict[tuple[str, str, str], int]()
    for kind, pool, reason, alive, count in connection.execute(chosen.group_by(*columns)):
        births[kind, pool] = births.get((kind, pool), 0) + count
        if not alive:
            deaths[kind, pool, reason] = deaths.get((kind, pool, reason), 0) + count
    return births, deaths


def _outcomes(connection: Connection) -> dict[tuple[str, str], int]:
    table, found = tables.operations, dict[tuple[str, str], int]()
    rows = connection.execute(
        select(table.c.policy, table.c.result, func.count())
        .where(table.c.kind == "Rotation", table.c.event == "ended")
        .group_by(table.c.policy, table.c.result)
    )
    for policy, result, count in rows:
        key = (policy, result.split("/")[0])
        found[key] = found.get(key, 0) + count
    return found


def _noncompliant(connection: Connection, now: int) -> dict[tuple[str, str], float]:
    """Seconds that machines were violating, by policy and severity: each verdict lasts until the next, or its death."""
    changes = verdict_changes()
    lives = select(tables.lives.c.uid, tables.lives.c.died).where(versions.holds(tables.lives)).subquery()
    until = func.coalesce(changes.c.following, lives.c.died, now)
    lasted = case((until > changes.c.at, until - changes.c.at), else_=0)
    rows = connection.execute(
        select(changes.c.policy, changes.c.severity, func.sum(lasted))
        .select_from(changes.outerjoin(lives, lives.c.uid == changes.c.uid))
        .where(changes.c.result == "violating")
        .group_by(changes.c.policy, changes.c.severity)
    )
    return {(row[0], row[1]): float(row[2]) / 1e6 for row in rows}


def verdict_changes() -> Any:
    """Every change of a verdict, and `following`: the moment of the next one of that machine and policy, or NULL."""
    table = tables.verdicts
    following = func.lead(table.c.at).over(partition_by=(table.c.uid, table.c.policy), order_by=table.c.seq)
    return select(table, following.label("following")).subquery()
