"""What the operator costs when nothing happens: memory, and processor time under heartbeats."""

from __future__ import annotations

import asyncio
from typing import Any

from bench import procfs
from bench.progress import say
from bench.reaction import DRAIN, RULE
from bench.sizes import Sizes
from bench.world import World, guard, policy

SETTLE_SECONDS = 15.0


async def measure(world: World, sizes: Sizes) -> dict[str, Any]:
    """A policy that everybody complies with, and then nothing but heartbeats."""
    say(f"footprint: the operator among {len(world.nodes)} machines, {sizes.idle_seconds:.0f} s of heartbeats")
    world.apply(guard(), policy("bench", rules=[RULE], drain=DRAIN, action="Quarantine"))
    running = await world.operate("operator-idle")
    try:
        await asyncio.sleep(min(SETTLE_SECONDS, sizes.idle_seconds))
        since, before = world.audit_position(), procfs.cpu_seconds(running.pid)
        await asyncio.sleep(sizes.idle_seconds)
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
    }
    say(f"  {found}")
    return found
