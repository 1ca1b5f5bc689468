"""SIGKILL right after a write, then a new process: the same end, and nothing was done twice.

The everyday tests die after every few writes, the long ones after each single one.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from exuvia.app.checking import verify
from exuvia.app.settings import Settings
from exuvia.model import marks
from exuvia.model.specs.quarantine import Quarantine, QuarantinePhase
from exuvia.model.specs.rotation import RotationPhase
from tests.e2e.operated import Operated, Replica, guard, policy

pytestmark = [pytest.mark.cluster, pytest.mark.proof, pytest.mark.timeout(600)]

QUICK_LEASE = ("--lease-duration", "3s", "--renew-deadline", "2s", "--retry-period", "1s")
OLD = {"name": "kubelet", "type": "Versions", "versions": {"kubelet": ">=1.36.0"}}
SUSPICIOUS = "security.example.org/suspicious"
MARKED = {"name": "suspicious", "type": "Marks", "action": "Quarantine", "marks": {"forbiddenLabels": [SUSPICIOUS]}}
ROTATION = {"provider": "Simulated", "strategy": "ReplaceFirst", "soakTime": "1s", "replacementTimeout": "2m"}
EVERY_FEW = pytest.param(4, id="every-4th-write")
EACH = pytest.param(1, id="each-write", marks=pytest.mark.slow)


def armed(world: Operated, writes: int) -> Replica:
    """A replica that dies after so many writes."""
    made = world.replica(*QUICK_LEASE)
    made.command = (sys.executable, "-m", "tests.e2e.crashing", str(writes), *made.command[3:])
    return made


async def live_through(world: Operated, writes: int, done: Any) -> int:
    """Start, die, start again, until it is done. Returns how often it died."""
    for deaths in range(80):
        replica = armed(world, writes)
        replica.start()
        while replica.running():
            if await done():
                return deaths
            await asyncio.sleep(0.1)
    raise AssertionError("it never came to its end")


async def machines(world: Operated) -> list[dict[str, Any]]:
    """What the cloud says of the pool, the gone ones too."""
    url = f"{world.cloud}/v1/pools/{world.cluster.pool}/machines?all=true"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        found: list[dict[str, Any]] = (await answer.json())["machines"]
        return found


async def define(world: Operated) -> None:
    """The pool in the cloud: new machines come quickly and with today's versions."""
    url = f"{world.cloud}/v1/pools/{world.cluster.pool}"
    async with (
        aiohttp.ClientSession() as session,
        session.put(url, json={"zones": ["a"], "bootSeconds": 0.2}) as answer,
    ):
        assert answer.status == 200


def sound(ledger: Path) -> bool:
    """Whether its chain verifies, and is one."""
    found = verify(ledger, Settings().cluster_name)
    return found.first_bad is None and found.entries > 0


@pytest.mark.parametrize("writes", [EVERY_FEW, EACH])
async def test_a_rotation_survives_death_after_a_write(world: Operated, writes: int) -> None:
    """One machine is replaced by exactly one, its pods are evicted once, its marks were written once."""
    from exuvia.localcluster import fleet

    await define(world)
    (old,) = await world.cluster.nodes(1, image=fleet.Image(kubelet="v1.34.0"))
    name, since = old["metadata"]["name"], world.audit_position()
    pods = await world.cluster.pods(3, node_name=name, grace_seconds=1)
    world.apply(guard(), policy("crash", world.cluster.pool, OLD, rotation=ROTATION, drain={"unmanagedPods": "Evict"}))

    async def done() -> bool:
        found = await world.rotations()
        return bool(found) and found[-1].status.phase.ended and not found[-1].metadata.finalizers

    deaths = await live_through(world, writes, done)

    assert deaths >= (10 if writes == 1 else 2)
    (rotation,) = await world.rotations()
    assert rotation.status.phase is RotationPhase.SUCCEEDED, rotation.status.message
    assert await world.node(name) is None
    launched = [one for one in await machines(world) if one["key"].startswith(rotation.uid)]
    assert [one["state"] for one in launched] == ["Running"]
    replacement = await world.node(launched[0]["nodeName"])
    assert replacement is not None
    assert not replacement["spec"].get("unschedulable")
    assert marks.STATE_LABEL not in replacement["metadata"]["labels"]
    written = world.audit(since=since)
    evicted = Counter(_pod(one) for one in written if _evicted(one))
    assert evicted == Counter({f"{world.cluster.namespace}/{one['metadata']['name']}": 1 for one in pods})
    assert sum(_cordoned(one, name) for one in written) == 1
    assert sound(world.ledger)


@pytest.mark.parametrize("writes", [EVERY_FEW, EACH])
async def test_a_quarantine_survives_death_after_a_write(world: Operated, writes: int) -> None:
    """One quarantine, one replacement, marks and evidence as if nobody had died."""
    await define(world)
    node, _ = await world.cluster.nodes(2)
    name, since = node["metadata"]["name"], world.audit_position()
    await world.cluster.pods(3, node_name=name)
    world.apply(guard(), policy("crash", world.cluster.pool, MARKED, rotation=ROTATION))
    world.plane.kubectl("label", "node", name, f"{SUSPICIOUS}=true")

    async def done() -> bool:
        found = await world.quarantines()
        return bool(found) and _held_and_replaced(found[0])

    await live_through(world, writes, done)

    (quarantine,) = await world.quarantines()
    assert quarantine.status.evidence is not None
    assert (world.evidence / quarantine.status.evidence.manifest).is_file()
    launched = [one for one in await machines(world) if one["key"].startswith(quarantine.uid)]
    assert [one["state"] for one in launched] == ["Running"]
    marked = await world.node(name)
    assert marked is not None
    assert marks.QUARANTINED_TAINT in {one["key"] for one in marked["spec"]["taints"]}
    assert sum(_cordoned(one, name) for one in world.audit(since=since)) == 1
    assert sound(world.ledger)


def _held_and_replaced(one: Quarantine) -> bool:
    capacity = one.status.capacity
    return one.status.phase is QuarantinePhase.HELD and capacity is not None and capacity.state == "Replaced"


def _evicted(entry: dict[str, Any]) -> bool:
    return entry["objectRef"].get("subresource") == "eviction" and entry["responseStatus"]["code"] == 201


def _pod(entry: dict[str, Any]) -> str:
    return f"{entry['objectRef']['namespace']}/{entry['objectRef']['name']}"


def _cordoned(entry: dict[str, Any], name: str) -> bool:
    ours = entry["objectRef"]["resource"] == "nodes" and entry["objectRef"].get("name") == name
    body = entry.get("requestObject") or {}
    return ours and entry["verb"] == "patch" and bool((body.get("spec") or {}).get("unschedulable"))
