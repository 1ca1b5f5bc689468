"""From an entry to the tables that answer questions. Each kind of fact has one function, which only ever adds rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, desc, exists, select

from exuvia.model.facts import Fact, FactKind, microseconds
from exuvia.record import lines, tables, versions
from exuvia.record.bearing import borne
from exuvia.record.stating import stated


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An entry on its way into the tables. Moments in microseconds."""

    cluster: str
    seq: int
    kind: FactKind
    at: int
    recorded: int
    body: Mapping[str, Any]


def refusal(connection: Connection, fact: Fact, cluster: str) -> str:
    """Why a fact belongs to the dead letters, or "". What cannot have been so is never clipped silently.

    Raises `errors.InvalidObject` for a line that does not say what it must.
    """
    if is_line(fact.kind, fact.body):
        return lines.of({"type": fact.kind.value, **fact.body}, recorded=0).dead
    check = _REFUSALS.get(fact.kind)
    return "" if check is None else check(connection, fact.body, microseconds(fact.at), cluster)


def project(connection: Connection, told: Told, *, ready: Callable[[], None]) -> None:
    """Bring the tables up to one more entry. `ready` puts earlier entries into their table, before they are read."""
    if is_line(told.kind, told.body):
        line = lines.of({"type": told.kind.value, **told.body}, recorded=told.recorded)
        stated(connection, line, cluster=told.cluster, seq=told.seq, ready=ready)
        return
    handler = _HANDLERS.get(told.kind)
    if handler is not None:
        handler(connection, told)


def mentions(told: Told) -> list[dict[str, Any]]:
    """Whom an entry is about, as rows: an instance, an operation, or both. Scores are about neither."""
    uid = "" if told.kind is FactKind.PLACEMENT and "event" in told.body else told.body.get("uid")
    named = (uid, told.body.get("instance"), told.body.get("operation"))
    uids = sorted({one for one in named if isinstance(one, str) and one})
    return [{"uid": one, "cluster": told.cluster, "seq": told.seq} for one in uids]


def is_line(kind: FactKind, body: Mapping[str, Any]) -> bool:
    """Whether it says a whole thing, as lines from elsewhere do. A placement of the operator's own tells an event."""
    return kind.value in lines.TYPES and "event" not in body


def _death_refused(connection: Connection, body: Mapping[str, Any], at: int, _: str) -> str:
    life = versions.latest(connection, tables.lives, uid=body["uid"])
    return f"died {at} before it was born {life.born}" if life is not None and at < life.born else ""


def _placement_refused(connection: Connection, body: Mapping[str, Any], at: int, _: str) -> str:
    if body["event"] != "to":
        return ""
    row = connection.execute(_PLACED, {"pod": body["uid"]}).first()
    return f"ended {at} before it began {row.began}" if row is not None and at < row.began else ""


def _outcome_refused(connection: Connection, body: Mapping[str, Any], _: int, cluster: str) -> str:
    """One outcome an intent (safety.md, 13)."""
    intents, outcomes = tables.intents, tables.outcomes
    named = body["intent"]
    if connection.scalar(select(exists().where(intents.c.cluster == cluster, intents.c.seq == named))) is not True:
        return f"there is no intent {named}"
    done = connection.scalar(select(outcomes.c.seq).where(outcomes.c.cluster == cluster, outcomes.c.intent == named))
    return "" if done is None else f"intent {named} has its outcome, entry {done}"


def _birth(connection: Connection, told: Told) -> None:
    body = told.body
    former = versions.latest(connection, tables.lives, uid=body["uid"])
    if former is not None and not former.withdrawn:
        return  # born already
    life = {
        "uid": body["uid"],
        "recorded": told.recorded,
        "cluster": told.cluster,
        "seq": told.seq,
        "declared": told.seq,
        "kind": body["kind"],
        "name": body["name"],
        "pool": body.get("pool", ""),
        "zone": body.get("zone", ""),
        "born": told.at,
        "died": None,
        "died_not_before": None,
        "reason": "",
        "died_by": "",
        "persistent": True,
        "withdrawn": False,
    }
    versions.follow(connection, tables.lives, life, former)
    for attribute, value in borne(body):
        _bear(connection, told, declared=told.seq, attribute=attribute, value=value, fresh=former is None)


def _bear(
    connection: Connection, told: Told, *, declared: int, attribute: str, value: str, fresh: bool = False
) -> None:
    thing = {"uid": told.body["uid"], "attribute": attribute, "value": value, "began": told.at}
    row = {**thing, "recorded": told.recorded, "seq": told.seq, "declared": declared, "ended": None}
    former = None if fresh else versions.latest(connection, tables.identities, **thing)
    versions.follow(connection, tables.identities, row, former)


def _death(connection: Connection, told: Told) -> None:
    """What was open on it ends with it: questions cut everything to the life, so no other row is needed."""
    life = versions.latest(connection, tables.lives, uid=told.body["uid"])
    if life is None or life.died is not None:
        return
    said = {
        "recorded": told.recorded,
        "seq": told.seq,
        "died": told.at,
        "died_not_before": told.body.get("notBefore"),
        "reason": told.body["reason"],
        "died_by": told.body.get("by", "")[:512],
    }
    versions.follow(connection, tables.lives, {**life._mapping, **said}, life)


def _identity(connection: Connection, told: Told) -> None:
    body = told.body
    uid, attribute, value, former = body["uid"], body["attribute"], body["value"][:512], body["former"][:512]
    life = versions.latest(connection, tables.lives, uid=uid)
    declared = 0 if life is None else life.declared
    if former and former != value:
        _cease(connection, told, declared, attribute, former)
    if value and _bearing(connection, uid, declared, attribute, value) is None:
        _bear(connection, told, declared=declared, attribute=attribute, value=value)


def _cease(connection: Connection, told: Told, declared: int, attribute: str, value: str) -> None:
    """A clock that went back makes an empty interval, never a negative one; the entry keeps the moment it was told."""
    row = _bearing(connection, told.body["uid"], declared, attribute, value)
    if row is None:
        return
    said = {"recorded": told.recorded, "seq": told.seq, "ended": max(row.began, told.at)}
    versions.follow(connection, tables.identities, {**row._mapping, **said}, row)


def _bearing(connection: Connection, uid: str, declared: int, attribute: str, value: str) -> Any:
    """The row of a value that is borne with no end, or None."""
    asked = {"uid": uid, "declared": declared, "attribute": attribute, "value": value}
    return connection.execute(_BORNE, asked).first()


def _verdict(connection: Connection, told: Told) -> None:
    row = {name: told.body[name] for name in ("uid", "policy", "result", "severity")}
    connection.execute(versions.adding(tables.verdicts), {**row, "seq": told.seq, "at": told.at})


def _intent(connection: Connection, told: Told) -> None:
    row = {"operation": told.body["operation"], "step": told.body["step"]}
    connection.execute(versions.adding(tables.intents), {**row, "cluster": told.cluster, "seq": told.seq})


def _outcome(connection: Connection, told: Told) -> None:
    row = {"cluster": told.cluster, "intent": told.body["intent"], "seq": told.seq}
    connection.execute(versions.adding(tables.outcomes), row)


def _operation(connection: Connection, told: Told) -> None:
    """The first event of each kind counts."""
    table, body = tables.operations, told.body
    known = select(exists().where(table.c.uid == body["uid"], table.c.event == body["event"]))
    if connection.scalar(known):
        return
    names = ("uid", "event", "kind", "name", "instance", "policy", "rule", "pool", "result")
    connection.execute(versions.adding(table), {**{name: body[name] for name in names}, "seq": told.seq, "at": told.at})


def _placement(connection: Connection, told: Told) -> None:
    table, body = tables.placements, told.body
    row = connection.execute(_PLACED, {"pod": body["uid"]}).first()
    if body["event"] == "to":
        if row is not None and row.ended is None:
            said = {"recorded": told.recorded, "seq": told.seq, "ended": told.at}
            versions.follow(connection, table, {**row._mapping, **said}, row)
    elif row is None:
        begun = {
            "uid": body["instance"],
            "began": told.at,
            "pod_uid": body["uid"],
            "recorded": told.recorded,
            "seq": told.seq,
            "namespace": body["namespace"],
            "name": body["name"],
            "service_account": body.get("serviceAccount", ""),
            "owner": body.get("owner", "")[:512],
            "images": json.dumps(body.get("images", [])),
            "ended": None,
            "withdrawn": False,
        }
        versions.follow(connection, table, begun)


def _latest_of_pod() -> Any:
    table = tables.placements
    chosen = select(table).where(table.c.pod_uid == bindparam("pod"))
    return chosen.order_by(desc(table.c.recorded), desc(table.c.rank)).limit(1)


def _open_identity() -> Any:
    table = tables.identities
    same = (table.c[one] == bindparam(one) for one in ("uid", "declared", "attribute", "value"))
    return select(table).where(*same, table.c.ended.is_(None), versions.holds(table)).limit(1)


_PLACED = _latest_of_pod()
_BORNE = _open_identity()

_REFUSALS: dict[FactKind, Callable[[Connection, Mapping[str, Any], int, str], str]] = {
    FactKind.DEATH: _death_refused,
    FactKind.PLACEMENT: _placement_refused,
    FactKind.OUTCOME: _outcome_refused,
}

_HANDLERS: dict[FactKind, Callable[[Connection, Told], None]] = {
    FactKind.BIRTH: _birth,
    FactKind.DEATH: _death,
    FactKind.IDENTITY: _identity,
    FactKind.VERDICT: _verdict,
    FactKind.INTENT: _intent,
    FactKind.OUTCOME: _outcome,
    FactKind.OPERATION: _operation,
    FactKind.PLACEMENT: _placement,
}
