"""A whole pool is replaced: outdated machines with workloads on them, a tenth at a time, by the simulated cloud."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import aiohttp

from bench import figures, procfs
from bench.progress import Ticker, say
from bench.sizes import Sizes
from bench.world import NAMESPACE, POOL, World, guard, policy
from exuvia.localcluster import fleet
from exuvia.localcluster.fleet import DEPLOYMENTS
from exuvia.model import resources

OLD = fleet.Image(kubelet="v1.34.0")
RULE = {"name": "kubelet", "type": "Versions", "versions": {"kubelet": ">=1.36.0"}}
ROTATION = {"provider": "Simulated", "strategy": "ReplaceFirst", "soakTime": "1s"}
BUDGET = {"budgets": [{"name": "tenth", "nodes": "10%"}]}
PATIENCE = 900.0
REPLICAS = 20


async def measure(world: World, sizes: Sizes) -> dict[str, Any]:
    """Until every old machine is gone and every Rotation has succeeded."""
    await _populate(world, sizes)
    world.apply(guard(), policy("bench", rules=[RULE], action="Rotate", rotation=ROTATION, disruption=BUDGET))
    say(f"rotating {sizes.rotated} machines with {sizes.rotated_pods} pods, 10% at a time")
    since, began = datetime.now(UTC), time.monotonic()
    running = await world.operate("operator-rotate")
    try:
        await _rotated(world, sizes.rotated)
        seconds, used = time.monotonic() - began, procfs.cpu_seconds(running.pid)
        entries = world.audit(since)
    finally:
        world.stop_operator()
    calls = figures.calls(entries)
    found = {
        "machines": sizes.rotated,
        "seconds": round(seconds, 1),
        "calls_per_machine": round(sum(calls.values()) / sizes.rotated, 1),
        "cpu_seconds_per_machine": round(used / sizes.rotated, 3),
        "calls": {name: round(count / sizes.rotated, 2) for name, count in calls.most_common()},
    }
    say(f"  {found}")
    return found


async def _populate(world: World, sizes: Sizes) -> None:
    say(f"making {sizes.rotated} outdated machines and {sizes.rotated_pods} pods")
    group = {"zones": ["a"], "bootSeconds": 0.2}
    async with aiohttp.ClientSession() as session, session.put(f"{world.cloud}/v1/pools/{POOL}", json=group) as answer:
        assert answer.status == 200, await answer.text()
    await world.grow(sizes.rotated, image=OLD)
    for number in range(sizes.rotated_pods // REPLICAS):
        body = fleet.deployment(f"app-{number}", NAMESPACE, REPLICAS, terminationGracePeriodSeconds=1)
        await world.client.create(DEPLOYMENTS, body, namespace=NAMESPACE)
    async with asyncio.timeout(PATIENCE):
        while await _running(world) < sizes.rotated_pods // REPLICAS * REPLICAS:  # noqa: ASYNC110  others write
            await asyncio.sleep(0.5)


async def _running(world: World) -> int:
    pages = world.client.pages(resources.PODS, namespace=NAMESPACE, field_selector="status.phase=Running")
    return sum([len(page) async for page in pages])


async def _rotated(world: World, count: int) -> None:
    """Judged from the Rotations' own status; no old machine may be left then."""
    ticker = Ticker("rotated", count)
    async with asyncio.timeout(PATIENCE):
        while (done := await _succeeded(world)) < count:
            ticker.at(done)
            await asyncio.sleep(0.5)
    nodes = [one async for page in world.client.pages(resources.NODES) for one in page]
    old = [one for one in nodes if one["status"]["nodeInfo"]["kubeletVersion"] == OLD.kubelet]
    assert not old, f"{len(old)} old machines are left"


async def _succeeded(world: World) -> int:
    bodies = [one async for page in world.client.pages(resources.ROTATIONS) for one in page]
    return sum((one.get("status") or {}).get("phase") == "Succeeded" for one in bodies)
