"""Rules that go by seats and by risk, on a real operator: told by the ledger, measured, and the same after a kill."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exuvia.model import resources
from exuvia.model.facts import text
from tests.cluster import Cluster, until
from tests.e2e.operated import Operated, Replica, entries, exuvia, operated
from tests.e2e.test_crash import QUICK_LEASE
from tests.e2e.test_seats import kill_node, license_pool

pytestmark = [pytest.mark.cluster, pytest.mark.proof]
EXPOSURE = 'exuvia_exposure_score_seconds_total{severity="Critical"}'


def policy(cluster: Cluster) -> dict[str, Any]:
    rules = [
        {"name": "seat", "type": "LicenseSeat", "licenseSeat": {"pool": "antivirus"}},
        {"name": "risk", "type": "RiskScore", "riskScore": {"max": 70}},
    ]
    target = {"selector": {"matchLabels": {"exuvia.dev/pool": cluster.pool}}}
    return {
        "apiVersion": "exuvia.dev/v1alpha1",
        "kind": "SecurityPolicy",
        "metadata": {"name": "desktops"},
        "spec": {"target": target, "rules": rules},
    }


async def counted(world: Operated, **wanted: tuple[int, int, int]) -> None:
    """Wait until each rule passes, fails and errs on so many machines."""
    said: dict[str, tuple[int, int, int]] = {}

    async def look() -> bool:
        status = (await world.cluster.get(resources.SECURITY_POLICIES, "desktops")).get("status") or {}
        said.clear()
        said.update({one["name"]: (one["pass"], one["fail"], one["error"]) for one in status.get("rules") or ()})
        return said == wanted

    try:
        await until(look, what=f"rules to say {wanted}", seconds=60)
    except AssertionError as trouble:
        raise AssertionError(f"{trouble}; they say {said}") from None


async def exported(replica: Replica, name: str) -> float | None:
    found = re.search(rf"^{re.escape(name)} (\S+)$", await replica.metrics(), re.MULTILINE)
    return float(found[1]) if found else None


def verdicts(world: Operated, uid: str) -> list[str]:
    """What was entered of one machine, in order."""
    found = (one["body"] for one in entries(world.ledger) if one["type"] == "verdict")
    return [one["result"] for one in found if one["uid"] == uid]


def tell_of_a_hole(world: Operated, uid: str, folder: Path) -> None:
    """A vulnerability of 9.8 is on that machine from now on."""
    now = text(datetime.now(UTC))
    told = [
        {"type": "presence", "uid": uid, "vulnerability": "CVE-1", "from": now, "to": None},
        {"type": "score", "vulnerability": "CVE-1", "source": "cvss", "value": 9.8, "validFrom": now},
    ]
    lines = folder / "told.ndjson"
    lines.write_text("".join(f"{json.dumps(one)}\n" for one in told), encoding="utf-8")
    assert exuvia(world, "ledger", "import", str(lines), "--ledger", str(world.ledger)).returncode == 0


def explained(world: Operated, name: str) -> dict[str, str]:
    """What the rules say of one machine."""
    said = exuvia(world, "explain", name, "--ledger", str(world.ledger), "-o", "json").json()
    return {one["rule"]: one["result"] for one in said["policies"][0]["rules"]}


async def grows(replica: Replica, name: str, before: float) -> None:
    """Wait until a counter has gone on from there."""

    async def look() -> bool:
        found = await exported(replica, name)
        return found is not None and found > before

    await until(look, what=f"{name} to go on", seconds=60)


async def says(replica: Replica, name: str, value: float, seconds: float) -> None:
    async def look() -> bool:
        return await exported(replica, name) == value

    await until(look, what=f"{name} to be {value}", seconds=seconds)


def restart(replica: Replica) -> None:
    replica.kill()
    replica.start()


async def test_seats_and_risk_are_judged_measured_and_survive_a_kill(cluster: Cluster, tmp_path: Path) -> None:
    async with operated(cluster, tmp_path) as world:
        replica = await world.start(*QUICK_LEASE)
        first, second = await cluster.nodes(2)
        world.apply(policy(cluster))
        await counted(world, seat=(0, 0, 2), risk=(0, 0, 2))
        world.apply(license_pool(cluster, seats=1))
        await counted(world, seat=(1, 1, 0), risk=(0, 0, 2))

        granted = next(one for one in entries(world.ledger) if one["type"] == "seat")["body"]["instance"]
        holder, waiting = (first, second) if first["metadata"]["uid"] == granted else (second, first)
        uid, name = holder["metadata"]["uid"], holder["metadata"]["name"]
        tell_of_a_hole(world, uid, tmp_path)
        await counted(world, seat=(1, 1, 0), risk=(0, 1, 1))
        assert await exported(replica, 'exuvia_risk_score{aggregation="max",policy="desktops"}') == 9.8

        assert explained(world, name) == {"seat": "pass", "risk": "fail"}

        before, entered = await exported(replica, EXPOSURE), verdicts(world, uid)
        assert before is not None and before > 0
        restart(replica)
        await grows(replica, EXPOSURE, before)
        await counted(world, seat=(1, 1, 0), risk=(0, 1, 1))
        assert verdicts(world, uid) == entered, "nothing is told twice"

        await kill_node(cluster, holder)
        await counted(world, seat=(1, 0, 0), risk=(0, 0, 1))
        await kill_node(cluster, waiting)
        unscanned = f'exuvia_instances_unscanned_at_death_total{{pool="{cluster.pool}"}}'
        await says(replica, unscanned, 1.0, seconds=30)
        restart(replica)
        await says(replica, unscanned, 1.0, seconds=60)
