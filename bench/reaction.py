"""From a condition on a Node to its cordon: the operator beside a bare loop that makes as many writes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bench import bare, figures, watching
from bench.figures import Spread
from bench.progress import Ticker, say
from bench.sizes import Sizes
from bench.world import World, guard, policy
from exuvia.localcluster import processes

WARM = 3
GAP_SECONDS = 0.25
PATIENCE = 120.0
BARE = "bare-loop"
DRAIN = {"unmanagedPods": "Evict"}
RULE = {
    "name": "kernel",
    "type": "Conditions",
    "severity": "Critical",
    "conditions": {"bad": [{"type": watching.FACT, "status": "True"}]},
}
ACTIONS: dict[str, dict[str, Any]] = {
    "Quarantine": {"action": "Quarantine"},
    "Rotation": {"action": "Rotate", "rotation": {"provider": "NodeDelete", "strategy": "DrainFirst"}},
}
PLURALS = {"Quarantine": "quarantines", "Rotation": "rotations"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Single facts, one after the other, and a burst at once."""

    single: Spread
    burst: Spread

    def wire(self) -> dict[str, Any]:
        """For JSON."""
        return {"single": self.single.wire(), "burst": self.burst.wire()}


async def measure(world: World, sizes: Sizes) -> dict[str, Any]:
    """Both actions, each of the operator and of the bare loop, in this world."""
    found = {}
    for kind in ACTIONS:
        operator, writes = await _operator(world, kind, sizes)
        loop = await _bare(world, kind, writes, sizes)
        found[kind] = {
            "writes": writes + 1,
            "operator": operator.wire(),
            "bare": loop.wire(),
            "p99_ratio": {
                "single": round(figures.ratio(operator.single.p99, loop.single.p99), 2),
                "burst": round(figures.ratio(operator.burst.p99, loop.burst.p99), 2),
            },
        }
    return found


async def _operator(world: World, kind: str, sizes: Sizes) -> tuple[Series, int]:
    """What the operator takes, and how many writes on its operation it makes before the cordon."""
    say(f"{kind}: the operator among {len(world.nodes)} machines")
    name = f"operator-{kind.lower()}-{world.made}"
    world.apply(guard(), policy("bench", rules=[RULE], drain=DRAIN, **ACTIONS[kind]))
    await world.operate(name)
    since = datetime.now(UTC)
    try:
        series, used = await _series(world, sizes)
    finally:
        world.stop_operator()
        world.plane.kubectl("delete", "securitypolicy", "bench", "--ignore-not-found")
    writes = figures.writes_before_cordon(world.audit(since), PLURALS[kind])
    await world.replace(used)
    return series, writes


async def _bare(world: World, kind: str, writes: int, sizes: Sizes) -> Series:
    say(f"{kind}: the bare loop, {writes} writes and the cordon")
    log = world.log(f"{BARE}-{kind.lower()}-{world.made}")
    command = (
        *(sys.executable, "-m", "bench.bare", "--kubeconfig", str(world.service_account())),
        *("--kind", kind, "--writes", str(writes)),
    )
    started = world.plane.spawn(processes.Spec(name=BARE, command=command, log=log))
    try:
        async with asyncio.timeout(30):
            while bare.STARTED not in log.read_text(encoding="utf-8"):
                assert started.alive(), f"the bare loop ended: see {log}"
                await asyncio.sleep(0.05)
        series, used = await _series(world, sizes)
    finally:
        world.plane.stop_process(BARE)
    await world.replace(used)
    return series


async def _series(world: World, sizes: Sizes) -> tuple[Series, list[str]]:
    """Facts on machines that nothing was done to yet. Returns the machines that were used up, too."""
    wanted = WARM + sizes.singles + sizes.burst
    used = world.nodes[:: max(1, len(world.nodes) // wanted)][:wanted]
    async with watching.watching(world.client) as watcher:
        await _one_by_one(watcher, used[:WARM])
        single = await _one_by_one(watcher, used[WARM : WARM + sizes.singles])
        await asyncio.sleep(2.0)
        burst = await asyncio.gather(*(watcher.react(one, PATIENCE) for one in used[WARM + sizes.singles :]))
    series = Series(single=Spread.of(single), burst=Spread.of(burst))
    say(f"  single p50 {series.single.p50:.0f} p99 {series.single.p99:.0f} ms, burst {series.burst.p99:.0f} ms")
    return series, used


async def _one_by_one(watcher: watching.Watcher, names: Sequence[str]) -> list[float]:
    ticker, found = Ticker("single facts", len(names)), []
    for done, name in enumerate(names):
        found.append(await watcher.react(name, PATIENCE))
        await asyncio.sleep(GAP_SECONDS)
        ticker.at(done + 1)
    return found
