"""From an entry to the tables that answer questions. Each kind of fact has one function; unknown kinds are refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, insert, select, update

from exuvia.model.facts import Fact, FactKind, microseconds
from exuvia.record import tables

IDENTITY_ATTRIBUTES = ("name", "providerID", "machineID", "bootID")


def refusal(connection: Connection, fact: Fact) -> str:
    """Why a fact belongs to the dead letters, or "". A death before the birth is never clipped silently."""
    if fact.kind is not FactKind.DEATH:
        return ""
    born = connection.scalar(select(tables.instances.c.born).where(tables.instances.c.uid == fact.body["uid"]))
    if born is not None and microseconds(fact.at) < born:
        return f"died {microseconds(fact.at)} before it was born {born}"
    return ""


def project(connection: Connection, seq: int, fact: Fact) -> None:
    """Bring the tables up to one more entry."""
    handler = _HANDLERS.get(fact.kind)
    if handler is not None:
        handler(connection, seq, fact.body, microseconds(fact.at))


def _birth(connection: Connection, _: int, body: Mapping[str, Any], at: int) -> None:
    table = tables.instances
    if connection.scalar(select(table.c.uid).where(table.c.uid == body["uid"])) is not None:
        return
    connection.execute(
        insert(table).values(
            uid=body["uid"],
            kind=body["kind"],
            name=body["name"],
            pool=body.get("pool", ""),
            zone=body.get("zone", ""),
            provider_id=body.get("providerID", ""),
            machine_id=body.get("machineID", ""),
            boot_id=body.get("bootID", ""),
            born=at,
        )
    )
    for attribute in IDENTITY_ATTRIBUTES:
        _bear(connection, body["uid"], attribute, body.get(attribute, ""), at)
    for address in body.get("addresses", ()):
        _bear(connection, body["uid"], "address", address, at)


def _bear(connection: Connection, uid: str, attribute: str, value: str, at: int) -> None:
    if value:
        connection.execute(
            insert(tables.identities).values(uid=uid, attribute=attribute, value=value[:512], began=at, ended=None)
        )


def _death(connection: Connection, _: int, body: Mapping[str, Any], at: int) -> None:
    table = tables.instances
    connection.execute(
        update(table)
        .where(table.c.uid == body["uid"], table.c.died.is_(None))
        .values(died=at, died_not_before=body.get("notBefore"), reason=body["reason"], died_by=body.get("by", "")[:512])
    )
    for other, key in ((tables.identities, "uid"), (tables.placements, "instance"), (tables.verdicts, "uid")):
        connection.execute(update(other).where(other.c[key] == body["uid"], other.c.ended.is_(None)).values(ended=at))


def _identity(connection: Connection, _: int, body: Mapping[str, Any], at: int) -> None:
    table = tables.identities
    connection.execute(
        update(table)
        .where(
            table.c.uid == body["uid"],
            table.c.attribute == body["attribute"],
            table.c.value == body["former"],
            table.c.ended.is_(None),
        )
        .values(ended=at)
    )
    _bear(connection, body["uid"], body["attribute"], body["value"], at)


def _verdict(connection: Connection, _: int, body: Mapping[str, Any], at: int) -> None:
    table = tables.verdicts
    connection.execute(
        update(table)
        .where(table.c.uid == body["uid"], table.c.policy == body["policy"], table.c.ended.is_(None))
        .values(ended=at)
    )
    known = select(table.c.uid).where(table.c.uid == body["uid"], table.c.policy == body["policy"], table.c.began == at)
    if body["result"] and connection.scalar(known) is None:
        connection.execute(
            insert(table).values(
                uid=body["uid"],
                policy=body["policy"],
                began=at,
                result=body["result"],
                severity=body["severity"],
            )
        )


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
    known = connection.scalar(select(table.c.pod_uid).where(table.c.pod_uid == body["uid"]))
    if body["event"] == "to":
        connection.execute(
            update(table).where(table.c.pod_uid == body["uid"], table.c.ended.is_(None)).values(ended=at)
        )
    elif known is None:
        connection.execute(
            insert(table).values(
                pod_uid=body["uid"],
                instance=body["instance"],
                namespace=body["namespace"],
                name=body["name"],
                service_account=body.get("serviceAccount", ""),
                owner=body.get("owner", "")[:512],
                images=json.dumps(body.get("images", [])),
                began=at,
            )
        )


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
