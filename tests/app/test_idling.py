"""An operator that only watches says of every operation that it waits for that, and floods nobody."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from exuvia import errors
from exuvia.app.starting import REFUSED_SECONDS, Starter
from exuvia.app.stepping import lines
from exuvia.app.sweep import Sweep
from exuvia.app.uninstalling import Uninstalling
from exuvia.decide.brakes import acting
from exuvia.model import marks
from exuvia.model.planning import Grant, Plan
from exuvia.model.specs.fleet_guard import FleetGuard
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from tests import virtual
from tests.app import stage


def rotation(name: str, **status: Any) -> Rotation:
    meta = {"name": name, "uid": f"uid-{name}", "creationTimestamp": "2026-11-25T11:00:00Z"}
    spec = {"instance": {"kind": "Node", "name": "w", "uid": f"node-{name}"}}
    return Rotation.parse({"metadata": meta, "spec": spec, "status": status})


def quarantine(name: str, **status: Any) -> Quarantine:
    meta = {"name": name, "uid": f"uid-{name}", "creationTimestamp": "2026-11-25T11:00:00Z"}
    spec = {"instance": {"kind": "Node", "name": "w", "uid": f"node-{name}"}}
    return Quarantine.parse({"metadata": meta, "spec": spec, "status": status})


class Winner:
    """Keeps what would be written."""

    def __init__(self) -> None:
        self.said: dict[str, Any] = {}
        self.intents: list[str] = []
        self.trouble: Exception | None = None

    async def intent(self, one: Any, step: str) -> None:
        self.intents.append(one.name)

    def outcome(self, one: Any, receipt: Any, result: str) -> None:
        return

    async def swap(self, line: Any, one: Any, body: Any, receipt: Any = None) -> Any:
        if self.trouble is not None:
            raise self.trouble
        self.said[one.name] = body["blocked"]["reason"]
        return one


def sweeping(winner: Winner, *operations: Any) -> Sweep:
    """As much of a sweep as says what waits."""
    services = stage.services(events=SimpleNamespace(say=lambda event: None))
    for one in operations:
        store = services.view.rotations.store if isinstance(one, Rotation) else services.view.quarantines.store
        store.put(one, "1")
    gatherer = SimpleNamespace(rotation=None, quarantine=None)
    advancer = SimpleNamespace(lines=lines(gatherer), winner=winner)  # type: ignore[arg-type]
    made = Sweep.__new__(Sweep)
    made._services = services
    made._starter = Starter(services, stage.fleet(services), advancer)  # type: ignore[arg-type]
    return made


async def test_every_operation_says_that_the_operator_only_watches() -> None:
    winner = Winner()
    begun = {"startedAt": "2026-11-25T11:10:00Z"}
    asked = rotation("asked", phase="Pending")
    sweep = sweeping(
        winner, asked, rotation("begun", phase="Draining", **begun), quarantine("held", phase="Held", **begun)
    )
    moment: Any = SimpleNamespace(read_only=True)
    waiting = acting.only_watching(moment)
    assert waiting is not None
    await sweep._say_idle(Plan(waiting={asked.uid: waiting}), moment)
    assert winner.said == {"asked": "ReadOnly", "begun": "ReadOnly", "held": "ReadOnly"}


async def test_what_may_not_be_said_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    winner = Winner()
    winner.trouble = errors.Forbidden("no right to patch rotations/status")
    sweep = sweeping(winner, rotation("begun", phase="Draining", startedAt="2026-11-25T11:10:00Z"))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await sweep._say_idle(Plan(), SimpleNamespace(read_only=True))  # type: ignore[arg-type]
            sweep._services.clock.seconds += REFUSED_SECONDS + 1  # type: ignore[attr-defined]
    assert [one.getMessage() for one in caplog.records] == [
        "Rotation begun does not say why it waits (Forbidden): no right to patch rotations/status"
    ]
    winner.trouble = None
    await sweep._say_idle(Plan(), SimpleNamespace(read_only=True))  # type: ignore[arg-type]
    assert winner.said == {"begun": "ReadOnly"}, "the right was given meanwhile"


async def test_a_start_that_is_refused_is_not_tried_with_every_look(caplog: pytest.LogCaptureFixture) -> None:
    """Each try would be an intent in the ledger."""
    winner = Winner()
    winner.trouble = errors.Forbidden("no right to patch quarantines/status")
    asked = quarantine("asked", phase="Pending")
    starter = sweeping(winner, asked, quarantine("other", phase="Pending"))._starter
    grant = Grant(kind="Quarantine", name="asked", uid=asked.uid, instance="w")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await starter.carry_out(Plan(grants=(grant,)))
    assert winner.intents == ["asked"]
    assert [one.getMessage() for one in caplog.records] == [
        "Quarantine asked is not started (Forbidden): no right to patch quarantines/status"
    ]
    await starter.carry_out(Plan(grants=(Grant(kind="Quarantine", name="other", uid="uid-other", instance="w"),)))
    assert winner.intents == ["asked", "other"], "what is refused of one holds no other"


class Refusing(stage.Objects):
    """A server that refuses every write, and counts them."""

    async def merge_patch(self, resource: Any, name: str, body: Any, **more: Any) -> Any:
        self.writes += 1
        raise errors.Forbidden(f"no right to patch {resource.plural}")


def uninstalled() -> FleetGuard:
    meta = {"name": "default", "uid": "G", "resourceVersion": "1", "generation": 2}
    return FleetGuard.parse({"metadata": meta, "spec": {"uninstall": {"by": "alice", "at": "2026-11-25T11:00:00Z"}}})


@pytest.mark.parametrize("read_only", [True, False])
def test_an_uninstall_that_may_not_be_done_floods_neither_server_nor_log(
    read_only: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        cluster = Refusing()
        services = stage.services(cluster=cluster, settings=stage.Settings(read_only=read_only))
        services.view.guards.store.put(uninstalled(), "1")
        services.view.rotations.store.put(rotation("begun", phase="Draining", startedAt="2026-11-25T11:10:00Z"), "1")
        running = asyncio.create_task(Uninstalling(services, stage.fleet(services)).run())
        await asyncio.sleep(60)
        running.cancel()
        assert cluster.writes <= 7
        assert len([one for one in caplog.records if one.levelno >= logging.WARNING]) == 1

    virtual.run(story())


def test_an_operator_that_only_watches_says_so_to_who_uninstalls() -> None:
    async def story() -> None:
        said: list[dict[str, Any]] = []

        async def merge_patch(resource: Any, name: str, body: Any, *, subresource: str = "") -> Any:
            said.append({"resource": resource.plural, **body["status"]["conditions"][0]})
            return {"metadata": {"name": "default", "uid": "G", "resourceVersion": "2"}, "status": body["status"]}

        services = stage.services(
            cluster=SimpleNamespace(merge_patch=merge_patch), settings=stage.Settings(read_only=True)
        )
        services.view.guards.store.put(uninstalled(), "1")
        services.view.rotations.store.put(rotation("begun", phase="Draining"), "1")
        running = asyncio.create_task(Uninstalling(services, stage.fleet(services)).run())
        await asyncio.sleep(1.5)
        running.cancel()
        assert {one["resource"] for one in said} == {"fleetguards"}
        assert (said[0]["type"], said[0]["status"], said[0]["reason"]) == ("Uninstalled", "False", "ReadOnly")
        assert "exuvia uninstall --force" in said[0]["message"]

    virtual.run(story())


def test_a_status_that_somebody_else_wrote_meanwhile_is_said_with_the_next_look(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story() -> None:
        cluster = Server()
        cluster.lost = 1
        services = stage.services(cluster=cluster)
        services.view.guards.store.put(uninstalled(), "1")
        running = asyncio.create_task(Uninstalling(services, stage.fleet(services)).run())
        await asyncio.sleep(1.5)
        guard = services.view.guards.store.get("G")
        assert isinstance(guard, FleetGuard)
        assert [one.reason for one in guard.status.conditions] == ["NothingLeft"]
        assert not [one for one in caplog.records if one.levelno >= logging.WARNING]
        running.cancel()

    virtual.run(story())


class Server(stage.Objects):
    """Keeps the note of the ledger's head, and takes every status, but the first ones that are lost to others."""

    lost = 0

    async def merge_patch(self, resource: Any, name: str, body: Any, **more: Any) -> Any:
        if self.lost:
            self.lost -= 1
            raise errors.Conflict(name)
        meta = {"name": name, "uid": "G", "resourceVersion": "2", "generation": 2}
        spec = {"uninstall": {"by": "alice", "at": "2026-11-25T11:00:00Z"}}
        return {"metadata": meta, "spec": spec, "status": body["status"]}


def test_an_uninstall_takes_the_note_of_the_ledgers_head_away_once_nothing_is_left() -> None:
    async def story() -> None:
        cluster = Server()
        cluster.kept[marks.LEDGER_HEAD] = {"metadata": {"name": "x", "uid": "x", "resourceVersion": "1"}}
        services = stage.services(cluster=cluster)
        services.view.guards.store.put(uninstalled(), "1")
        begun = rotation("begun", phase="Draining")
        aborted = begun.model_copy(update={"spec": begun.spec.model_copy(update={"abort": True})})
        services.view.rotations.store.put(aborted, "1")
        running = asyncio.create_task(Uninstalling(services, stage.fleet(services)).run())
        await asyncio.sleep(3)
        assert marks.LEDGER_HEAD in cluster.kept, "a Rotation is open still"
        services.view.rotations.store.drop("uid-begun", "3")
        await asyncio.sleep(3)
        assert marks.LEDGER_HEAD not in cluster.kept
        running.cancel()

    virtual.run(story())
