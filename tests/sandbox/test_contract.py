"""The world answers like the real API server: the same script, line by line."""

from __future__ import annotations

from datetime import timedelta

import pytest

from exuvia.model import resources
from exuvia.sandbox import builders
from exuvia.sandbox.cluster import World
from tests import cluster as real
from tests.sandbox.script import PODS, STUCK, Look, Stage


async def in_the_world() -> list[str]:
    """The script on a world."""
    world = World()
    world.add(resources.NODES, builders.node("machine"))
    for name in PODS:
        given = {"node": "machine", "labels": {"app": "p"}, "annotations": STUCK if name == "q-0" else {}}
        world.add(resources.PODS, builders.pod(name, namespace="stage", **given))

    async def until(look: Look, what: str) -> None:
        for _ in range(60):
            if await look():
                return
            world.pass_time(timedelta(seconds=1))
        pytest.fail(f"waited in vain for {what}")

    return await Stage(cluster=world, namespace="stage", node="machine", until=until).play()


async def test_the_script_says_in_the_world_what_the_design_says() -> None:
    said = await in_the_world()

    assert "evict under a budget: ('Refused', 429, 'PDB', {'pdb': 'NAMESPACE/one', 'needs': '3', 'has': '3'})" in said
    assert "evict under two budgets: ('Refused', 500, 'PDB', {})" in said
    assert "an older epoch: ('Refused', 422, 'Invalid')" in said
    assert "let go: None" in said


@pytest.mark.cluster
async def test_the_real_api_server_says_the_same(cluster: real.Cluster) -> None:
    (node,) = await cluster.nodes()
    name = node["metadata"]["name"]
    await cluster.pods(2, node_name=name, name="p", labels={"app": "p"})
    await cluster.pods(1, node_name=name, name="q", labels={"app": "p"}, annotations=STUCK)

    async def until(look: Look, what: str) -> None:
        await real.until(look, what=what)

    stage = Stage(cluster=cluster.client, namespace=cluster.namespace, node=name, until=until)

    said, expected = await stage.play(), await in_the_world()

    assert [pair for pair in zip(said, expected, strict=True) if pair[0] != pair[1]] == []
