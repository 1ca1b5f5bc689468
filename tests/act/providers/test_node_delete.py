"""NodeDelete: by UID, never chosen by itself, and never able to add a machine."""

from __future__ import annotations

import pytest

from exuvia import errors, ports
from exuvia.act.providers.node_delete import NodeDelete
from exuvia.model import resources
from exuvia.model.instances import Kind, Reference
from exuvia.sandbox import builders, replies
from exuvia.sandbox.cluster import World
from exuvia.sandbox.faults import FaultyCluster, Trouble


@pytest.fixture
def world() -> World:
    made = World()
    made.add(resources.NODES, builders.node("a", uid="uid-a"))
    return made


async def test_it_deletes_that_very_node(world: World) -> None:
    await NodeDelete(world).remove(pool="workers", instance=Reference(name="a", uid="uid-a"))

    assert world.find(resources.NODES, "a") is None


@pytest.mark.parametrize(("name", "uid"), [("a", "another"), ("gone", "uid-a")])
async def test_gone_or_a_namesake_is_success_and_nothing_is_deleted(world: World, name: str, uid: str) -> None:
    await NodeDelete(world).remove(pool="workers", instance=Reference(name=name, uid=uid))

    assert world.find(resources.NODES, "a") is not None


@pytest.mark.parametrize(
    ("error", "definite"),
    [
        (replies.unreachable("DELETE nodes"), False),
        (errors.ServerTrouble("etcdserver: request timed out", status=500), False),
        (errors.Forbidden("nodes is forbidden", status=403), True),
    ],
)
async def test_only_what_surely_did_nothing_is_definite(
    world: World, error: errors.ClusterError, definite: bool
) -> None:
    faulty = FaultyCluster(world)
    faulty.troubles.append(Trouble(error=error, verb="delete"))

    with pytest.raises(errors.ProviderError) as caught:
        await NodeDelete(faulty).remove(pool="workers", instance=Reference(name="a", uid="uid-a"))

    assert caught.value.definite is definite


async def test_it_does_not_delete_what_is_no_node(world: World) -> None:
    machine = Reference(kind=Kind.VIRTUAL_MACHINE_INSTANCE, name="a", uid="uid-a")

    with pytest.raises(errors.ProviderError):
        await NodeDelete(world).remove(pool="workers", instance=machine)

    assert world.writes == []


async def test_it_asks_the_fence_first(world: World) -> None:
    def closed() -> None:
        raise errors.Fenced("we do not lead")

    with pytest.raises(errors.Fenced):
        await NodeDelete(world, closed).remove(pool="workers", instance=Reference(name="a", uid="uid-a"))

    assert world.find(resources.NODES, "a") is not None


async def test_it_cannot_add_a_machine(world: World) -> None:
    provider = NodeDelete(world)

    with pytest.raises(errors.ProviderError) as caught:
        await provider.request(pool="workers", key="k", like=Reference(name="a", uid="uid-a"))

    assert caught.value.definite
    assert "spec.rotation.provider" in str(caught.value)
    assert (await provider.find(pool="workers", key="k")).state is ports.MachineState.UNKNOWN
    assert not provider.adds_first
    assert not provider.brings_replacement
