"""What a leader that ended suddenly left untold is told by the next one: once, and with the moment at which it was."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import select

from exuvia.app import history
from exuvia.app.chronicle import Chronicle
from exuvia.app.history import History
from exuvia.app.operations import everything
from exuvia.app.past import Past, read
from exuvia.app.scribe import Scribe
from exuvia.app.settings import Settings
from exuvia.decide.backoff import after_call_off
from exuvia.model import facts
from exuvia.model.findings import Wish
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.model.specs.security_policy import Action, Severity
from exuvia.record import opening, tables, versions
from exuvia.record.ledger import Ledger
from exuvia.report.metrics import Durations, Tallies
from tests.app import stage
from tests.app.stage import NOW
from tests.evaluate.world import node

LEFT = NOW - timedelta(minutes=5)


def rotation(name: str, phase: str, machine: str, **status: Any) -> Rotation:
    meta = {"name": name, "uid": f"uid-{name}", "creationTimestamp": "2026-11-25T11:00:00Z"}
    spec = {
        "instance": {"kind": "Node", "name": machine, "uid": f"uid-{machine}"},
        "policy": {"name": "workers", "uid": "P", "generation": 1},
    }
    given = {"phase": phase, "startedAt": "2026-11-25T11:10:00Z", **status}
    return Rotation.parse({"metadata": meta, "spec": spec, "status": given})


async def takeover(
    path: Path, *rotations: Rotation | Quarantine, told: list[facts.Fact], cluster: stage.Objects | None = None
) -> Any:
    """A new leader on that ledger, which sees these Rotations and the machine `alive`; returns its services."""
    ledger = Ledger(path, epoch=lambda: 3)
    ledger.start()
    scribe = Scribe(ledger)
    clock = stage.HandClock()
    services = stage.services(
        clock=clock,
        settings=Settings(ledger=str(path)),
        ledger=ledger,
        scribe=scribe,
        chronicle=Chronicle(scribe.note, clock.now),
        leadership=SimpleNamespace(epoch=3),
        tallies=Tallies(),
        durations=Durations(CollectorRegistry()),
        past_known=False,
        cluster=cluster or stage.Objects(),
    )
    fleet = stage.fleet(services, node("alive"))
    for one in rotations:
        kind = services.view.rotations if isinstance(one, Rotation) else services.view.quarantines
        kind.store.put(one, "1")
    for one in services.view.reflectors:
        one.synced = True
    writer = asyncio.create_task(scribe.run())
    await until_fine(ledger)
    if told:
        await ledger.append(*told)
    await History(services, fleet).first()
    assert await scribe.flush()
    writer.cancel()
    await asyncio.to_thread(ledger.close)
    return services


async def until_fine(ledger: Ledger) -> None:
    while ledger.health().state is not facts.LedgerState.FINE:
        await asyncio.sleep(0.01)


def lives(path: Path) -> dict[str, Any]:
    table = tables.lives
    with opening.open_for_reading(path).connect() as connection:
        return {row.uid: row for row in connection.execute(select(table).where(versions.holds(table)))}


def told_of(path: Path) -> dict[tuple[str, str], Any]:
    """(operation, event) -> its row."""
    with opening.open_for_reading(path).connect() as connection:
        return {(row.uid, row.event): row for row in connection.execute(select(tables.operations))}


def born(name: str) -> facts.Fact:
    instance = {"uid": f"uid-{name}", "kind": "Node", "name": name, "pool": "p", "zone": "z"}
    return facts.birth(instance=instance, at=NOW - timedelta(hours=1))


async def test_starts_and_ends_that_were_won_but_not_told_are_told_with_their_own_moments(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ended = rotation("r-1", "Succeeded", "gone", reason="Replaced", finishedAt="2026-11-25T11:55:00Z")
    under_way = rotation("r-2", "Draining", "alive")
    services = await takeover(path, ended, under_way, told=[])
    found = told_of(path)
    assert found["uid-r-1", "ended"].result == "Succeeded/Replaced"
    assert found["uid-r-1", "ended"].at == facts.microseconds(LEFT)
    assert ("uid-r-2", "started") in found and ("uid-r-2", "ended") not in found
    assert services.past_known
    assert ("exuvia_rotations_total", ("workers", "Succeeded"), 1.0) in counters(services)


async def test_what_was_told_is_not_told_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ended = rotation("r-1", "Succeeded", "gone", reason="Replaced", finishedAt="2026-11-25T11:55:00Z")
    await takeover(path, ended, told=[])
    before = len(rows_of_entries(path))
    services = await takeover(path, ended, told=[])
    assert [kind for kind in rows_of_entries(path)[before:] if kind == "operation"] == []
    assert ("exuvia_rotations_total", ("workers", "Succeeded"), 1.0) in counters(services)


async def test_a_machine_that_exuvia_removed_while_nobody_led_died_by_exuvia(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    told = [born("gone"), born("lost"), born("alive")]
    services = await takeover(path, rotation("r-1", "Terminating", "gone"), told=told)
    found = lives(path)
    assert (found["uid-gone"].reason, found["uid-gone"].died_by) == (facts.DeathReason.EXUVIA, "uid-r-1")
    assert found["uid-lost"].reason == facts.DeathReason.UNKNOWN
    assert found["uid-alive"].died is None
    deaths = {one[1]: one[2] for one in counters(services) if one[0] == "exuvia_instance_deaths_total"}
    assert deaths == {("Node", "p", "exuvia"): 1.0, ("Node", "p", "unknown"): 1.0}


async def test_deaths_before_any_report_are_counted_on(tmp_path: Path) -> None:
    died = facts.death(uid="uid-a", reason=facts.DeathReason.UNKNOWN, at=LEFT, scanned=False)
    services = await takeover(tmp_path / "ledger.db", told=[born("a"), died, born("alive")])
    assert ("exuvia_instances_unscanned_at_death_total", ("p",), 1.0) in counters(services)


def rows_of_entries(path: Path) -> list[str]:
    with opening.open_for_reading(path).connect() as connection:
        return [str(row.kind) for row in connection.execute(select(tables.entries).order_by(tables.entries.c.seq))]


def counters(services: Any) -> list[tuple[str, tuple[str, ...], float]]:
    return [(one.name, one.labels, one.value) for one in services.tallies.samples()]


async def test_identities_that_changed_while_nobody_looked_are_told(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    machine = {"uid": "uid-alive", "kind": "Node", "name": "alive", "pool": "p", "zone": "z"}
    told = {**machine, "bootID": "b1", "machineID": "m1", "addresses": ["10.0.0.7"]}
    services = await takeover(path, told=[facts.birth(instance=told, at=NOW - timedelta(hours=1))])
    services.scribe = None
    noted: list[facts.Fact] = []
    services.chronicle._note = lambda *some: noted.extend(some)
    services.chronicle.seen(node("alive", boot_id="b2", machine_id="m1", addresses=("10.0.0.8",)))
    said = {(one.body["attribute"], one.body["former"], one.body["value"]) for one in noted}
    assert said == {("bootID", "b1", "b2"), ("address", "10.0.0.7", ""), ("address", "", "10.0.0.8")}
    noted.clear()
    services.chronicle.seen(node("alive", boot_id="b2", machine_id="m1", addresses=("10.0.0.8",)))
    assert noted == []


def quarantine(name: str, phase: str, machine: str, *, spec: Any = None, **status: Any) -> Quarantine:
    meta = {"name": name, "uid": f"uid-{name}", "creationTimestamp": "2026-11-25T11:00:00Z"}
    said = {
        "instance": {"kind": "Node", "name": machine, "uid": f"uid-{machine}"},
        "policy": {"name": "workers", "uid": "P", "generation": 1},
        "rule": "suspicious",
        **(spec or {}),
    }
    given = {"phase": phase, "startedAt": "2026-11-25T11:10:00Z", **status}
    return Quarantine.parse({"metadata": meta, "spec": said, "status": given})


def step(name: str, at: str) -> dict[str, str]:
    return {"name": name, "startedAt": at, "finishedAt": at}


STEPS = [step("Isolating", "2026-11-25T11:10:01Z"), step("Freezing", "2026-11-25T11:10:03Z")]


def bodies(path: Path, kind: str) -> list[dict[str, Any]]:
    with opening.open_for_reading(path).connect() as connection:
        rows = connection.execute(select(tables.entries).order_by(tables.entries.c.seq))
        return [json.loads(row.body) for row in rows if row.kind == kind]


async def test_all_that_a_quarantine_did_without_a_ledger_is_entered_late_and_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    workloads = [{"pod": "shop/cart-1", "uid": "p", "treatment": "Frozen"}]
    steps = [*STEPS, {"name": "Sealed", "startedAt": "2026-11-25T11:11:00Z"}]
    held = quarantine("q-1", "Held", "alive", steps=steps, workloads=workloads)
    await takeover(path, held, told=[])
    intents = [(one["body"]["step"], one["body"]["late"], one["at"]) for one in bodies(path, "intent")]
    moments = [facts.microseconds(NOW - timedelta(minutes=50) + timedelta(seconds=one)) for one in (0, 1, 3)]
    assert intents == [(name, True, at) for name, at in zip(("Start", "Isolating", "Freezing"), moments, strict=True)]
    assert len(bodies(path, "outcome")) == 3
    await takeover(path, held, told=[])
    assert len(bodies(path, "intent")) == 3


async def test_what_is_won_while_the_past_is_read_is_not_entered_a_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who wins a step now enters its intent as well: the read came too early for it."""
    path, views = tmp_path / "ledger.db", []

    def slow(*asked: Any) -> Past:
        past = read(*asked)
        for view in views:
            view.quarantines.store.put(quarantine("q-1", "Isolating", "alive", steps=STEPS[:1]), "2")
            view.rotations.store.put(rotation("r-1", "Cordoned", "other"), "2")
        return past

    def remember(view: Any) -> list[Any]:
        views.append(view)
        return everything(view)

    monkeypatch.setattr(history, "read", slow)
    monkeypatch.setattr(history.operations, "everything", remember)
    waiting = quarantine("q-1", "Pending", "alive", startedAt=None)
    await takeover(path, waiting, rotation("r-1", "Pending", "other", startedAt=None), told=[])
    assert views
    assert bodies(path, "intent") == bodies(path, "operation") == []


async def test_what_needs_no_intent_is_not_entered_late(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    bare = quarantine("q-1", "Held", "alive", steps=STEPS)
    heir = quarantine("q-2", "Held", "alive", steps=STEPS, spec={"inheritedFrom": "q-0"})
    starts = [
        facts.operation(
            uid=one.uid,
            kind="Quarantine",
            name=one.name,
            event="started",
            instance="uid-alive",
            policy="workers",
            rule="suspicious",
            pool="",
            result="",
            by="",
            at=NOW,
        )
        for one in (bare, heir)
    ]
    await takeover(path, bare, heir, told=starts)
    assert [(one["body"]["operation"], one["body"]["step"]) for one in bodies(path, "intent")] == [
        ("uid-q-1", "Isolating")
    ]


@pytest.mark.parametrize(("verdict", "holds"), [("Return", True), ("Rotate", False)])
async def test_what_a_person_gave_back_and_deleted_is_left_alone_by_the_next_leader_too(
    tmp_path: Path, verdict: str, holds: bool
) -> None:
    path = tmp_path / "ledger.db"
    release = {"by": "alice", "verdict": verdict, "reason": "false alarm"}
    over = {"reason": "Released", "finishedAt": "2026-11-25T11:40:00Z", "releaseAccepted": release}
    await takeover(path, quarantine("q-1", "Released", "alive", **over), told=[])
    (told,) = [one["body"] for one in bodies(path, "operation") if one["body"]["event"] == "ended"]
    assert (told["verdict"], told["releasedBy"]) == (verdict, "alice")
    services = await takeover(path, told=[])
    wish = Wish(
        uid="uid-alive",
        action=Action.QUARANTINE,
        policy="workers",
        policy_uid="P",
        generation=1,
        rule="suspicious",
        severity=Severity.HIGH,
        message="",
    )
    remembered = services.recollection.quarantines(())
    held = after_call_off(remembered, wish, NOW)
    assert (held is not None) == holds
    if held is not None:
        assert "was released (Return) by alice" in held.message and "+00:00" not in held.message
    assert after_call_off(remembered, wish, NOW + timedelta(hours=24)) is None
