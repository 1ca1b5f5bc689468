"""What one pool's trouble, a stale picture, or a pool that was deleted leaves of the seats."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from exuvia import errors
from exuvia.app import seating
from exuvia.decide.seats import recall
from exuvia.decide.seats.owing import Owing
from exuvia.model.facts import microseconds
from exuvia.model.specs.license_pool import LicensePool
from tests.app.test_seating import HOOK, World, agent, machine, pool


def other(name: str = "other") -> LicensePool:
    return pool().model_copy(update={"metadata": pool().metadata.model_copy(update={"name": name, "uid": name})})


async def test_trouble_with_one_pool_is_said_once_and_keeps_no_other_from_being_served(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world, step, tries = World(monkeypatch, machine("a")), seating.step, list[str]()

    def odd(view: Any, now: Any) -> Any:
        if view.pool.name != "other":
            tries.append(view.pool.name)
            raise OverflowError("date value out of range")
        return step(view, now)

    monkeypatch.setattr(seating, "step", odd)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            world.services.clock.seconds += 1
            world.trust()
            await world.seating.look((world.pool, other()))
    assert [one.body["uid"] for one in world.ledger.facts] == ["other"]
    assert len(tries) == 1, "it is looked at again later, or when it was edited"
    why = "LicensePool antivirus cannot be served: OverflowError: date value out of range; other pools are, and it is"
    assert len([one for one in caplog.records if one.getMessage().startswith(why)]) == 1
    assert "OverflowError" in world.seating.sign("antivirus", "a").message
    monkeypatch.setattr(seating, "step", step)
    await world.look(seating.FAILED_SECONDS)
    assert world.told()[-1] == ("granted", "a")


@pytest.mark.parametrize("field", ["grace", "heartbeatTimeout"])
@pytest.mark.parametrize("span", ["87601h", "2540000h", "99999999h", "99999999999999999999999999999h"])
def test_a_span_that_no_moment_can_name_is_refused(field: str, span: str) -> None:
    with pytest.raises(errors.InvalidObject, match="longer than"):
        pool(**{field: span})
    assert pool(**{field: "87600h"})


async def test_nobody_expires_by_an_old_picture_of_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, machine("a"), agent={"daemonSet": "security/antivirus"}, heartbeatTimeout="2m")
    ready = agent("n-a")
    world.view.pods.store.put(ready, "1")
    await world.look()
    world.view.pods.store.put(agent("n-a", minute=60, ready=False), "2")
    world.view.pods.last_heard = world.services.clock.now()
    for _ in range(20):
        world.services.clock.seconds += 30
        world.view.nodes.last_heard = world.view.quarantines.last_heard = world.services.clock.now()
        await world.seating.look((world.pool,))
    assert world.told() == [("granted", "a")]
    world.view.pods.store.put(ready, "3")
    await world.look()
    assert world.told() == [("granted", "a")]


async def test_a_death_keeps_its_moment_while_nothing_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, machine("a"))
    with world.seating._listening():
        await world.look()
        world.down = True
        world.view.nodes.store.drop("a")
        for _ in range(5):
            await world.look(60)
        world.down = False
        await world.look()
        await world.look()
    (back,) = [one for one in world.ledger.facts if one.body["event"] == "returned"]
    assert back.body["died"] == microseconds(world.services.clock.now()) - 302_000_000
    assert world.seating._died == {}, "it is not remembered for ever"


async def test_a_pool_that_is_deleted_gives_everything_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the ledger can keep it; what its vendor was not told of is owed to nobody any more."""
    world = World(monkeypatch, machine("a"), machine("b", 1), **HOOK)
    world.services.settings = replace(world.services.settings, reclaim_hosts="vendor.example.org")
    await world.look()
    world.view.nodes.store.drop("a")
    await world.look()
    world.view.nodes.store.put(machine("c", 2), "1")
    await world.look()
    world.down = True
    await world.seating.look(())
    before = len(world.told())
    world.down, world.ledger.trouble = False, errors.LedgerDown("the disk is full")
    await world.seating.look(())
    world.ledger.trouble = None
    for _ in range(3):
        await world.seating.look(())
    assert world.told()[before:] == [("returned", "b"), ("left", "c"), ("reported", "a")]
    assert world.ledger.facts[before].body["cause"] == "release"
    owed = Owing()
    state = recall(owed.through(world.ledger.changes()), at=0)
    assert (state.leases, state.waiting, owed.left) == ((), (), {})
