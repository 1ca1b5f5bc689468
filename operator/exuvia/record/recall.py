"""What a new leader recalls beside `queries`: who bore an attribute and lives, which brakes were ever told of, and
what a former leader did not bring to its end."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from exuvia.model.facts import FactKind, microseconds
from exuvia.record import tables, versions
from exuvia.record.belonging import told_in
from exuvia.record.moments import moment

CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class CalledOff:
    """A Rotation that a person called off, or a Quarantine that one released; `instance` is a UID. `verdict` and `by`
    are of a Quarantine only."""

    uid: str
    name: str
    instance: str
    policy: str
    rule: str
    ended: datetime
    verdict: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A machine that lives, as far as the ledger knows."""

    kind: str
    pool: str
    born: datetime


def lives(connection: Connection, cluster: str) -> dict[str, Life]:
    """UID -> life of every instance of a cluster without a recorded death."""
    table = tables.lives
    rows = connection.execute(
        select(table.c.uid, table.c.kind, table.c.pool, table.c.born).where(
            table.c.cluster == cluster,
            table.c.died.is_(None),
            table.c.withdrawn.is_(False),
            versions.holds(table),
        )
    )
    return {row.uid: Life(kind=row.kind, pool=row.pool, born=moment(row.born)) for row in rows}


def bearers(connection: Connection, attribute: str, cluster: str) -> set[str]:
    """UIDs of living instances that bear any value of an attribute now."""
    return {uid for uid, borne in _borne(connection, cluster, attribute).items() if borne}


def borne(connection: Connection, cluster: str) -> dict[str, dict[str, set[str]]]:
    """UID -> attribute -> values that living instances bear, as last recorded."""
    return _borne(connection, cluster)


def _borne(connection: Connection, cluster: str, attribute: str = "") -> dict[str, dict[str, set[str]]]:
    table, lives, found = tables.identities, tables.lives, dict[str, dict[str, set[str]]]()
    chosen = (
        select(table.c.uid, table.c.attribute, table.c.value)
        .join(lives, (lives.c.uid == table.c.uid) & (lives.c.declared == table.c.declared))
        .where(lives.c.cluster == cluster, lives.c.died.is_(None), versions.holds(lives))
        .where(table.c.ended.is_(None), versions.holds(table))
    )
    if attribute:
        chosen = chosen.where(table.c.attribute == attribute)
    for row in connection.execute(chosen):
        found.setdefault(row.uid, {}).setdefault(row.attribute, set()).add(row.value)
    return found


def brake_known(connection: Connection, name: str, cluster: str) -> bool:
    """Whether anything was ever recorded of a brake."""
    table = tables.entries
    chosen = select(table.c.body).where(table.c.kind == FactKind.BRAKE, table.c.cluster == cluster)
    return any(json.loads(body)["body"].get("brake") == name for body in connection.scalars(chosen))


def unfinished(connection: Connection, epoch: int, cluster: str) -> list[tuple[int, str]]:
    """(number, operation UID) of every intent of former leaders that has no outcome."""
    table, outcomes, entries = tables.intents, tables.outcomes, tables.entries
    done = (outcomes.c.cluster == table.c.cluster) & (outcomes.c.intent == table.c.seq)
    rows = connection.execute(
        select(table.c.seq, table.c.operation)
        .join(entries, (entries.c.cluster == table.c.cluster) & (entries.c.seq == table.c.seq))
        .join(outcomes, done, isouter=True)
        .where(table.c.cluster == cluster, outcomes.c.seq.is_(None), entries.c.epoch < epoch)
        .order_by(table.c.seq)
    )
    return [(int(row.seq), str(row.operation)) for row in rows]


def started(connection: Connection, cluster: str) -> set[str]:
    """UIDs of every operation of a cluster whose start was recorded."""
    return _with(connection, "started", cluster)


def steps(connection: Connection, operations: Iterable[str]) -> set[tuple[str, str]]:
    """(operation, step) of every intent of these operations, by UID."""
    table, uids, found = tables.intents, sorted(operations), set[tuple[str, str]]()
    for start in range(0, len(uids), CHUNK):
        some = table.c.operation.in_(uids[start : start + CHUNK])
        rows = connection.execute(select(table.c.operation, table.c.step).where(some))
        found |= {(str(row.operation), str(row.step)) for row in rows}
    return found


def ended(connection: Connection, cluster: str) -> set[str]:
    """UIDs of every operation of a cluster whose end was recorded."""
    return _with(connection, "ended", cluster)


def _with(connection: Connection, event: str, cluster: str) -> set[str]:
    table = tables.operations
    return set(connection.scalars(select(table.c.uid).where(table.c.event == event, told_in(table, cluster))))


def called_off(connection: Connection, result: str, since: datetime, cluster: str) -> list[CalledOff]:
    """Rotations of a cluster that ended so since then."""
    table = tables.operations
    rows = connection.execute(
        select(table).where(
            table.c.event == "ended",
            table.c.kind == "Rotation",
            table.c.result == result,
            table.c.at >= microseconds(since),
            told_in(table, cluster),
        )
    )
    return [
        CalledOff(
            uid=row.uid,
            name=row.name,
            instance=row.instance,
            policy=row.policy,
            rule=row.rule,
            ended=moment(row.at),
        )
        for row in rows
    ]


def released(connection: Connection, result: str, since: datetime, cluster: str) -> list[CalledOff]:
    """Quarantines that ended so since then, by a person's release, with its verdict."""
    table = tables.entries
    told = (
        table.c.kind == FactKind.OPERATION.value,
        table.c.cluster == cluster,
        table.c.recorded >= microseconds(since),
    )
    rows = connection.scalars(select(table.c.body).where(*told).order_by(table.c.seq))
    entries = [one for one in map(json.loads, rows) if one["body"].get("verdict")]
    return [_released(one) for one in entries if one["body"]["result"] == result]


def _released(entry: dict[str, Any]) -> CalledOff:
    body = entry["body"]
    return CalledOff(
        uid=body["uid"],
        name=body["name"],
        instance=body["instance"],
        policy=body["policy"],
        rule=body["rule"],
        ended=moment(entry["at"]),
        verdict=body["verdict"],
        by=body.get("releasedBy", ""),
    )
