"""The provider against the simulated cloud itself: it launches, is found, fails for good, and removes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from exuvia import errors, ports
from exuvia.act.providers.simulated import Simulated
from exuvia.localcluster.cloud import starting
from exuvia.localcluster.controlplane import ControlPlane
from exuvia.model import resources
from exuvia.model.instances import Reference
from tests.cluster import Cluster, until

pytestmark = pytest.mark.cluster
LIKE = Reference(name="old", uid="uid-old")


@pytest.fixture(scope="module")
def url(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a simulated cloud that runs for these tests."""
    yield starting.start(plane, state=tmp_path_factory.mktemp("cloud") / "cloud.json")
    plane.stop_process(starting.NAME)


@pytest.fixture
async def pool(url: str, cluster: Cluster) -> AsyncIterator[str]:
    """A pool of this test alone."""
    async with aiohttp.ClientSession() as session:
        async with session.put(f"{url}/v1/pools/{cluster.pool}", json={"zones": ["a"]}) as answer:
            assert answer.status == 200
        yield cluster.pool


@pytest.fixture
async def provider(url: str) -> AsyncIterator[Simulated]:
    made = Simulated(url)
    yield made
    await made.close()


async def test_a_machine_is_launched_once_a_key_found_and_removed(
    provider: Simulated, cluster: Cluster, pool: str
) -> None:
    first = await provider.request(pool=pool, key="uid/0", like=LIKE)
    again = await provider.request(pool=pool, key="uid/0", like=LIKE)
    assert (first.provider_id, first.node_name) == (again.provider_id, again.node_name)

    async def running() -> ports.Machine | None:
        found = await provider.find(pool=pool, key="uid/0")
        return found if found.state is ports.MachineState.RUNNING else None

    machine = await until(running, what="the machine to run")
    assert machine is not None
    node = await until(
        lambda: cluster.client.get(resources.NODES, machine.node_name), what="the Node of the machine to be there"
    )
    assert node is not None
    assert node["spec"]["providerID"] == machine.provider_id

    gone = Reference(name=machine.node_name, uid=node["metadata"]["uid"], provider_id=machine.provider_id)
    await provider.remove(pool=pool, instance=gone)
    await provider.remove(pool=pool, instance=gone)

    async def vanished() -> bool:
        return await cluster.client.get(resources.NODES, machine.node_name) is None

    await until(vanished, what="the Node of the removed machine to be gone")
    assert (await provider.find(pool=pool, key="uid/0")).state is ports.MachineState.GONE


async def test_a_pool_without_capacity_is_a_definite_no(url: str, provider: Simulated, pool: str) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/v1/pools/{pool}/faults", json={"capacity": 1}) as answer,
    ):
        assert answer.status == 200

    with pytest.raises(errors.ProviderError) as caught:
        await provider.request(pool=pool, key="uid/0", like=LIKE)

    assert caught.value.definite
    assert (await provider.find(pool=pool, key="uid/0")).state is ports.MachineState.FAILED


async def test_a_lost_answer_is_not_definite_and_the_machine_is_found(url: str, provider: Simulated, pool: str) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/v1/pools/{pool}/faults", json={"loseAnswer": 1}) as answer,
    ):
        assert answer.status == 200

    with pytest.raises(errors.ProviderError) as caught:
        await provider.request(pool=pool, key="uid/0", like=LIKE)

    assert not caught.value.definite
    found = await provider.find(pool=pool, key="uid/0")
    assert found.state in (ports.MachineState.LAUNCHING, ports.MachineState.RUNNING)


async def test_a_pool_that_the_cloud_does_not_have_is_a_definite_no(provider: Simulated) -> None:
    with pytest.raises(errors.ProviderError) as caught:
        await provider.request(pool="no-such-pool", key="uid/0", like=LIKE)

    assert caught.value.definite
    assert "no-such-pool" in str(caught.value)
