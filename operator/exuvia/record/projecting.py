"""From an entry to the tables that answer questions. Each kind of fact has one function, which only ever adds rows, by
way of a batch that keeps them until they go together."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, exists, select

from exuvia import errors
from exuvia.model.facts import DeathReason, Fact, FactKind
from exuvia.record import batches, lines, stating, tables, versions
from exuvia.record.batches import Batch, Known
from exuvia.record.bearing import borne
from exuvia.record.lines import Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An entry on its way into the tables. Moments in microseconds. `line`: what it says, if it is a line that was
    read already."""

    cluster: str
    seq: int
    kind: FactKind
    at: int
    recorded: int
    body: Mapping[str, Any]
    line: Line | None = None


def line_of(kind: FactKind, body: Mapping[str, Any], recorded: int) -> Line | None:
    """What a fact says that is a whole line; None for all others. `errors.InvalidObject` for one that does not say what
    it must."""
    return lines.of({"type": kind.value, **body}, recorded=recorded) if is_line(kind, body) else None


def refusal(connection: Connection, batch: Batch, told: Told) -> str:
    """Why a fact belongs to the dead letters, or "". What cannot have been so is never clipped silently."""
    if told.line is not None:
        return told.line.dead
    check = _REFUSALS.get(told.kind)
    return "" if check is None else check(connection, batch, told)


def take(connection: Connection, batch: Batch, told: Told) -> None:
    """What one more entry adds to the tables. The entry itself is in its table, or waits in the same batch."""
    line = told.line or line_of(told.kind, told.body, told.recorded)
    if line is not None:
        stating.stated(connection, batch, line, cluster=told.cluster, seq=told.seq)
        return
    handler = _HANDLERS.get(told.kind)
    if handler is not None:
        handler(connection, batch, told)


def read_ahead(connection: Connection, batch: Batch, facts: Iterable[Fact | Told]) -> None:
    """Read for many facts at once what will be asked for each of them."""
    lives, pods, stated = set[str](), set[str](), list[stating.Thing]()
    for one in facts:
        uid = one.body.get("uid")
        if one.kind in _OF_LIVES and isinstance(uid, str):
            lives.add(uid)
        elif is_line(one.kind, one.body):
            stated += _things(one)
        elif one.kind is FactKind.PLACEMENT and isinstance(uid, str):
            pods.add(uid)
    batch.read_ahead(connection, batches.LIVES, ((uid,) for uid in sorted(lives)))
    batch.read_ahead(connection, batches.PODS, ((uid,) for uid in sorted(pods)))
    for view in dict.fromkeys(view for view, _ in stated):
        batch.read_ahead(connection, view, (thing for of, thing in stated if of is view))


def _things(one: Fact | Told) -> list[stating.Thing]:
    """Of a line that cannot be used, and of a person whose name is not sealed yet, nothing is read ahead."""
    if isinstance(one, Told) and one.line is not None:
        return stating.things(one.line)
    if one.kind is FactKind.SESSION:
        return []
    try:
        line = line_of(one.kind, one.body, 0)
    except errors.InvalidObject:
        return []
    return [] if line is None else stating.things(line)


def mentions(told: Told) -> list[dict[str, Any]]:
    """Whom an entry is about, as rows: an instance, an operation, or both. Scores are about neither."""
    uid = "" if told.kind is FactKind.PLACEMENT and "event" in told.body else told.body.get("uid")
    named = (uid, told.body.get("instance"), told.body.get("operation"))
    uids = sorted({one for one in named if isinstance(one, str) and one})
    return [{"uid": one, "cluster": told.cluster, "seq": told.seq} for one in uids]


def is_line(kind: FactKind, body: Mapping[str, Any]) -> bool:
    """Whether it says a whole thing, as lines from elsewhere do. A placement of the operator's own tells an event."""
    return kind.value in lines.TYPES and "event" not in body


def _death_refused(connection: Connection, batch: Batch, told: Told) -> str:
    life = batch.latest(connection, batches.LIVES, told.body["uid"])
    early = life is not None and told.at < life["born"]
    return f"died {told.at} before it was born {life['born']}" if life is not None and early else ""


def _placement_refused(connection: Connection, batch: Batch, told: Told) -> str:
    if told.body["event"] != "to":
        return ""
    row = batch.latest(connection, batches.PODS, told.body["uid"])
    early = row is not None and told.at < row["began"]
    return f"ended {told.at} before it began {row['began']}" if row is not None and early else ""


def _outcome_refused(connection: Connection, batch: Batch, told: Told) -> str:
    """One outcome an intent (safety.md, 13)."""
    intents, outcomes = tables.intents, tables.outcomes
    named, cluster = told.body["intent"], told.cluster
    batch.flush(connection, intents, outcomes)
    if connection.scalar(select(exists().where(intents.c.cluster == cluster, intents.c.seq == named))) is not True:
        return f"there is no intent {named}"
    done = connection.scalar(select(outcomes.c.seq).where(outcomes.c.cluster == cluster, outcomes.c.intent == named))
    return "" if done is None else f"intent {named} has its outcome, entry {done}"


def _birth(connection: Connection, batch: Batch, told: Told) -> None:
    body = told.body
    former = batch.latest(connection, batches.LIVES, body["uid"])
    if former is not None and not former["withdrawn"]:
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
    batch.follow(tables.lives, life, former)
    for attribute, value in borne(body):
        _bear(connection, batch, told, declared=told.seq, attribute=attribute, value=value, fresh=former is None)


def _bear(
    connection: Connection,
    batch: Batch,
    told: Told,
    *,
    declared: int,
    attribute: str,
    value: str,
    fresh: bool = False,
) -> None:
    thing = {"uid": told.body["uid"], "attribute": attribute, "value": value, "began": told.at}
    row = {**thing, "recorded": told.recorded, "seq": told.seq, "declared": declared, "ended": None}
    former = None if fresh else batch.latest(connection, batches.of(tables.identities), *thing.values())
    batch.follow(tables.identities, row, former)


def _death(connection: Connection, batch: Batch, told: Told) -> None:
    """What was open on it ends with it: questions cut everything to the life, so no other row is needed. One that was
    told is told again only to say that a person asked for it."""
    life = batch.latest(connection, batches.LIVES, told.body["uid"])
    if life is None or (life["died"] is not None and not _names_a_person(told, life["reason"])):
        return
    said = {
        "recorded": told.recorded,
        "seq": told.seq,
        "died": told.at,
        "died_not_before": told.body.get("notBefore"),
        "reason": told.body["reason"],
        "died_by": told.body.get("by", "")[:512],
    }
    batch.follow(tables.lives, {**life, **said}, life)


def _names_a_person(told: Told, former: str) -> bool:
    return told.body["reason"] == DeathReason.PERSON and former not in (DeathReason.EXUVIA, DeathReason.PERSON)


def _identity(connection: Connection, batch: Batch, told: Told) -> None:
    body = told.body
    uid, attribute, value, former = body["uid"], body["attribute"], body["value"][:512], body["former"][:512]
    life = batch.latest(connection, batches.LIVES, uid)
    declared = 0 if life is None else life["declared"]
    if former and former != value:
        _cease(connection, batch, told, declared, attribute, former)
    if value and _bearing(connection, batch, uid, declared, attribute, value) is None:
        _bear(connection, batch, told, declared=declared, attribute=attribute, value=value)


def _cease(connection: Connection, batch: Batch, told: Told, declared: int, attribute: str, value: str) -> None:
    """A clock that went back makes an empty interval, never a negative one; the entry keeps the moment it was told."""
    row = _bearing(connection, batch, told.body["uid"], declared, attribute, value)
    if row is None:
        return
    said = {"recorded": told.recorded, "seq": told.seq, "ended": max(row["began"], told.at)}
    batch.follow(tables.identities, {**row, **said}, row)


def _bearing(connection: Connection, batch: Batch, uid: str, declared: int, attribute: str, value: str) -> Known | None:
    """The row of a value that is borne with no end, or None."""
    batch.flush(connection, tables.identities)
    asked = {"uid": uid, "declared": declared, "attribute": attribute, "value": value}
    found = connection.execute(_BORNE, asked).first()
    return None if found is None else dict(found._mapping)


def _verdict(connection: Connection, batch: Batch, told: Told) -> None:
    row = {name: told.body[name] for name in ("uid", "policy", "result", "severity")}
    batch.put(tables.verdicts, {**row, "seq": told.seq, "at": told.at})


def _intent(connection: Connection, batch: Batch, told: Told) -> None:
    row = {"operation": told.body["operation"], "step": told.body["step"]}
    batch.put(tables.intents, {**row, "cluster": told.cluster, "seq": told.seq})


def _outcome(connection: Connection, batch: Batch, told: Told) -> None:
    row = {"cluster": told.cluster, "intent": told.body["intent"], "seq": told.seq}
    batch.put(tables.outcomes, row)


def _operation(connection: Connection, batch: Batch, told: Told) -> None:
    """The first event of each kind counts."""
    table, body = tables.operations, told.body
    batch.flush(connection, table)
    known = select(exists().where(table.c.uid == body["uid"], table.c.event == body["event"]))
    if connection.scalar(known):
        return
    names = ("uid", "event", "kind", "name", "instance", "policy", "rule", "pool", "result")
    batch.put(table, {**{name: body[name] for name in names}, "seq": told.seq, "at": told.at})


def _placement(connection: Connection, batch: Batch, told: Told) -> None:
    table, body = tables.placements, told.body
    row = batch.latest(connection, batches.PODS, body["uid"])
    if body["event"] == "to":
        if row is not None and row["ended"] is None:
            said = {"recorded": told.recorded, "seq": told.seq, "ended": told.at}
            batch.follow(table, {**row, **said}, row)
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
        batch.follow(table, begun)


def _open_identity() -> Any:
    table = tables.identities
    same = (table.c[one] == bindparam(one) for one in ("uid", "declared", "attribute", "value"))
    return select(table).where(*same, table.c.ended.is_(None), versions.holds(table)).limit(1)


_BORNE = _open_identity()

_OF_LIVES = frozenset({FactKind.BIRTH, FactKind.DEATH, FactKind.IDENTITY})

_REFUSALS: dict[FactKind, Callable[[Connection, Batch, Told], str]] = {
    FactKind.DEATH: _death_refused,
    FactKind.PLACEMENT: _placement_refused,
    FactKind.OUTCOME: _outcome_refused,
}

_HANDLERS: dict[FactKind, Callable[[Connection, Batch, Told], None]] = {
    FactKind.BIRTH: _birth,
    FactKind.DEATH: _death,
    FactKind.IDENTITY: _identity,
    FactKind.VERDICT: _verdict,
    FactKind.INTENT: _intent,
    FactKind.OUTCOME: _outcome,
    FactKind.OPERATION: _operation,
    FactKind.PLACEMENT: _placement,
}
