"""An agent that is nowhere: it is said once, after a while, and no seat is given or taken for it."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from exuvia.model.reasons import EventReason
from exuvia.model.specs.license_pool import LicensePool
from tests.app.stage import NOW
from tests.app.test_seating import World, agent, machine

AGENT = {"agent": {"daemonSet": "security/antivirus"}}
MISSING = EventReason.LICENSE_AGENT_NOT_FOUND


def found(world: World) -> tuple[str, str] | None:
    """Status and reason of the condition."""
    said = {one["type"]: one for one in world.cluster.status["conditions"]}
    return (said["AgentFound"]["status"], said["AgentFound"]["reason"]) if "AgentFound" in said else None


def warned(world: World) -> int:
    return sum(one.reason is MISSING for one in world.said)


def renewed(world: World, **spec: Any) -> None:
    """The watch brings the pool as it was written; with `spec` somebody edited it."""
    body: dict[str, Any] = {"spec": world.pool.spec.wire(), "status": world.cluster.status}
    body["metadata"] = {"name": "antivirus", "uid": "pool-uid", "resourceVersion": "9", "generation": 2 if spec else 1}
    body["spec"] = {**body["spec"], **spec}
    world.pool = LicensePool.parse(body)


async def test_an_agent_that_is_nowhere_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(monkeypatch, machine("a"), **AGENT)
    with caplog.at_level(logging.WARNING):
        await world.look()
        await world.look()
    assert found(world) == ("False", "AgentNotFound")
    assert world.told() == [("granted", "a")]
    assert warned(world) == 1
    assert [one.message for one in caplog.records if "no pod of DaemonSet security/antivirus" in one.message] != []
    renewed(world)
    world.begin()
    await world.look()
    assert warned(world) == 1
    renewed(world, agent={"daemonSet": "security/virusscan"})
    await world.look()
    assert warned(world) == 2


async def test_a_machine_that_is_young_may_only_not_have_it_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, machine("a", 58), **AGENT)
    await world.look()
    assert (found(world), warned(world)) == (("Unknown", "AgentNotSeenYet"), 0)
    await world.look(seconds=timedelta(minutes=4).total_seconds())
    assert (found(world), warned(world)) == (("False", "AgentNotFound"), 1)


async def test_one_that_was_ever_seen_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, machine("a"), **AGENT)
    world.view.pods.store.put(agent("n-a"), "1")
    await world.look()
    assert found(world) == ("True", "AgentSeen")
    renewed(world)
    world.view.pods.store.drop("p")
    await world.look()
    world.begin()
    await world.look()
    assert (found(world), warned(world)) == (("True", "AgentSeen"), 0)


async def test_a_pod_of_another_or_on_a_machine_that_is_not_selected_is_not_it(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, machine("a"), **AGENT)
    world.view.pods.store.put(agent("n-a", owner="other", uid="o"), "1")
    await world.look()
    assert found(world) == ("False", "AgentNotFound")
    world.pool = LicensePool.parse(
        {
            "metadata": {"name": "antivirus", "uid": "pool-uid", "resourceVersion": "1", "generation": 1},
            "spec": {"seats": 1, "target": {"selector": {"matchLabels": {"desktop": "true"}}}, **AGENT},
        }
    )
    world.view.pods.store.put(agent("n-a"), "1")
    world.begin()
    await world.look()
    assert found(world) == ("Unknown", "AgentNotSeenYet")


async def test_while_pods_cannot_be_seen_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, machine("a"), **AGENT)
    trust = world.trust
    monkeypatch.setattr(world, "trust", lambda: (trust(), setattr(world.view.pods, "synced", False)))
    await world.look()
    assert (found(world), warned(world)) == (None, 0)


async def test_a_pool_without_an_agent_says_nothing_and_one_that_lost_it_says_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(monkeypatch, machine("a"))
    await world.look()
    assert found(world) is None
    with_agent = World(monkeypatch, machine("a"), **AGENT)
    await with_agent.look()
    renewed(with_agent, agent=None)
    await with_agent.look()
    assert found(with_agent) == ("Unknown", "NoAgent")


async def test_a_pool_that_was_just_made_is_given_time(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, machine("a"), **AGENT)
    world.pool = world.pool.model_copy(
        update={"metadata": world.pool.metadata.model_copy(update={"creation_timestamp": NOW})}
    )
    await world.look()
    assert found(world) == ("Unknown", "AgentNotSeenYet")
