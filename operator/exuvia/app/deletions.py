"""Who deleted a machine, from the API server's audit events: neither the Node nor a watch of it tells.

Only what is certain counts: a DELETE of one Node that the API server accepted, by a user who is no part of the cluster.
Everything else that is sent is passed over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from exuvia import errors
from exuvia.app.chronicle import DELETED_BY
from exuvia.app.services import Services
from exuvia.model import facts
from exuvia.model.facts import DeathReason, Fact
from exuvia.observe import shapes
from exuvia.record import tables, versions, who
from exuvia.record.moments import moment
from exuvia.record.reading import reading

NO_PERSON = ("system:", "eks:", "aks")
"""How the names of service accounts, nodes and parts of Kubernetes begin, and those of what clouds run in it."""

LIST, ONE = "EventList", "Event"


class _User(msgspec.Struct):
    username: str | None = None


class _Reference(msgspec.Struct):
    resource: str | None = None
    subresource: str | None = None
    name: str | None = None
    uid: str | None = None


class _Status(msgspec.Struct):
    code: int | None = None


class _Identity(msgspec.Struct):
    uid: str | None = None


class _Answer(msgspec.Struct):
    """What a DELETE was sent with, or answered with: options, a Status, or the Node that still has finalizers."""

    preconditions: _Identity | None = None
    details: _Identity | None = None
    metadata: _Identity | None = None


class _Event(msgspec.Struct):
    kind: str = ""
    stage: str = ""
    verb: str = ""
    user: _User | None = None
    impersonatedUser: _User | None = None
    objectRef: _Reference | None = None
    responseStatus: _Status | None = None
    requestReceivedTimestamp: str | None = None
    requestObject: msgspec.Raw = msgspec.Raw()
    responseObject: msgspec.Raw = msgspec.Raw()


class _Sent(_Event):
    items: list[_Event] | None = None


_DECODER = msgspec.json.Decoder(_Sent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """A person deleted the Node of that name. `uid` "": the event does not say which; it is the one that bore the name
    `at`, when the API server was asked."""

    name: str
    uid: str
    by: str
    at: datetime


@dataclass(slots=True)
class Told:
    """What came of deletions: entered, known already, and of machines that the ledger does not know."""

    entered: int = 0
    known: int = 0
    unknown: int = 0


def read(body: bytes) -> list[Deletion]:
    """From an `EventList` as the API server's webhook sends it, or JSON lines as its log has them. Raises
    `errors.InvalidObject`."""
    return [one for event in _events(body) if (one := _deletion(event)) is not None]


def _events(body: bytes) -> Iterator[_Event]:
    remedy = "Send an EventList of audit.k8s.io/v1, or one Event on each line."
    for number, line in enumerate(_parts(body), start=1):
        try:
            found = _DECODER.decode(line)
        except (msgspec.MsgspecError, RecursionError) as trouble:
            raise errors.InvalidObject(f"line {number}: {trouble}", place=f"line {number}", remedy=remedy) from None
        if found.kind not in (LIST, ONE):
            said = f"line {number}: {found.kind or 'this'} is no audit event"
            raise errors.InvalidObject(said, place=f"line {number}", remedy=remedy)
        yield from (found.items or ()) if found.kind == LIST else (found,)


def _parts(body: bytes) -> list[bytes]:
    """One document, written on several lines or not; else a document a line."""
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except msgspec.MsgspecError:
        return [line for line in body.splitlines() if line.strip()]
    return [body]


def _deletion(event: _Event) -> Deletion | None:
    what, status = event.objectRef or _Reference(), event.responseStatus or _Status()
    accepted = event.stage == "ResponseComplete" and 200 <= (status.code or 0) < 300
    if event.verb != "delete" or what.resource != "nodes" or what.subresource or not what.name or not accepted:
        return None
    by = (event.impersonatedUser or event.user or _User()).username or ""
    at = shapes.moment(event.requestReceivedTimestamp)
    if not by or by.startswith(NO_PERSON) or at is None:
        return None
    return Deletion(name=what.name, uid=what.uid or _uid(event), by=by[:512], at=at)


def _uid(event: _Event) -> str:
    for raw in (event.requestObject, event.responseObject):
        try:
            said = msgspec.json.decode(raw, type=_Answer)
        except msgspec.MsgspecError:
            continue
        found = said.preconditions or said.details or said.metadata
        if found is not None and found.uid:
            return found.uid
    return ""


async def enter(services: Services, found: Iterable[Deletion]) -> Told:
    """Have them durable. The reason of a death that was told already is corrected. Raises `errors.LedgerError` or
    `errors.Fenced`: then it is to be sent again."""
    told = Told()
    for one in found:
        uid = one.uid or await asyncio.to_thread(_bearer, services, one)
        new = await _new(services, uid, one) if uid else None
        if new is None:
            told.unknown += 1
        elif new:
            await services.ledger.append(*new)
            told.entered += 1
        else:
            told.known += 1
    return told


async def _new(services: Services, uid: str, one: Deletion) -> list[Fact] | None:
    """What is not in the ledger of it yet; None where the machine is not. A death that is told from now on says it by
    itself, and what was told before is in the ledger once the scribe has written it."""
    services.chronicle.deleted(uid, one.by)
    if not await services.scribe.flush():
        raise errors.LedgerDown("what was told before is not written yet")
    life, asked = await asyncio.to_thread(_recorded, services, uid)
    if life is None:
        return None
    if life.died is None:
        return (
            []
            if one.by in asked
            else [facts.identity(uid=uid, attribute=DELETED_BY, value=one.by, former="", at=one.at)]
        )
    if life.reason in (DeathReason.EXUVIA, DeathReason.PERSON):
        return []
    not_before = None if life.died_not_before is None else moment(life.died_not_before)
    died = moment(life.died)
    return [facts.death(uid=uid, reason=DeathReason.PERSON, at=died, by=one.by, not_before=not_before)]


def _bearer(services: Services, one: Deletion) -> str:
    """Who bore the name then; "" where nobody did, or several."""
    with reading(services.ledger.place) as connection:
        found = who.bore(connection, "name", one.name, one.at, cluster=services.settings.cluster_name)
    return found[0].uid if len(found) == 1 else ""


def _recorded(services: Services, uid: str) -> tuple[Any, set[str]]:
    """The life of a machine as it is recorded, None without one, and who is known to have asked for its deletion."""
    table = tables.identities
    asked = select(table.c.value).where(table.c.uid == uid, table.c.attribute == DELETED_BY)
    with reading(services.ledger.place) as connection:
        return _life(connection, services.settings.cluster_name, uid), set(connection.scalars(asked))


def _life(connection: Connection, cluster: str, uid: str) -> Any:
    table = tables.lives
    chosen = select(table.c.died, table.c.died_not_before, table.c.reason)
    same = (table.c.uid == uid, table.c.cluster == cluster, table.c.withdrawn.is_(False), versions.holds(table))
    return connection.execute(chosen.where(*same)).one_or_none()
