"""What the operator costs when nothing happens: memory, and processor time under heartbeats."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

from bench import procfs, watching
from bench.progress import say
from bench.reaction import DRAIN, RULE
from bench.sizes import Sizes
from bench.world import World, guard, policy

SETTLE_SECONDS = 15.0
HEARTBEATS_AFTER = 330.0


async def measure(world: World, sizes: Sizes) -> dict[str, Any]:
    """A policy that everybody complies with, and then nothing but heartbeats, once the machines are old enough to send
    them: KWOK's come every 270 to 300 s, as a kubelet's do."""
    await _heartbeats_begun(world)
    say(f"footprint: the operator among {len(world.nodes)} machines, {sizes.idle_seconds:.0f} s of heartbeats")
    world.apply(guard(), policy("bench", rules=[RULE], drain=DRAIN, action="Quarantine"))
    running = await world.operate("operator-idle")
    try:
        await asyncio.sleep(min(SETTLE_SECONDS, sizes.idle_seconds))
        since, before = datetime.now(UTC), procfs.cpu_seconds(running.pid)
        heartbeats = await _heartbeats(world, sizes.idle_seconds)
        used = procfs.cpu_seconds(running.pid) - before
        memory = procfs.rss_mb(running.pid)
        writes = [one for one in world.audit(since) if one["verb"] in ("create", "patch", "update", "delete")]
    finally:
        world.stop_operator()
        world.plane.kubectl("delete", "securitypolicy", "bench", "--ignore-not-found")
    found = {
        "rss_mb": round(memory, 1),
        "idle_cpu_percent": round(100 * used / sizes.idle_seconds, 2),
        "idle_writes": len(writes),
        "heartbeats": heartbeats,
    }
    say(f"  {found}")
    return found


async def _heartbeats_begun(world: World) -> None:
    left = HEARTBEATS_AFTER - (time.monotonic() - world.began)
    if _large(world) and left > 0:
        say(f"waiting {left:.0f} s for heartbeats to begin")
        await asyncio.sleep(left)


def _large(world: World) -> bool:
    """A quick run does not wait."""
    return len(world.nodes) >= 1000


async def _heartbeats(world: World, seconds: float) -> int:
    """How many changes of Nodes there were in so many seconds."""
    count = 0
    try:
        async with asyncio.timeout(seconds):
            async for _ in watching.events(world.client):
                count += 1
    except TimeoutError:
        pass
    return count
