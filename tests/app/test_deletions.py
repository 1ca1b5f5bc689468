"""Who deleted a machine, by audit events: certain or not said, once, durable, before or after the death was told."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from exuvia import errors
from exuvia.app import askers, audit_events, deletions
from exuvia.app.audit_events import MOST, Deletion
from exuvia.app.chronicle import Chronicle
from exuvia.app.deletions import Told
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

MARKED = node("worker-7", uid="uid-7", taints=(Taint(key="ToBeDeletedByClusterAutoscaler"),))


def later(**since: float) -> datetime:
    return NOW + timedelta(**since)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing more will come to be known."""
    monkeypatch.setattr(deletions, "PAUSES", ())


def test_a_list_of_the_webhook_and_lines_of_the_log_say_the_same() -> None:
    found = [Deletion(name="worker-7", uid="uid-7", by="alice", at=NOW)]
    assert audit_events.read(batch(DELETED)) == found
    assert audit_events.read(json.dumps(DELETED, indent=1).encode()) == found
    assert audit_events.read(f"{json.dumps(DELETED)}\n\n{json.dumps(DELETED)}\n".encode()) == found * 2


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
    assert [one.uid for one in audit_events.read(batch(event(**more)))] == [uid]


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
        {"user": {"username": "aksService"}},
        {"objectRef": {"resource": "nodes", "name": "worker-7", "apiGroup": "longhorn.io"}},
        {"objectRef": {"resource": "nodes", "name": "worker-7", "namespace": "longhorn-system"}},
        {"requestObject": {"kind": "DeleteOptions", "dryRun": ["All"]}},
        {"requestObject": {"dryRun": ["All"], "preconditions": 7}},
        {"requestURI": "/api/v1/nodes/worker-7?gracePeriodSeconds=0&dryRun=All"},
        {"requestURI": "http://[/"},
        {"impersonatedUser": {"username": "system:serviceaccount:ci:robot"}},
        {"user": {}},
        {"requestReceivedTimestamp": "yesterday"},
    ],
)
def test_what_is_not_certain_says_nothing(other: dict[str, Any]) -> None:
    assert audit_events.read(batch(event(**other))) == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", None),
        (b'{"kind":"EventList","items":null}', None),
        (b"{", "line 1"),
        (b'{"kind":"Pod"}', "Pod is no audit event"),
        (b"[1]", "line 1"),
        (b"[" * 100_000, "line 1"),
        (b'{"kind":"EventList","items":[{"verb":7}]}', "line 1"),
        (batch(DELETED) + b"\n" + b'{"kind":"Event","verb":7}', "line 2"),
    ],
)
def test_what_is_no_audit_event_is_refused_and_named(body: bytes, said: str | None) -> None:
    if said is None:
        assert audit_events.read(body) == []
        return
    with pytest.raises(errors.InvalidObject, match=said):
        audit_events.read(body)


@pytest.mark.parametrize("who", ["aksel@example.org", "aks", "eksperten", "systems@example.org"])
def test_a_person_whose_name_begins_like_a_clouds_is_one(who: str) -> None:
    assert [one.by for one in audit_events.read(batch(event(user={"username": who})))] == [who]


@pytest.mark.parametrize("options", [{"dryRun": None}, {"dryRun": []}, {"propagationPolicy": "Background"}])
def test_options_that_ask_for_no_dry_run_are_none(options: dict[str, Any]) -> None:
    said = event(requestObject=options, requestURI="/api/v1/nodes/worker-7?gracePeriodSeconds=0")
    assert len(audit_events.read(batch(said))) == 1


def test_brackets_and_quotes_in_what_an_event_holds_divide_nothing() -> None:
    odd = event(annotations={"a": '}]"{[\\"', "b": [["]}"], []]}, userAgent='\\\\"]')
    assert len(audit_events.read(batch(odd, odd, odd))) == 3


def test_more_events_than_a_request_may_hold_are_refused_before_they_are_in_memory() -> None:
    assert len(audit_events.read(batch(*[DELETED] * MOST))) == MOST
    line = json.dumps(DELETED).encode() + b"\n"
    many = b'{"kind":"EventList","items":[' + b"{}," * ((8 << 20) // 3) + b"{}]}"
    escapes = b'{"kind":"EventList","items":[' + b"{}," * MOST + b'{"a":"' + b"\\n" * (1 << 20) + b'"}]}'
    for body in (
        batch(*[DELETED] * (MOST + 1)),
        line * (MOST + 1),
        (batch(DELETED) + b"\n") * (MOST + 1),
        many,
        escapes,
    ):
        tracemalloc.start()
        with pytest.raises(errors.InvalidObject, match="too many"):
            audit_events.read(body)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2 * len(body) + (1 << 20)


class Scene:
    """A ledger that knows a machine, and who tells it."""

    def __init__(self, path: Path, services: Any) -> None:
        self.path = path
        self.services = services
        self.chronicle: Chronicle = services.chronicle

    async def tell(self, *events: dict[str, Any]) -> Told:
        return await deletions.enter(self.services, audit_events.read(batch(*events)))

    def show(self, machine: Instance) -> None:
        """In the picture of the cluster it is so now."""
        self.services.view.nodes.store.put(machine, "1")

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
        assert await at.tell(said) == Told(passed=1), "it is not known yet whether it goes"
        at.services.clock.seconds += 5
        await at.die(MARKED)
        assert (at.life().reason, at.life().died_by) == (DeathReason.PERSON, "alice")
        assert await at.tell(said, said) == Told(known=2)
        assert at.kinds() == ["birth", "death"]


async def test_a_request_waits_a_moment_for_what_it_tells_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletions, "PAUSES", (0.05, 2.0, 60.0))
    async with scene(tmp_path / "l.db") as at:
        telling = asyncio.create_task(at.tell(DELETED))
        await asyncio.sleep(0.02)
        await at.die()
        assert await telling == Told(entered=1)
        assert (at.life().reason, at.kinds()) == (DeathReason.PERSON, ["birth", "death"])


async def test_who_asked_for_what_did_not_come_of_it_is_not_named_when_it_goes_later(tmp_path: Path) -> None:
    """A dry run that the event does not show, or a machine that stayed: the autoscaler removes it, hours after."""
    async with scene(tmp_path / "l.db") as at:
        assert await at.tell(NAMED) == Told(passed=1)
        at.services.clock.seconds += 3 * 3600
        going = replace(MARKED, deleting=True, deleting_since=at.services.clock.now())
        at.show(going)
        assert await at.tell(NAMED) == Told(passed=1)
        assert at.chronicle.reason_of(going) == (DeathReason.SCALE_DOWN, "")
        await at.die(MARKED)
        assert await at.tell(NAMED) == Told(passed=1)
        assert (at.life().reason, at.life().died_by) == (DeathReason.SCALE_DOWN, "")
        assert at.kinds() == ["birth", "death"]


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [(-3000, "scale-down"), (-121, "scale-down"), (-119, "person"), (59, "person"), (61, "scale-down")],
)
async def test_a_death_is_corrected_only_by_what_was_asked_for_just_before(
    tmp_path: Path, seconds: float, reason: str
) -> None:
    async with scene(tmp_path / "l.db") as at:
        await at.die(MARKED)
        at.services.clock.seconds += 300
        told = await at.tell(event(requestReceivedTimestamp=facts.text(later(seconds=seconds))))
        assert told == (Told(entered=1) if reason == "person" else Told(passed=1))
        assert at.life().reason == reason


async def test_of_a_death_that_nobody_watched_any_moment_of_its_interval_will_do(tmp_path: Path) -> None:
    async with scene(tmp_path / "l.db") as at:
        at.services.clock.seconds += 3600
        at.chronicle.missed(MACHINE, DeathReason.UNKNOWN, "", NOW)
        for seconds, told in ((-121, Told(passed=1)), (3661, Told(unknown=1)), (1800, Told(entered=1))):
            said = event(requestReceivedTimestamp=facts.text(later(seconds=seconds)))
            assert await at.tell(said) == told
        assert (at.life().reason, at.life().died_not_before) == (DeathReason.PERSON, facts.microseconds(NOW))


async def test_of_two_who_asked_the_one_next_to_the_death_is_named(tmp_path: Path) -> None:
    tried = event(user={"username": "bob"}, requestReceivedTimestamp=facts.text(later(seconds=-100)))
    for first in (True, False):
        async with scene(tmp_path / f"{first}.db") as at:
            if first:
                await at.tell(tried, DELETED)
                await at.die()
            else:
                await at.die()
                assert await at.tell(tried, DELETED) == Told(entered=1, known=1)
            assert at.life().died_by == "alice"


async def test_what_is_told_of_the_future_or_of_nobody_is_not_remembered(tmp_path: Path) -> None:
    async with scene(tmp_path / "l.db") as at:
        assert await at.tell(event(requestReceivedTimestamp=facts.text(later(seconds=61)))) == Told(unknown=1)
        await at.tell(DELETED)
        said = {"resource": "nodes", "name": "worker-7"}
        made_up = [event(objectRef=said | {"uid": f"made-up-{one}"}) for one in range(askers.KEPT)]
        for some in range(0, len(made_up), MOST):
            await at.tell(*made_up[some : some + MOST])
        assert at.chronicle.reason_of(MACHINE) == (DeathReason.PERSON, "alice")


async def test_a_thousand_are_entered_together(tmp_path: Path) -> None:
    async with scene(tmp_path / "l.db") as at:
        machines = [node(f"n-{one}", uid=f"u-{one}", born=NOW - timedelta(hours=1)) for one in range(300)]
        for one in machines:
            at.chronicle.seen(one)
            at.chronicle.gone(one, DeathReason.UNKNOWN, "")
        appends, append = list[int](), at.services.ledger.append

        async def counted(*some: Any) -> Any:
            appends.append(len(some))
            return await append(*some)

        assert await at.services.scribe.flush()
        at.services.ledger.append = counted
        told = [event(objectRef={"resource": "nodes", "name": one.name, "uid": one.uid}) for one in machines]
        assert await at.tell(*told) == Told(entered=300)
        assert appends == [300]


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
        assert at.chronicle.reason_of(MARKED) == (DeathReason.SCALE_DOWN, "")
        await at.tell(DELETED)
        assert at.chronicle.reason_of(MARKED) == (DeathReason.PERSON, "alice")
        at.chronicle.gone(MACHINE, DeathReason.EXUVIA, "rotation-1")
        assert await at.tell(event(user={"username": "bob"})) == Told(known=1)
        assert (at.life().reason, at.life().died_by) == (DeathReason.EXUVIA, "rotation-1")


async def test_of_a_machine_that_lives_on_for_its_finalizers_the_next_leader_knows_who_deleted_it(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path / "l.db") as at:
        at.show(replace(MACHINE, deleting=True, deleting_since=later(seconds=1), finalizers=("a/b",)))
        at.services.clock.seconds += 3600
        assert await at.tell(DELETED) == Told(entered=1)
        assert await at.tell(DELETED) == Told(known=1)
        again = event(user={"username": "bob"}, requestReceivedTimestamp=facts.text(later(minutes=50)))
        assert await at.tell(again) == Told(known=1)
        assert at.kinds() == ["birth", "identity"]
        assert at.chronicle.reason_of(MACHINE) == (DeathReason.PERSON, "alice")
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

        await at.die()
        at.services.ledger.append, append = down, at.services.ledger.append
        with pytest.raises(errors.LedgerDown):
            await at.tell(DELETED)
        at.services.ledger.append = append
        assert at.life().reason == DeathReason.UNKNOWN
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
