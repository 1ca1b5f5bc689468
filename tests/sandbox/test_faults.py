"""Crashes and troubles: exactly n writes take effect, and then nothing any more."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from exuvia import errors
from exuvia.model import facts, resources
from exuvia.model.instances import Reference
from exuvia.sandbox import builders, replies
from exuvia.sandbox.cluster import World
from exuvia.sandbox.faults import Crash, FaultyCluster, FaultyLedger, FaultyProvider, Fuse, Trouble
from exuvia.sandbox.ledger import MemoryLedger
from exuvia.sandbox.provider import Cloud

MACHINE = Reference(name="a", uid="u", provider_id="simulated://workers/a")


def config(name: str) -> dict[str, object]:
    return {"metadata": {"name": name, "namespace": "default"}}


async def test_a_crash_comes_after_the_write_and_nothing_after_the_crash() -> None:
    world, fuse = World(), Fuse(after=2)
    cluster = FaultyCluster(world, fuse)
    await cluster.create(resources.CONFIG_MAPS, config("one"))

    with pytest.raises(Crash):
        await cluster.create(resources.CONFIG_MAPS, config("two"))
    with pytest.raises(Crash):
        await cluster.create(resources.CONFIG_MAPS, config("three"))
    with pytest.raises(Crash):
        await cluster.get(resources.CONFIG_MAPS, "one", namespace="default")

    assert [one["metadata"]["name"] for one in world.all(resources.CONFIG_MAPS)] == ["one", "two"]


def test_a_crash_is_not_caught_as_an_error() -> None:
    assert not issubclass(Crash, Exception)


async def test_all_edges_share_one_fuse() -> None:
    world, fuse = World(), Fuse(after=4)
    memory, cloud = MemoryLedger(), Cloud(storage=world.storage)
    cluster, ledger, provider = FaultyCluster(world, fuse), FaultyLedger(memory, fuse), FaultyProvider(cloud, fuse)
    fact = facts.brake(name="pause", engaged=True, reason="", at=datetime(2026, 1, 1, tzinfo=UTC))

    await ledger.append(fact)
    await cluster.create(resources.CONFIG_MAPS, config("one"))
    await provider.request(pool="workers", key="k", like=MACHINE)
    with pytest.raises(Crash):
        await provider.remove(pool="workers", instance=MACHINE)
    with pytest.raises(Crash):
        await ledger.append(fact)

    assert fuse.log == ["append brake", "create configmaps one", "request k", "remove a"]
    assert MACHINE.provider_id in cloud.removals
    assert len(memory.facts) == 1


async def test_a_dry_run_does_not_count() -> None:
    fuse = Fuse(after=1)

    await FaultyCluster(World(), fuse).create(resources.CONFIG_MAPS, config("one"), dry_run=True)

    assert fuse.writes == 0


async def test_a_trouble_meets_so_many_calls_of_its_kind() -> None:
    world = World()
    cluster = FaultyCluster(world)
    cluster.troubles.append(Trouble(error=replies.throttled(), verb="create", plural="configmaps", times=2))

    for _ in range(2):
        with pytest.raises(errors.TooManyRequests):
            await cluster.create(resources.CONFIG_MAPS, config("one"))
    await cluster.create(resources.CONFIG_MAPS, config("one"))

    assert len(world.all(resources.CONFIG_MAPS)) == 1


async def test_a_trouble_can_let_some_calls_pass_first() -> None:
    world = World()
    cluster = FaultyCluster(world)
    cluster.troubles.append(Trouble(error=replies.throttled(), verb="create", skip=1))

    await cluster.create(resources.CONFIG_MAPS, config("one"))
    with pytest.raises(errors.TooManyRequests):
        await cluster.create(resources.CONFIG_MAPS, config("two"))
    await cluster.create(resources.CONFIG_MAPS, config("two"))

    assert len(world.all(resources.CONFIG_MAPS)) == 2


async def test_a_list_can_break_in_the_middle() -> None:
    world = World()
    for index in range(3):
        world.add(resources.NODES, builders.node(f"n{index}"))
    cluster = FaultyCluster(world)
    cluster.troubles.append(Trouble(error=replies.unreachable("GET nodes"), verb="list", lost=True))

    seen: list[int] = []
    with pytest.raises(errors.Unreachable):
        async for page in cluster.pages(resources.NODES, limit=2):
            seen.append(len(page))

    assert seen == [2]
