"""Questions to the ledger: who bore a name or address at a time, the whole life of an instance, counts and rates."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, LargeBinary, case, cast, func, or_, select

from exuvia.model.facts import microseconds
from exuvia.record import chain, tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A pod that ran on an instance; `ended` None: it runs still."""

    pod_uid: str
    namespace: str
    name: str
    service_account: str
    owner: str
    images: tuple[str, ...]
    began: datetime
    ended: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """An instance that bore what was asked for. `certainty`: certain, uncertain (its end is known only within an
    interval), ambiguous (several bore it)."""

    uid: str
    name: str
    born: datetime
    died: datetime | None
    certainty: str
    reason: str
    placements: tuple[Placement, ...]


def who(connection: Connection, attribute: str, value: str, at: datetime) -> tuple[Bearer, ...]:
    """Every instance that bore the value of an attribute (`name`, `address`, `providerID`, ...) at that moment."""
    when, table, lives = microseconds(at), tables.identities, tables.instances
    found = connection.execute(
        select(lives)
        .join(table, table.c.uid == lives.c.uid)
        .where(
            table.c.attribute == attribute,
            table.c.value == value,
            table.c.began <= when,
            or_(table.c.ended.is_(None), table.c.ended > when),
            or_(lives.c.died.is_(None), lives.c.died > when),
        )
        .order_by(lives.c.born, lives.c.uid)
    ).all()
    return tuple(_bearer(connection, row, when, several=len(found) > 1) for row in found)


def who_ran(connection: Connection, namespace: str, pod: str, at: datetime) -> tuple[Bearer, ...]:
    """Every instance that a pod of that name ran on at that moment."""
    when, table, lives = microseconds(at), tables.placements, tables.instances
    found = connection.execute(
        select(lives)
        .join(table, table.c.instance == lives.c.uid)
        .where(
            table.c.namespace == namespace,
            table.c.name == pod,
            table.c.began <= when,
            or_(table.c.ended.is_(None), table.c.ended > when),
        )
        .distinct()
    ).all()
    return tuple(_bearer(connection, row, when, several=len(found) > 1) for row in found)


def _bearer(connection: Connection, row: Any, when: int, *, several: bool) -> Bearer:
    within = row.died_not_before is not None and row.died_not_before <= when
    certainty = "ambiguous" if several else ("uncertain" if within else "certain")
    return Bearer(
        uid=row.uid,
        name=row.name,
        born=moment(row.born),
        died=None if row.died is None else moment(row.died),
        certainty=certainty,
        reason=row.reason or "",
        placements=tuple(_placements(connection, row.uid, when)),
    )


def _placements(connection: Connection, instance: str, when: int) -> Iterator[Placement]:
    table = tables.placements
    rows = connection.execute(
        select(table)
        .where(
            table.c.instance == instance,
            table.c.began <= when,
            or_(table.c.ended.is_(None), table.c.ended > when),
        )
        .order_by(table.c.namespace, table.c.name)
    )
    for row in rows:
        yield Placement(
            pod_uid=row.pod_uid,
            namespace=row.namespace,
            name=row.name,
            service_account=row.service_account,
            owner=row.owner,
            images=tuple(json.loads(row.images)),
            began=moment(row.began),
            ended=None if row.ended is None else moment(row.ended),
        )


def life(connection: Connection, uid: str) -> list[dict[str, Any]]:
    """Every entry that names an instance or one of its operations, in order: the whole life."""
    operations = {
        row.uid
        for row in connection.execute(select(tables.operations.c.uid).where(tables.operations.c.instance == uid))
    }
    wanted = {uid, *operations}
    found = []
    names = or_(*(tables.entries.c.body.contains(one, autoescape=True) for one in sorted(wanted)))
    for row in connection.execute(select(tables.entries).where(names).order_by(tables.entries.c.seq)):
        entry = json.loads(row.body)
        body = entry["body"]
        if wanted & {body.get("uid"), body.get("instance"), body.get("operation")}:
            found.append({"seq": row.seq, **entry})
    return found


def starts(connection: Connection, kind: str, since: datetime) -> list[tuple[str, datetime]]:
    """(operation UID, started) of every operation of a kind that started since."""
    table = tables.operations
    rows = connection.execute(
        select(table.c.uid, table.c.started).where(table.c.kind == kind, table.c.started >= microseconds(since))
    )
    return [(row.uid, moment(row.started)) for row in rows]


def open_verdicts(connection: Connection) -> dict[tuple[str, str], str]:
    """(instance UID, policy) -> verdict as last recorded."""
    table = tables.verdicts
    rows = connection.execute(select(table).where(table.c.ended.is_(None)))
    return {(row.uid, row.policy): row.result for row in rows}


def last_recorded(connection: Connection) -> datetime | None:
    """When the last entry was recorded."""
    found = connection.scalar(select(func.max(tables.entries.c.recorded)))
    return None if found is None else moment(found)


def greatest_epoch(connection: Connection) -> int:
    """The greatest epoch that any writer had."""
    return int(connection.scalar(select(func.max(tables.leadership.c.epoch))) or 0)


def unfinished_intents(connection: Connection, operation: str) -> list[int]:
    """Sequence numbers of intents of an operation without an outcome."""
    table = tables.intents
    return list(
        connection.scalars(select(table.c.seq).where(table.c.operation == operation, table.c.outcome.is_(None)))
    )


def links(connection: Connection) -> Iterator[chain.Link]:
    """The chain as stored, in order. A row whose columns say something else than its entry counts as changed."""
    table = tables.entries
    raw = cast(table.c.body, LargeBinary).label("raw")  # bytes: a changed one need not be UTF-8
    columns = (table.c.seq, cast(table.c.hash, LargeBinary).label("hash"), raw)
    claims = (table.c.kind, table.c.recorded, table.c.epoch)
    for row in connection.execute(select(*columns, *claims).order_by(table.c.seq)):
        body = bytes(row.raw or b"")
        honest = _agrees(body, (row.kind, row.recorded, row.epoch))
        yield chain.Link(seq=int(row.seq), hash=bytes(row.hash or b""), canonical=body if honest else b"")


def _agrees(body: bytes, claims: tuple[object, ...]) -> bool:
    try:
        entry = json.loads(body)
        return (entry["type"], entry["recorded"], entry["epoch"]) == claims
    except (ValueError, KeyError, TypeError):
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Counters of the metrics, from all that is recorded."""

    records: dict[str, int]
    births: dict[tuple[str, str], int]
    deaths: dict[tuple[str, str, str], int]
    rotations: dict[tuple[str, str], int]
    noncompliant_seconds: dict[tuple[str, str], float]


def counts(connection: Connection, now: datetime) -> Counts:
    """Where the counters begin after a start. Open verdicts count up to `now`."""
    lives, operations, verdicts, entries = tables.instances, tables.operations, tables.verdicts, tables.entries
    until = func.coalesce(verdicts.c.ended, microseconds(now))
    lasted = case((until > verdicts.c.began, until - verdicts.c.began), else_=0)
    return Counts(
        records=_pairs(connection, select(entries.c.kind, func.count()).group_by(entries.c.kind)),
        births={
            (row[0], row[1]): row[2]
            for row in connection.execute(
                select(lives.c.kind, lives.c.pool, func.count()).group_by(lives.c.kind, lives.c.pool)
            )
        },
        deaths={
            (row[0], row[1], row[2]): row[3]
            for row in connection.execute(
                select(lives.c.kind, lives.c.pool, lives.c.reason, func.count())
                .where(lives.c.died.is_not(None))
                .group_by(lives.c.kind, lives.c.pool, lives.c.reason)
            )
        },
        rotations=_outcomes(connection, operations),
        noncompliant_seconds={
            (row[0], row[1]): float(row[2]) / 1e6
            for row in connection.execute(
                select(verdicts.c.policy, verdicts.c.severity, func.sum(lasted))
                .where(verdicts.c.result == "violating")
                .group_by(verdicts.c.policy, verdicts.c.severity)
            )
        },
    )


def _outcomes(connection: Connection, table: Any) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    rows = connection.execute(
        select(table.c.policy, table.c.result, func.count())
        .where(table.c.kind == "Rotation", table.c.ended.is_not(None))
        .group_by(table.c.policy, table.c.result)
    )
    for policy, result, count in rows:
        key = (policy, result.split("/")[0])
        found[key] = found.get(key, 0) + count
    return found


def _pairs(connection: Connection, statement: Any) -> dict[str, int]:
    return {row[0]: row[1] for row in connection.execute(statement)}


def moment(microseconds_: int) -> datetime:
    """From whole microseconds since 1970, exactly."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds_)
