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
from exuvia.record import tables
from exuvia.record.queries import moment

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


def lives(connection: Connection) -> dict[str, Life]:
    """UID -> life of every instance without a recorded death."""
    table = tables.instances
    columns = select(table.c.uid, table.c.kind, table.c.pool, table.c.born)
    rows = connection.execute(columns.where(table.c.died.is_(None)))
    return {row.uid: Life(kind=row.kind, pool=row.pool, born=moment(row.born)) for row in rows}


def running(connection: Connection) -> dict[str, datetime]:
    """UID of a pod -> when it began, of every placement without an end."""
    table = tables.placements
    rows = connection.execute(select(table.c.pod_uid, table.c.began).where(table.c.ended.is_(None)))
    return {row.pod_uid: moment(row.began) for row in rows}


def bearers(connection: Connection, attribute: str) -> set[str]:
    """UIDs of living instances that bear any value of an attribute now."""
    table = tables.identities
    return set(connection.scalars(select(table.c.uid).where(table.c.attribute == attribute, table.c.ended.is_(None))))


def brake_known(connection: Connection, name: str) -> bool:
    """Whether anything was ever recorded of a brake."""
    table = tables.entries
    rows = connection.scalars(select(table.c.body).where(table.c.kind == FactKind.BRAKE))
    return any(json.loads(body)["body"].get("brake") == name for body in rows)


def unfinished(connection: Connection, epoch: int) -> list[tuple[int, str]]:
    """(number, operation UID) of every intent of former leaders that has no outcome."""
    table, entries = tables.intents, tables.entries
    rows = connection.execute(
        select(table.c.seq, table.c.operation)
        .join(entries, entries.c.seq == table.c.seq)
        .where(table.c.outcome.is_(None), entries.c.epoch < epoch)
        .order_by(table.c.seq)
    )
    return [(int(row.seq), str(row.operation)) for row in rows]


def started(connection: Connection) -> set[str]:
    """UIDs of every operation whose start was recorded."""
    table = tables.operations
    return set(connection.scalars(select(table.c.uid).where(table.c.started.is_not(None))))


def steps(connection: Connection, operations: Iterable[str]) -> set[tuple[str, str]]:
    """(operation, step) of every intent of these operations, by UID."""
    table, uids, found = tables.intents, sorted(operations), set[tuple[str, str]]()
    for start in range(0, len(uids), CHUNK):
        some = table.c.operation.in_(uids[start : start + CHUNK])
        rows = connection.execute(select(table.c.operation, table.c.step).where(some))
        found |= {(str(row.operation), str(row.step)) for row in rows}
    return found


def ended(connection: Connection) -> set[str]:
    """UIDs of every operation whose end was recorded."""
    table = tables.operations
    return set(connection.scalars(select(table.c.uid).where(table.c.ended.is_not(None))))


def called_off(connection: Connection, result: str, since: datetime) -> list[CalledOff]:
    """Rotations that ended so since then."""
    table = tables.operations
    rows = connection.execute(
        select(table).where(table.c.kind == "Rotation", table.c.result == result, table.c.ended >= microseconds(since))
    )
    return [
        CalledOff(
            uid=row.uid,
            name=row.name,
            instance=row.instance,
            policy=row.policy,
            rule=row.rule,
            ended=moment(row.ended),
        )
        for row in rows
    ]


def released(connection: Connection, result: str, since: datetime) -> list[CalledOff]:
    """Quarantines that ended so since then, by a person's release, with its verdict."""
    table = tables.entries
    told = (table.c.kind == FactKind.OPERATION.value, table.c.recorded >= microseconds(since))
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


def borne(connection: Connection) -> dict[str, dict[str, set[str]]]:
    """UID -> attribute -> values that living instances bear, as last recorded."""
    table, found = tables.identities, dict[str, dict[str, set[str]]]()
    columns = select(table.c.uid, table.c.attribute, table.c.value)
    for row in connection.execute(columns.where(table.c.ended.is_(None))):
        found.setdefault(row.uid, {}).setdefault(row.attribute, set()).add(row.value)
    return found
