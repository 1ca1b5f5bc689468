"""Where the counters of the metrics begin after a start: from all that is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, case, func, select

from exuvia.model.facts import FactKind, microseconds
from exuvia.record import checkpoints, tables, versions
from exuvia.record.belonging import told_in

_Key = TypeVar("_Key")
_Number = TypeVar("_Number", int, float)
UNSCANNED = '"scanned":false'
"""As it stands in the canonical JSON of an entry; inside a string each quote has a backslash before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Counters of the metrics, from all that is recorded."""

    records: dict[str, int]
    births: dict[tuple[str, str], int]
    deaths: dict[tuple[str, str, str], int]
    rotations: dict[tuple[str, str], int]
    noncompliant_seconds: dict[tuple[str, str], float]
    unscanned: dict[str, int]  # by pool


def counts(connection: Connection, now: datetime, *, cluster: str) -> Counts:
    """Of one cluster, what was pruned counted as ever. Open verdicts count up to `now`."""
    found = standing(connection, now, cluster=cluster)
    return _added(found, read(checkpoints.carried(connection, cluster)), 1)


def difference(more: Counts, less: Counts) -> Counts:
    """What `more` has beyond `less`."""
    return _added(more, less, -1)


def written(found: Counts) -> dict[str, Any]:
    """As a checkpoint carries it: lists of what it is and how much; seconds as whole microseconds."""
    return {
        "records": [[kind, count] for kind, count in sorted(found.records.items()) if count],
        "births": [[*key, count] for key, count in sorted(found.births.items()) if count],
        "deaths": [[*key, count] for key, count in sorted(found.deaths.items()) if count],
        "rotations": [[*key, count] for key, count in sorted(found.rotations.items()) if count],
        "noncompliant": [
            [*key, round(seconds * 1e6)] for key, seconds in sorted(found.noncompliant_seconds.items()) if seconds
        ],
        "unscanned": [[pool, count] for pool, count in sorted(found.unscanned.items()) if count],
    }


def read(body: Mapping[str, Any]) -> Counts:
    """From what a checkpoint carries; nothing carried is nothing."""
    noncompliant = {(policy, severity): micros / 1e6 for policy, severity, micros in body.get("noncompliant", ())}
    return Counts(
        records=dict(body.get("records", ())),
        births={(kind, pool): count for kind, pool, count in body.get("births", ())},
        deaths={(kind, pool, reason): count for kind, pool, reason, count in body.get("deaths", ())},
        rotations={(policy, result): count for policy, result, count in body.get("rotations", ())},
        noncompliant_seconds=noncompliant,
        unscanned=dict(body.get("unscanned", ())),
    )


def _added(one: Counts, other: Counts, sign: int) -> Counts:
    return Counts(
        records=_sum(one.records, other.records, sign),
        births=_sum(one.births, other.births, sign),
        deaths=_sum(one.deaths, other.deaths, sign),
        rotations=_sum(one.rotations, other.rotations, sign),
        noncompliant_seconds=_sum(one.noncompliant_seconds, other.noncompliant_seconds, sign),
        unscanned=_sum(one.unscanned, other.unscanned, sign),
    )


def _sum(one: Mapping[_Key, _Number], other: Mapping[_Key, _Number], sign: int) -> dict[_Key, _Number]:
    found = dict(one)
    for key, count in other.items():
        found[key] = found[key] + sign * count if key in found else sign * count
    return found


def standing(connection: Connection, now: datetime, *, cluster: str) -> Counts:
    """Of what stands in the tables alone."""
    entries = tables.entries
    records = select(entries.c.kind, func.count()).where(entries.c.cluster == cluster).group_by(entries.c.kind)
    births, deaths = _lives(connection, cluster)
    return Counts(
        records={row[0]: row[1] for row in connection.execute(records)},
        births=births,
        deaths=deaths,
        rotations=_outcomes(connection, cluster),
        noncompliant_seconds=_noncompliant(connection, microseconds(now), cluster),
        unscanned=_unscanned(connection, cluster),
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


def _unscanned(connection: Connection, cluster: str) -> dict[str, int]:
    """Deaths before any report, by pool. An entry says so, and the row of the life that it ended says of which pool."""
    entries, lives = tables.entries, tables.lives
    rows = connection.execute(
        select(lives.c.pool, func.count())
        .join(entries, (entries.c.cluster == lives.c.cluster) & (entries.c.seq == lives.c.seq))
        .where(entries.c.kind == FactKind.DEATH, entries.c.cluster == cluster)
        .where(entries.c.body.contains(UNSCANNED, autoescape=True))
        .group_by(lives.c.pool)
    )
    return {row[0]: row[1] for row in rows}


def _outcomes(connection: Connection, cluster: str) -> dict[tuple[str, str], int]:
    table, found = tables.operations, dict[tuple[str, str], int]()
    rows = connection.execute(
        select(table.c.policy, table.c.result, func.count())
        .where(table.c.kind == "Rotation", table.c.event == "ended", told_in(table, cluster))
        .group_by(table.c.policy, table.c.result)
    )
    for policy, result, count in rows:
        key = (policy, result.split("/")[0])
        found[key] = found.get(key, 0) + count
    return found


def _noncompliant(connection: Connection, now: int, cluster: str) -> dict[tuple[str, str], float]:
    """Seconds that machines were violating, by policy and severity: each verdict lasts until the next, or its death."""
    changes = verdict_changes(cluster)
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


def verdict_changes(cluster: str) -> Any:
    """Every change of a verdict that a cluster told, and `following`: the moment of the next one of that machine and
    policy, or NULL."""
    table = tables.verdicts
    following = func.lead(table.c.at).over(partition_by=(table.c.uid, table.c.policy), order_by=table.c.seq)
    return select(table, following.label("following")).where(told_in(table, cluster)).subquery()
