"""A whole Quarantine in the world, with the real decisions, hands and evidence: undisturbed, and crashed anywhere."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from exuvia.model import marks, resources
from exuvia.model.specs.quarantine import Quarantine, QuarantinePhase
from exuvia.sandbox import builders, kinds, objects
from exuvia.sandbox.faults import Crash, Fuse
from exuvia.sandbox.provider import Fault
from tests.sandbox.driver import OLD, Process, Scene, settings

REPLICAS = 2
LEADER_CHANGE = timedelta(seconds=40)


def scene(folder: Path, **quarantine: Any) -> Scene:
    """A suspicious machine with a Deployment's, a StatefulSet's and a DaemonSet's pods, and one beside it."""
    made = Scene(folder=folder, settings=settings(quarantine=quarantine))
    world = made.world
    world.add(resources.NODES, builders.node(OLD, annotations={"karpenter.sh/do-not-disrupt": "false"}))
    world.add(kinds.REPLICA_SETS, builders.replica_set("cart", REPLICAS))
    world.add(kinds.STATEFUL_SETS, builders.stateful_set("db", 1))
    world.add(resources.DAEMON_SETS, builders.daemon_set("agent"))
    world.settle()
    world.add(resources.NODES, builders.node("spare"))
    world.settle()
    return made


def seen(made: Scene) -> dict[str, Any]:
    """What counts, without what another run may name differently."""
    pods, node = made.world.all(resources.PODS), made.world.find(resources.NODES, OLD)
    quarantine = Quarantine.parse(made.body(resources.QUARANTINES, "old-1"))
    frozen = [one for one in pods if marks.QUARANTINE_POD_LABEL in objects.labels_of(one)]
    return {
        "phase": quarantine.status.phase,
        "isolated": condition(quarantine, "Isolated"),
        "sealed": condition(quarantine, "EvidenceSealed"),
        "marks": node and (objects.labels_of(node), objects.annotations_of(node), node["spec"]),
        "frozen": sorted(one["spec"]["nodeName"] for one in frozen),
        "serving": sorted(objects.labels_of(one).get("app", "-") for one in pods if one not in frozen),
        "policies": len(made.world.all(resources.NETWORK_POLICIES)),
        "launches": len(made.cloud.launches),
    }


def condition(quarantine: Quarantine, type_: str) -> str:
    return next((one.status for one in quarantine.status.conditions if one.type == type_), "")


def release(made: Scene, verdict: str) -> None:
    """A person decides."""
    said = {"by": "alice", "reason": "looked at it", "verdict": verdict}
    made.world.change(resources.QUARANTINES, "old-1", {"spec": {"release": said}})


async def test_a_machine_is_held_with_its_evidence_while_its_work_goes_on_elsewhere(tmp_path: Path) -> None:
    made = scene(tmp_path)

    held = await Process(made, 1).run("Quarantine")

    assert held.status.phase is QuarantinePhase.HELD
    node = made.body(resources.NODES, OLD)
    assert node["spec"]["unschedulable"] is True
    assert [one["key"] for one in node["spec"]["taints"] if "exuvia" in one["key"]] == [marks.QUARANTINED_TAINT]
    assert {objects.annotations_of(node)[key] for key in marks.FOREIGN_OPT_OUTS} == {"true"}
    assert condition(held, "EvidenceSealed") == "True"
    assert seen(made)["frozen"].count(OLD) >= REPLICAS
    assert seen(made)["serving"].count("cart") == REPLICAS
    assert len(made.cloud.launches) == 1
    assert made.ledger.open_intents() == []


async def test_released_it_is_as_it_was(tmp_path: Path) -> None:
    made = scene(tmp_path)
    before = made.body(resources.NODES, OLD)
    await Process(made, 1).run("Quarantine")

    release(made, "Return")
    ended = await Process(made, 1).run("Quarantine")

    assert ended.status.phase is QuarantinePhase.RELEASED
    after = made.body(resources.NODES, OLD)
    assert (after["spec"], after["metadata"]["labels"]) == (before["spec"], before["metadata"]["labels"])
    assert objects.annotations_of(after) == objects.annotations_of(before)
    assert made.world.all(resources.NETWORK_POLICIES) == []


async def test_released_to_be_replaced_it_is_guarded_until_it_is_gone(tmp_path: Path) -> None:
    made = scene(tmp_path)
    await Process(made, 1).run("Quarantine")

    release(made, "Rotate")
    held = await Process(made, 1).run("Quarantine")
    assert held.status.phase is QuarantinePhase.HELD
    assert isinstance(held, Quarantine)
    name = held.status.release_rotation
    assert name
    rotation = await Process(made, 1).run("Rotation", name)
    ended = await Process(made, 1).run("Quarantine")

    assert (rotation.status.phase, ended.status.phase) == ("Succeeded", QuarantinePhase.RELEASED)
    assert made.world.find(resources.NODES, OLD) is None
    assert len(made.cloud.launches) == 1
    assert not [one for one in made.world.writes if one.verb == "delete" and one.resource == resources.PODS]


async def test_marks_that_somebody_takes_off_are_put_back(tmp_path: Path) -> None:
    made = scene(tmp_path)
    await Process(made, 1).run("Quarantine")

    made.world.change(
        resources.NODES, OLD, {"spec": {"unschedulable": None, "taints": None}, "metadata": {"annotations": None}}
    )
    await Process(made, 1).run("Quarantine")

    node = made.body(resources.NODES, OLD)
    assert node["spec"]["unschedulable"] is True
    assert marks.QUARANTINED_TAINT in [one["key"] for one in node["spec"]["taints"]]
    assert set(marks.FOREIGN_OPT_OUTS) <= set(objects.annotations_of(node))


async def test_without_capacity_it_is_held_all_the_same(tmp_path: Path) -> None:
    made = scene(tmp_path)
    made.cloud.faults = [Fault.REFUSED] * 9

    held = await Process(made, 1).run("Quarantine")

    assert held.status.phase is QuarantinePhase.HELD
    assert held.status.capacity is not None
    assert held.status.capacity.state == "Missing"


async def test_a_crash_after_any_write_comes_to_the_same_end(tmp_path: Path) -> None:
    first, fuse = scene(tmp_path / "first"), Fuse()
    await Process(first, 1, fuse).run("Quarantine")
    expected = seen(first)

    for crash_after in range(1, fuse.writes + 1):
        made = scene(tmp_path / str(crash_after))
        with pytest.raises(Crash):
            await Process(made, 1, Fuse(after=crash_after)).run("Quarantine")
        made.world.pass_time(LEADER_CHANGE, step=timedelta(seconds=5))
        await Process(made, 2).run("Quarantine")

        assert seen(made) == expected, f"after a crash at write {crash_after}: {fuse.log[crash_after - 1]}"
        assert not [one for one in made.world.writes if one.verb == "delete" and one.resource == resources.PODS]
