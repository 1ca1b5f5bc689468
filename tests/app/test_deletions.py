"""Who deleted a machine, by audit events: certain or not said, once, durable, before or after the death was told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from exuvia import errors
from exuvia.app import deletions
from exuvia.app.chronicle import Chronicle
from exuvia.app.deletions import Deletion, Told
from exuvia.app.scribe import Scribe
from exuvia.app.settings import Settings
from exuvia.model import facts
from exuvia.model.facts import DeathReason
from exuvia.model.instances import Instance, Taint
from exuvia.record import counts, lines, recall, tables, versions, who
from exuvia.record.reading import reading
from tests.app import stage
from tests.app.stage import NOW
from tests.evaluate.world import node
from tests.record import world

AT = facts.text(NOW)
DELETED: dict[str, Any] = {
    "kind": "Event",
    "apiVersion": "audit.k8s.io/v1",
    "level": "RequestResponse",
    "stage": "ResponseComplete",
    "verb": "delete",
    "user": {"username": "alice", "groups": ["system:masters"]},
    "objectRef": {"resource": "nodes", "name": "worker-7", "apiVersion": "v1"},
    "responseStatus": {"code": 200},
    "requestReceivedTimestamp": AT,
    "responseObject": {"kind": "Status", "details": {"name": "worker-7", "kind": "nodes", "uid": "uid-7"}},
}
MACHINE = node("worker-7", uid="uid-7", born=NOW - timedelta(hours=1))


def event(**parts: Any) -> dict[str, Any]:
    return {**DELETED, **parts}


def batch(*events: dict[str, Any]) -> bytes:
    return json.dumps({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": events}).encode()


NAMED = event(responseObject=None)
"""At level Metadata an event does not say which machine it was."""


def test_a_list_of_the_webhook_and_lines_of_the_log_say_the_same() -> None:
    found = [Deletion(name="worker-7", uid="uid-7", by="alice", at=NOW)]
    assert deletions.read(batch(DELETED)) == found
    assert deletions.read(json.dumps(DELETED, indent=1).encode()) == found
    assert deletions.read(f"{json.dumps(DELETED)}\n\n{json.dumps(DELETED)}\n".encode()) == found * 2


@pytest.mark.parametrize(
    ("more", "uid"),
    [
        ({"responseObject": None}, ""),
        ({"responseObject": {"kind": "Node", "metadata": {"uid": "uid-8", "labels": None}}}, "uid-8"),
        ({"requestObject": {"preconditions": {"uid": "uid-9"}}}, "uid-9"),
        ({"requestObject": "odd", "responseObject": ["odd"]}, ""),
    ],
)
def test_which_machine_it_was_is_read_where_the_event_says_it(more: dict[str, Any], uid: str) -> None:
    assert [one.uid for one in deletions.read(batch(event(**more)))] == [uid]


@pytest.mark.parametrize(
    "other",
    [
        {"stage": "RequestReceived"},
        {"verb": "deletecollection"},
        {"verb": "patch"},
        {"responseStatus": {"code": 403}},
        {"responseStatus": None},
        {"objectRef": {"resource": "pods", "name": "worker-7"}},
        {"objectRef": {"resource": "nodes", "name": "worker-7", "subresource": "status"}},
        {"objectRef": None},
        {"user": {"username": "system:serviceaccount:kube-system:cluster-autoscaler"}},
        {"user": {"username": "system:node:worker-7"}},
        {"user": {"username": "eks:cloud-controller-manager"}},
        {"impersonatedUser": {"username": "system:serviceaccount:ci:robot"}},
        {"user": {}},
        {"requestReceivedTimestamp": "yesterday"},
    ],
)
def test_what_is_not_certain_says_nothing(other: dict[str, Any]) -> None:
    assert deletions.read(batch(event(**other))) == []


@pytest.mark.parametrize(
    ("body", "said"),
    [(b"", None), (b"{", "line 1"), (b'{"kind":"Pod"}', "Pod is no audit event"), (b"[1]", "line 1")],
)
def test_what_is_no_audit_event_is_refused_and_named(body: bytes, said: str | None) -> None:
    if said is None:
        assert deletions.read(body) == []
        return
    with pytest.raises(errors.InvalidObject, match=said):
        deletions.read(body)


class Scene:
    """A ledger that knows a machine, and who tells it."""

    def __init__(self, path: Path, services: Any) -> None:
        self.path = path
        self.services = services
        self.chronicle: Chronicle = services.chronicle

    async def tell(self, *events: dict[str, Any]) -> Told:
        return await deletions.enter(self.services, deletions.read(batch(*events)))

    async def die(self, machine: Instance = MACHINE) -> None:
        reason, by = self.chronicle.reason_of(machine)
        assert self.chronicle.gone(machine, reason, by)
        assert await self.services.scribe.flush()

    def life(self) -> Any:
        with reading(self.path) as connection:
            table = tables.lives
            return connection.execute(select(table).where(table.c.uid == "uid-7", versions.holds(table))).one()

    def kinds(self) -> list[str]:
        with reading(self.path) as connection:
            return list(connection.scalars(select(tables.entries.c.kind).order_by(tables.entries.c.seq)))


@asynccontextmanager
async def scene(path: Path) -> AsyncIterator[Scene]:
    async with world.running(path) as ledger:
        scribe, clock = Scribe(ledger), stage.HandClock()
        settings = Settings(ledger=str(path), cluster_name="c")
        chronicle = Chronicle(scribe.note, clock.now)
        services = stage.services(settings=settings, ledger=ledger, scribe=scribe, clock=clock, chronicle=chronicle)
        chronicle.load({}, {}, (), {})
        chronicle.seen(MACHINE)
        writing = asyncio.create_task(scribe.run())
        assert await scribe.flush()
        yield Scene(path, services)
        writing.cancel()


@pytest.mark.parametrize("said", [DELETED, NAMED], ids=["by its UID", "by its name"])
async def test_a_death_that_a_person_asked_for_is_hers(tmp_path: Path, said: dict[str, Any]) -> None:
    async with scene(tmp_path / "l.db") as at:
        assert await at.tell(said) == Told(entered=1)
        assert await at.tell(said) == Told(known=1)
        await at.die()
        assert (at.life().reason, at.life().died_by) == (DeathReason.PERSON, "alice")
        assert at.kinds() == ["birth", "identity", "death"]


async def test_one_that_was_told_before_is_corrected_once_and_stays_as_it_was_known_then(tmp_path: Path) -> None:
    async with scene(tmp_path / "l.db") as at:
        await at.die()
        former = at.life()
        assert former.reason == DeathReason.UNKNOWN
        said = event(responseObject=None, requestReceivedTimestamp=facts.text(NOW - timedelta(seconds=1)))
        assert await at.tell(said) == Told(entered=1)
        assert await at.tell(said) == Told(known=1)
        now = at.life()
        assert (now.reason, now.died_by) == (DeathReason.PERSON, "alice")
        assert (now.born, now.died, now.died_not_before) == (former.born, former.died, former.died_not_before)
        assert at.kinds() == ["birth", "death", "death"]
        with reading(at.path) as connection:
            table = tables.lives
            then = connection.execute(select(table).where(versions.holds(table, former.recorded))).one()
            assert then.reason == DeathReason.UNKNOWN


async def test_who_asked_is_more_than_a_mark_and_our_own_hand_more_than_both(tmp_path: Path) -> None:
    async with scene(tmp_path / "l.db") as at:
        marked = node("worker-7", uid="uid-7", taints=(Taint(key="ToBeDeletedByClusterAutoscaler"),))
        assert at.chronicle.reason_of(marked) == (DeathReason.SCALE_DOWN, "")
        await at.tell(DELETED)
        assert at.chronicle.reason_of(marked) == (DeathReason.PERSON, "alice")
        at.chronicle.gone(MACHINE, DeathReason.EXUVIA, "rotation-1")
        assert await at.tell(event(user={"username": "bob"})) == Told(known=1)
        assert (at.life().reason, at.life().died_by) == (DeathReason.EXUVIA, "rotation-1")


async def test_the_next_leader_knows_who_asked(tmp_path: Path) -> None:
    async with scene(tmp_path / "l.db") as at:
        await at.tell(DELETED)
        told: list[Any] = []
        following = Chronicle(lambda *some: told.extend(some), lambda: NOW)
        with reading(at.path) as connection:
            alive, borne = recall.lives(connection, "c"), recall.borne(connection, "c")
        following.load(alive, {}, (), borne)
        assert following.settle({}, set(), None, {}) == [(alive["uid-7"], DeathReason.PERSON)]
        assert [(one.body["reason"], one.body["by"]) for one in told] == [("person", "alice")]


async def test_of_a_machine_that_the_ledger_does_not_know_nothing_is_said(tmp_path: Path) -> None:
    async with scene(tmp_path / "l.db") as at:
        other = {"resource": "nodes", "name": "worker-8"}
        assert await at.tell(event(objectRef=other, responseObject=None)) == Told(unknown=1)
        early = facts.text(NOW - timedelta(days=1))
        assert await at.tell(event(responseObject=None, requestReceivedTimestamp=early)) == Told(unknown=1)
        assert at.kinds() == ["birth"]


async def test_what_cannot_be_written_is_not_taken(tmp_path: Path) -> None:
    async with scene(tmp_path / "l.db") as at:

        async def down(*_: Any) -> Any:
            raise errors.LedgerDown("the disk is full")

        at.services.ledger.append, append = down, at.services.ledger.append
        with pytest.raises(errors.LedgerDown):
            await at.tell(DELETED)
        at.services.ledger.append = append
        assert await at.tell(DELETED) == Told(entered=1)


async def test_history_from_elsewhere_may_say_it_too(tmp_path: Path) -> None:
    line = {"type": "instance", "uid": "uid-7", "name": "worker-7", "born": "2026-01-01T00:00:00Z", "died": AT}
    (told,) = lines.read([json.dumps({**line, "reason": "person"})], recorded=facts.microseconds(NOW))
    with world.written(
        tmp_path / "l.db", facts.Fact(kind=facts.FactKind.INSTANCE, at=NOW, body=told.body)
    ) as connection:
        (found,) = who.bore(connection, "name", "worker-7", NOW - timedelta(hours=1))
        assert found.reason == DeathReason.PERSON
        assert counts.counts(connection, NOW, cluster="c").deaths == {("Node", "", "person"): 1}
