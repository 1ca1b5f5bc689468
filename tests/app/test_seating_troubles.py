"""What one pool's trouble, a stale picture, or a pool that was deleted leaves of the seats."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from exuvia import errors
from exuvia.app import seat_ledger, seating
from exuvia.decide.seats import recall
from exuvia.decide.seats.owing import Owing
from exuvia.model.facts import microseconds
from exuvia.model.specs.common import ConditionStatus
from exuvia.model.specs.license_pool import LicensePool, LicensePoolStatus
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
    with world.seating.deaths.heard():
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
    assert len(world.seating.deaths) == 0, "it is not remembered for ever"


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
    world.seating._pools.synced = True
    monkeypatch.setattr(seat_ledger, "deleted", lambda _, there, at: _as_deleted(world, there, at))
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


async def test_an_end_that_was_entered_in_part_is_entered_no_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger goes away between two transactions of the many that a large pool takes."""
    monkeypatch.setattr(seat_ledger, "TOGETHER", 2)
    machines = [machine(f"m{number}", number / 10) for number in range(5)]
    world = World(monkeypatch, *machines, seats=5)
    monkeypatch.setattr(seat_ledger, "deleted", lambda _, there, at: _as_deleted(world, there, at))
    world.seating._pools.synced = True
    await world.look()
    append, appends = world.ledger.append, list[int]()

    async def once(*told: Any) -> None:
        appends.append(len(told))
        if len(appends) == 2:
            raise errors.LedgerDown("the disk is full")
        await append(*told)

    world.ledger.append = once  # type: ignore[method-assign]
    for _ in range(4):
        await world.seating.look(())
    back = [uid for event, uid in world.told() if event == "returned"]
    assert sorted(back) == [one.uid for one in machines]
    assert appends == [2, 2, 2, 1]


async def test_a_pool_that_was_not_read_yet_when_a_look_began_is_not_taken_for_deleted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A list of many comes page by page, and ends while the pools of its first page are looked at."""
    world, asked = World(monkeypatch, machine("a")), list[set[str]]()
    monkeypatch.setattr(seat_ledger, "deleted", lambda _, there, at: asked.append(there) or {})
    serve = world.seating._serve

    async def slowly(one: LicensePool) -> None:
        world.seating._pools.synced = True
        await serve(one)

    world.seating._serve = slowly  # type: ignore[method-assign]
    await world.look()
    assert asked == []
    await world.seating.look((world.pool, other()))
    assert asked == [{"pool-uid", "other"}]


async def test_a_hook_that_is_taken_off_leaves_nothing_owed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the machine could never be pruned, and a hook of later would be told of returns from before it."""
    world = World(monkeypatch, machine("a"), machine("b", 1), seats=2, **HOOK)
    world.services.settings = replace(world.services.settings, reclaim_hosts="vendor.example.org")
    await world.look()
    world.view.nodes.store.drop("a")
    await world.look()
    world.pool = pool(seats=2)
    world.ledger.trouble = errors.LedgerDown("the disk is full")
    monkeypatch.setattr(seat_ledger, "remembered", lambda _, uid, at: world.remembered(at))
    await world.look()
    world.ledger.trouble = None
    for _ in range(3):
        await world.look()
    assert world.told()[-1] == ("reported", "a")
    assert [one.body["outcome"] for one in world.ledger.facts if one.body["event"] == "reported"] == ["hook-removed"]
    assert world.remembered(0).owed == ()


async def test_what_is_owed_by_a_pool_whose_hook_went_while_nobody_led_is_closed_by_the_next_leader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(monkeypatch, machine("a"), **HOOK)
    world.services.settings = replace(world.services.settings, reclaim_hosts="vendor.example.org")
    await world.look()
    world.view.nodes.store.drop("a")
    await world.look()
    monkeypatch.setattr(seat_ledger, "remembered", lambda _, uid, at: world.remembered(at))
    world.pool = pool()
    world.begin()
    await world.look()
    assert world.told()[-1] == ("reported", "a")


async def test_the_vendors_count_is_not_believed_for_ever_once_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    former = ConditionStatus(
        type="Reconciled", status="True", reason="CountsAgree", message="the vendor counts as many"
    )
    world = World(monkeypatch, machine("a"))
    world.pool = pool().model_copy(update={"status": LicensePoolStatus(conditions=(former,))})
    await world.look()
    (said,) = [one for one in world.cluster.status["conditions"] if one["type"] == "Reconciled"]
    assert (said["status"], said["reason"]) == ("Unknown", "NoHook")


async def test_a_pool_that_was_deleted_while_nobody_served_it_gives_everything_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the start of a term, and when one goes of which nothing is remembered; once."""
    world = World(monkeypatch, machine("a"), machine("b", 1))
    asked: list[set[str]] = []

    def deleted(_: Any, there: set[str], at: int) -> Any:
        asked.append(there)
        if world.pool.uid in there:
            return {}
        found = world.remembered(at)
        return {world.pool.uid: ("antivirus", found.seats, found.owed)}

    monkeypatch.setattr(seat_ledger, "deleted", deleted)
    await world.look()
    world.begin()
    await world.seating.look(())
    assert asked == [], "the pools that are there are not known yet"
    world.seating._pools.synced = True
    for _ in range(3):
        await world.seating.look(())
    assert asked == [set()]
    assert world.told()[-2:] == [("returned", "a"), ("left", "b")]
    state = world.remembered(0).seats
    assert (state.leases, state.waiting) == ((), ())


async def test_what_is_not_served_is_said_once_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(monkeypatch, machine("a"), **HOOK)
    for _ in range(3):
        await world.look()
    (said,) = [one.getMessage() for one in caplog.records]
    assert said.startswith("LicensePool antivirus is not served: ") and "--reclaim-hosts vendor.example.org" in said


async def test_who_was_refused_is_not_forgotten_where_seats_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, machine("a"), machine("b", 1), exhaustion="Deny")
    await world.look()
    world.view.nodes.store.drop("a")
    await world.look()
    (said,) = [one for one in world.cluster.status["conditions"] if one["type"] == "Exhausted"]
    assert said["message"] == "a newcomer finds a seat; who was refused one (`Deny`) gets none as long as it lives"


async def test_one_that_goes_while_its_seats_are_not_known_is_asked_for_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, machine("a"), target={"kind": "VirtualMachineInstance", "selector": {}})
    asked: list[set[str]] = []
    monkeypatch.setattr(seat_ledger, "deleted", lambda _, there, at: asked.append(there) or {})
    world.seating._pools.synced = True
    await world.look()
    await world.look()
    await world.seating.look(())
    await world.seating.look(())
    assert asked == [{"pool-uid"}, set()]


def _as_deleted(world: World, there: set[str], at: int) -> Any:
    found = world.remembered(at)
    return {} if world.pool.uid in there else {world.pool.uid: ("antivirus", found.seats, found.owed)}
