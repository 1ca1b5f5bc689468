"""From an entry to the tables that answer questions. Each kind of fact has one function; unknown kinds are refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Insert, Table, and_, case, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from exuvia.model.facts import Fact, FactKind, microseconds
from exuvia.record import tables

IDENTITY_ATTRIBUTES = ("name", "providerID", "machineID", "bootID")


def refusal(connection: Connection, fact: Fact) -> str:
    """Why a fact belongs to the dead letters, or "". What cannot have been so is never clipped silently."""
    check = _REFUSALS.get(fact.kind)
    return "" if check is None else check(connection, fact.body, microseconds(fact.at))


def _death_refused(connection: Connection, body: Mapping[str, Any], at: int) -> str:
    born = connection.scalar(select(tables.instances.c.born).where(tables.instances.c.uid == body["uid"]))
    return f"died {at} before it was born {born}" if born is not None and at < born else ""


def _placement_refused(connection: Connection, body: Mapping[str, Any], at: int) -> str:
    if body["event"] != "to":
        return ""
    began = connection.scalar(select(tables.placements.c.began).where(tables.placements.c.pod_uid == body["uid"]))
    return f"ended {at} before it began {began}" if began is not None and at < began else ""


def _outcome_refused(connection: Connection, body: Mapping[str, Any], _: int) -> str:
    """One outcome an intent (safety.md, 13)."""
    table = tables.intents
    row = connection.execute(select(table.c.outcome).where(table.c.seq == body["intent"])).first()
    if row is None:
        return f"there is no intent {body['intent']}"
    return "" if row.outcome is None else f"intent {body['intent']} has its outcome, entry {row.outcome}"


def project(connection: Connection, seq: int, fact: Fact) -> None:
    """Bring the tables up to one more entry."""
    handler = _HANDLERS.get(fact.kind)
    if handler is not None:
        handler(connection, seq, fact.body, microseconds(fact.at))


def _birth(connection: Connection, _: int, body: Mapping[str, Any], at: int) -> None:
    row = {
        "uid": body["uid"],
        "kind": body["kind"],
        "name": body["name"],
        "pool": body.get("pool", ""),
        "zone": body.get("zone", ""),
        "provider_id": body.get("providerID", ""),
        "machine_id": body.get("machineID", ""),
        "boot_id": body.get("bootID", ""),
        "born": at,
    }
    made = connection.execute(_once(connection.dialect.name, tables.instances), row)
    if not made.rowcount:
        return  # born already
    borne = [(attribute, str(body.get(attribute, ""))[:512]) for attribute in IDENTITY_ATTRIBUTES]
    borne += [("address", str(address)[:512]) for address in body.get("addresses", ())]
    rows = [
        {"uid": body["uid"], "attribute": attribute, "value": value, "began": at, "ended": None}
        for attribute, value in dict.fromkeys(borne)
        if value
    ]
    if rows:
        connection.execute(_once(connection.dialect.name, tables.identities), rows)


@lru_cache(maxsize=16)
def _once(dialect: str, table: Table) -> Insert:
    """An insert that leaves a row alone that is there already. Made once: building statements costs most."""
    if dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


def _bear(connection: Connection, uid: str, attribute: str, value: str, at: int) -> None:
    """From now on it bears that value. Bearing it already, or again from the same moment, is no second row."""
    if not value:
        return
    table, short = tables.identities, value[:512]
    same = and_(table.c.uid == uid, table.c.attribute == attribute, table.c.value == short)
    if connection.scalar(select(table.c.uid).where(same, table.c.ended.is_(None))) is not None:
        return
    again = connection.execute(update(table).where(same, table.c.began == at).values(ended=None))
    if not again.rowcount:
        connection.execute(insert(table).values(uid=uid, attribute=attribute, value=short, began=at, ended=None))


def _death(connection: Connection, _: int, body: Mapping[str, Any], at: int) -> None:
    table = tables.instances
    connection.execute(
        update(table)
        .where(table.c.uid == body["uid"], table.c.died.is_(None))
        .values(died=at, died_not_before=body.get("notBefore"), reason=body["reason"], died_by=body.get("by", "")[:512])
    )
    for other, key in ((tables.identities, "uid"), (tables.placements, "instance"), (tables.verdicts, "uid")):
        connection.execute(
            update(other)
            .where(other.c[key] == body["uid"], other.c.ended.is_(None))
            .values(ended=_not_before(other, at))
        )


def _not_before(table: Table, at: int) -> Any:
    """A clock that went back makes an empty interval, never a negative one; the entry keeps the moment it was told."""
    return case((table.c.began > at, table.c.began), else_=at)


def _identity(connection: Connection, _: int, body: Mapping[str, Any], at: int) -> None:
    table = tables.identities
    connection.execute(
        update(table)
        .where(
            table.c.uid == body["uid"],
            table.c.attribute == body["attribute"],
            table.c.value == body["former"][:512],
            table.c.ended.is_(None),
        )
        .values(ended=_not_before(table, at))
    )
    _bear(connection, body["uid"], body["attribute"], body["value"], at)


def _verdict(connection: Connection, _: int, body: Mapping[str, Any], at: int) -> None:
    table = tables.verdicts
    connection.execute(
        update(table)
        .where(table.c.uid == body["uid"], table.c.policy == body["policy"], table.c.ended.is_(None))
        .values(ended=_not_before(table, at))
    )
    if not body["result"]:
        return
    said = {"result": body["result"], "severity": body["severity"], "ended": None}
    same = and_(table.c.uid == body["uid"], table.c.policy == body["policy"], table.c.began == at)
    if not connection.execute(update(table).where(same).values(**said)).rowcount:
        connection.execute(insert(table).values(uid=body["uid"], policy=body["policy"], began=at, **said))


def _intent(connection: Connection, seq: int, body: Mapping[str, Any], _: int) -> None:
    connection.execute(insert(tables.intents).values(seq=seq, operation=body["operation"], step=body["step"]))


def _outcome(connection: Connection, seq: int, body: Mapping[str, Any], _: int) -> None:
    table = tables.intents
    connection.execute(
        update(table).where(table.c.seq == body["intent"], table.c.outcome.is_(None)).values(outcome=seq)
    )


def _operation(connection: Connection, _: int, body: Mapping[str, Any], at: int) -> None:
    table = tables.operations
    if connection.scalar(select(table.c.uid).where(table.c.uid == body["uid"])) is None:
        connection.execute(
            insert(table).values(
                **{key: body[key] for key in ("uid", "kind", "name", "instance", "policy", "rule", "pool")},
                result="",
            )
        )
    column = {"started": "started", "ended": "ended"}.get(body["event"])
    if column is None:
        return
    values: dict[str, Any] = {column: at} | ({"result": body["result"]} if column == "ended" else {})
    connection.execute(update(table).where(table.c.uid == body["uid"], table.c[column].is_(None)).values(**values))


def _placement(connection: Connection, _: int, body: Mapping[str, Any], at: int) -> None:
    table = tables.placements
    if body["event"] == "to":
        connection.execute(
            update(table).where(table.c.pod_uid == body["uid"], table.c.ended.is_(None)).values(ended=at)
        )
    else:
        row = {
            "pod_uid": body["uid"],
            "instance": body["instance"],
            "namespace": body["namespace"],
            "name": body["name"],
            "service_account": body.get("serviceAccount", ""),
            "owner": body.get("owner", "")[:512],
            "images": json.dumps(body.get("images", [])),
            "began": at,
        }
        connection.execute(_once(connection.dialect.name, table), row)


_REFUSALS: dict[FactKind, Callable[[Connection, Mapping[str, Any], int], str]] = {
    FactKind.DEATH: _death_refused,
    FactKind.PLACEMENT: _placement_refused,
    FactKind.OUTCOME: _outcome_refused,
}

_HANDLERS: dict[FactKind, Callable[[Connection, int, Mapping[str, Any], int], None]] = {
    FactKind.BIRTH: _birth,
    FactKind.DEATH: _death,
    FactKind.IDENTITY: _identity,
    FactKind.VERDICT: _verdict,
    FactKind.INTENT: _intent,
    FactKind.OUTCOME: _outcome,
    FactKind.OPERATION: _operation,
    FactKind.PLACEMENT: _placement,
}
