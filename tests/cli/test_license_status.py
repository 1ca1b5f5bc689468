"""`exuvia license status` on a real API server; the statuses that an operator would write are written here."""

from __future__ import annotations

import pytest

from exuvia.model import resources
from tests.cli.people import Person, set_status
from tests.cluster import Cluster

pytestmark = pytest.mark.cluster

SERVED = [
    {"type": "Ready", "status": "True", "reason": "Served", "lastTransitionTime": "2026-11-25T08:00:00Z"},
    {
        "type": "Exhausted", "status": "True", "reason": "NoFreeSeat", "message": "no seat is free",
        "lastTransitionTime": "2026-11-25T08:00:00Z",
    },
]  # fmt: skip


async def test_every_pool_as_it_was_last_counted(cluster: Cluster, admin: Person) -> None:
    assert "No licence pool" in (await admin.call("license", "status")).stdout
    for name in ("antivirus", "scanner"):
        body = {
            "apiVersion": "exuvia.dev/v1alpha1",
            "kind": "LicensePool",
            "metadata": {"name": name},
            "spec": {"seats": 2, "target": {"selector": {}}},
        }
        await cluster.client.create(resources.LICENSE_POOLS, body)
    seats = {"total": 2, "used": 2, "free": 0, "queued": 1, "overcommitted": 0, "ghosts": 0}
    water = {"used": 2, "demanded": 3, "at": "2026-11-25T08:00:00Z"}
    await set_status(cluster, resources.LICENSE_POOLS, "antivirus", conditions=SERVED, seats=seats, highWater=water)
    table = (await admin.call("license", "status", code=1)).stdout
    assert "2 of 3 demanded" in table and "no seat is free" in table
    assert "no operator has looked at it yet" in table
    known, unknown = await admin.answer("license", "status", code=1)
    assert known == {
        "pool": "antivirus", "ready": "True", **seats, "highWater": water, "exhausted": "True", "agentFound": None,
        "message": "no seat is free",
    }  # fmt: skip
    assert (unknown["pool"], unknown["ready"], unknown["used"]) == ("scanner", None, None)


async def test_who_may_not_read_pools_is_told_so(nobody: Person) -> None:
    assert "licensepools" in (await nobody.call("license", "status", code=2)).stderr
