"""Who deleted a machine, as audit events say: neither the Node nor a watch of it tells.

That somebody asked for it is not enough: a dry run that is not told as one looks alike. The Node must bear a
deletionTimestamp of about that moment, or be gone within two minutes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from exuvia import errors
from exuvia.app.askers import WITHIN, caused
from exuvia.app.audit_events import Deletion
from exuvia.app.chronicle import DELETED_BY
from exuvia.app.services import Services
from exuvia.decide.brakes.times import LARGEST_SKEW
from exuvia.model import facts
from exuvia.model.facts import DeathReason, Fact
from exuvia.record import tables, versions, who
from exuvia.record.moments import moment
from exuvia.record.reading import reading

PAUSES = (0.1, 0.2, 0.4, 0.8, 1.5)
"""Seconds: a watch may tell of a deletion a moment after the audit event does."""


@dataclass(slots=True)
class Told:
    """What came of deletions: entered, known already, of machines that the ledger does not know, and passed over, for
    no machine went by them."""

    entered: int = 0
    known: int = 0
    unknown: int = 0
    passed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recorded:
    """The life of a machine as it is recorded, and who is known to have deleted it."""

    life: Any
    asked: frozenset[str]


async def enter(services: Services, found: Iterable[Deletion]) -> Told:
    """Have them durable. The reason of a death that was told already is corrected. Raises `errors.LedgerError` or
    `errors.Fenced`: then it is to be sent again. One call at a time."""
    every = list(found)
    wanted = await asyncio.to_thread(_identified, services, list(dict.fromkeys(every)))
    told = Told(known=len(every) - len(set(every)), unknown=len(set(every)) - len(wanted))
    waiting = await _settle(services, wanted, told, first=True)
    for pause in PAUSES:
        if not waiting:
            break
        await asyncio.sleep(pause)
        waiting = await _settle(services, waiting, told, first=False)
    told.passed += len(waiting)
    return told


def _identified(services: Services, found: list[Deletion]) -> list[Deletion]:
    """With the UID of who bore the name then; without those where nobody did, or several, and none of the future."""
    latest = services.clock.now() + LARGEST_SKEW
    with reading(services.ledger.place) as connection:
        named = [one if one.uid else replace(one, uid=_bearer(services, connection, one)) for one in found]
    return [one for one in named if one.uid and one.at <= latest]


def _bearer(services: Services, connection: Connection, one: Deletion) -> str:
    found = who.bore(connection, "name", one.name, one.at, cluster=services.settings.cluster_name)
    return found[0].uid if len(found) == 1 else ""


async def _settle(services: Services, wanted: list[Deletion], told: Told, *, first: bool) -> list[Deletion]:
    """Enter together what can be said of them now, and return those of which more may be known in a moment. A death
    that is told from now on says it by itself, and what was told before is in the ledger once the scribe wrote it."""
    if not wanted:
        return []
    for one in wanted:
        services.chronicle.asked(one.uid, one.by, one.at)
    if not await services.scribe.flush():
        raise errors.LedgerDown("what was told before is not written yet")
    recorded = await asyncio.to_thread(_recorded, services, [one.uid for one in wanted])
    sorting = _Sorting(services, told, first=first)
    for one in wanted:
        sorting.put(one, recorded.get(one.uid))
    if sorting.new:
        await services.ledger.append(*sorting.new.values())
    for uid, fact in sorting.new.items():
        if fact.kind is facts.FactKind.IDENTITY:
            services.chronicle.deleted(uid, fact.body["value"])
    told.entered += len(sorting.new)
    return sorting.waiting


class _Sorting:
    """What is to be done about each."""

    def __init__(self, services: Services, told: Told, *, first: bool) -> None:
        self._services = services
        self._now = services.clock.now()
        self._told = told
        self._first = first
        self._far: dict[str, timedelta] = {}
        self.new: dict[str, Fact] = {}
        self.waiting: list[Deletion] = []

    def put(self, one: Deletion, recorded: _Recorded | None) -> None:
        """One deletion, and what the ledger has of the machine; None: nothing."""
        if recorded is None:
            self._told.unknown += 1
        elif recorded.life.died is not None:
            self._dead(one, recorded)
        elif recorded.asked:
            self._told.known += 1
        else:
            self._living(one)

    def _living(self, one: Deletion) -> None:
        node = self._services.view.nodes.store.get(one.uid)
        since = None if node is None else node.deleting_since
        if since is not None and caused(one.at, since, since):
            fact = facts.identity(uid=one.uid, attribute=DELETED_BY, value=one.by, former="", at=one.at)
            self._offer(one, fact, since)
        elif since is None and self._now - one.at <= WITHIN:
            self.waiting.append(one)
        else:
            self._told.passed += 1

    def _dead(self, one: Deletion, recorded: _Recorded) -> None:
        life, died = recorded.life, moment(recorded.life.died)
        since = None if life.died_not_before is None else moment(life.died_not_before)
        if life.reason in (DeathReason.EXUVIA, DeathReason.PERSON):
            self._known(one, life)
        elif one.by in recorded.asked or caused(one.at, since or died, died):
            fact = facts.death(uid=one.uid, reason=DeathReason.PERSON, at=died, by=one.by, not_before=since)
            self._offer(one, fact, died)
        else:
            self._told.passed += 1

    def _offer(self, one: Deletion, fact: Fact, happened: datetime) -> None:
        """Of several who asked the one counts that did so next to the moment at which it happened."""
        former, far = self.new.get(one.uid), abs(happened - one.at)
        self._told.known += former is not None
        if former is None or far < self._far[one.uid]:
            self.new[one.uid], self._far[one.uid] = fact, far

    def _known(self, one: Deletion, life: Any) -> None:
        """A death that came while this was waited for said it by itself."""
        if not self._first and life.died_by == one.by:
            self._told.entered += 1
        else:
            self._told.known += 1


def _recorded(services: Services, uids: list[str]) -> dict[str, _Recorded]:
    """Of the machines of this cluster that the ledger knows."""
    with reading(services.ledger.place) as connection:
        return {uid: one for uid in uids if (one := _one(connection, services.settings.cluster_name, uid)) is not None}


def _one(connection: Connection, cluster: str, uid: str) -> _Recorded | None:
    lives, known = tables.lives, tables.identities
    same = (lives.c.uid == uid, lives.c.cluster == cluster, lives.c.withdrawn.is_(False), versions.holds(lives))
    chosen = select(lives.c.died, lives.c.died_not_before, lives.c.reason, lives.c.died_by)
    life = connection.execute(chosen.where(*same)).one_or_none()
    if life is None:
        return None
    asked = select(known.c.value).where(known.c.uid == uid, known.c.attribute == DELETED_BY)
    return _Recorded(life=life, asked=frozenset(connection.scalars(asked)))
