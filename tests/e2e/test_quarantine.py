"""A suspicious node is frozen, its evidence sealed, and it stays so until a person decides."""

from __future__ import annotations

import pytest

from exuvia.model import marks
from exuvia.model.specs.quarantine import QuarantinePhase
from tests.cluster import until
from tests.e2e.operated import Operated, guard, policy

pytestmark = pytest.mark.cluster

SUSPICIOUS = "security.example.org/suspicious"
RULE = {"name": "suspicious", "type": "Marks", "action": "Quarantine", "marks": {"forbiddenLabels": [SUSPICIOUS]}}


async def test_a_marked_node_is_held_with_sealed_evidence(world: Operated) -> None:
    """From the label to Held: cordoned, tainted, evidence sealed."""
    nodes = await world.cluster.nodes(3)
    name = nodes[0]["metadata"]["name"]
    await world.cluster.pods(2, node_name=name)
    world.apply(guard(), policy("quarantining", world.cluster.pool, RULE))
    await world.start()

    world.plane.kubectl("label", "node", name, f"{SUSPICIOUS}=true")

    async def held() -> bool:
        found = await world.quarantines()
        return bool(found) and found[0].status.phase is QuarantinePhase.HELD

    await until(held, what="the quarantine to be held", seconds=40)
    (quarantine,) = await world.quarantines()
    node = await world.node(name)
    assert node is not None
    assert node["spec"]["unschedulable"] is True
    assert marks.QUARANTINED_TAINT in {one["key"] for one in node["spec"]["taints"]}
    assert quarantine.status.evidence is not None
    assert quarantine.status.evidence.digest
    manifest = world.evidence / quarantine.status.evidence.manifest
    assert manifest.is_file()
