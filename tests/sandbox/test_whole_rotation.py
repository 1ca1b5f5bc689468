"""A whole Rotation in the world, with the real decisions and the real hands: undisturbed, and crashed anywhere."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from exuvia.model import marks, resources
from exuvia.model.specs.rotation import Rotation, RotationPhase
from exuvia.sandbox import builders, kinds, objects
from exuvia.sandbox.faults import Crash, Fuse
from exuvia.sandbox.provider import Fault, PoolOwner
from tests.sandbox.driver import OLD, Process, Scene, settings

REPLICAS = 3


def scene(folder: Path, *, spare: bool = False, **given: Any) -> Scene:
    """A machine with a Deployment's pods under a budget, a StatefulSet's with a volume, and a DaemonSet's. `spare`:
    another one beside it, which they can go to."""
    made = Scene(folder=folder, settings=settings(**given))
    world = made.world
    world.add(resources.NODES, builders.node(OLD))
    world.add(kinds.REPLICA_SETS, builders.replica_set("cart", REPLICAS))
    world.add(resources.POD_DISRUPTION_BUDGETS, builders.budget("cart", max_unavailable=1))
    world.add(kinds.STATEFUL_SETS, builders.stateful_set("db", 1, volumes=[claim("data-db-0")]))
    world.add(resources.VOLUME_ATTACHMENTS, builders.attachment("pv-db-0", OLD))
    world.add(resources.DAEMON_SETS, builders.daemon_set("agent"))
    world.settle()
    if spare:
        world.add(resources.NODES, builders.node("spare"))
        world.settle()
    return made


def claim(name: str) -> dict[str, Any]:
    return {"name": "data", "persistentVolumeClaim": {"claimName": name}}


def end(made: Scene) -> dict[str, Any]:
    """What counts at the end, without what another run may name differently."""
    pods = made.world.all(resources.PODS)
    body = made.body(resources.ROTATIONS, "old-1")
    return {
        "phase": body["status"]["phase"],
        "reason": body["status"]["reason"],
        "nodes": [one["metadata"]["name"] for one in made.world.all(resources.NODES)],
        "pods": sorted(
            (objects.labels_of(one)["app"], one["spec"].get("nodeName"), objects.is_ready(one)) for one in pods
        ),
        "launches": len(made.cloud.launches),
        "attachments": len(made.world.all(resources.VOLUME_ATTACHMENTS)),
        "finalizers": body["metadata"].get("finalizers"),
    }


def promises(made: Scene) -> None:
    """What must hold on the wire, whatever happened (safety.md)."""
    writes = made.world.writes
    touched = [one for one in writes if one.resource == resources.PODS]
    assert {one.verb for one in touched} <= {"evict"}, "pods leave by the Eviction API"
    marked = next((index for index, one in enumerate(writes) if one.resource == resources.NODES), len(writes))
    evicted = next((index for index, one in enumerate(writes) if one.verb == "evict"), len(writes))
    assert marked < evicted or evicted == len(writes), "cordon, taint and label come before the first eviction"
    for removal in made.cloud.removals.values():
        assert all("/agent-" in pod for pod in removal.pods), "nothing is removed with pods that must leave"
    for one in writes:
        if one.verb == "patch" and one.resource in (resources.NODES, resources.ROTATIONS):
            assert one.body["metadata"]["resourceVersion"], "every patch carries a resourceVersion"


async def test_a_machine_is_replaced_first_and_then_drained(tmp_path: Path) -> None:
    made = scene(tmp_path)

    ended = await Process(made, 1).run("Rotation")

    assert (ended.status.phase, ended.status.reason) == (RotationPhase.SUCCEEDED, "Replaced")
    new = "workers-new-1"
    assert end(made)["nodes"] == [new]
    assert end(made)["pods"] == sorted([("agent", new, True), ("db", new, True), *[("cart", new, True)] * REPLICAS])
    assert made.ledger.open_intents() == []
    promises(made)


async def test_drain_first_asks_for_the_new_machine_after_the_old_one(tmp_path: Path) -> None:
    made = scene(tmp_path, spare=True, strategy="DrainFirst")

    ended = await Process(made, 1).run("Rotation")

    assert ended.status.phase is RotationPhase.SUCCEEDED
    assert end(made)["nodes"] == ["spare", "workers-new-1"]
    promises(made)


@pytest.mark.parametrize("strategy", ["ReplaceFirst", "DrainFirst"])
async def test_a_crash_after_any_write_comes_to_the_same_end(tmp_path: Path, strategy: str) -> None:
    spare = strategy == "DrainFirst"
    first, fuse = scene(tmp_path, spare=spare, strategy=strategy), Fuse()
    await Process(first, 1, fuse).run("Rotation")
    expected = end(first)

    for crash_after in range(1, fuse.writes + 1):
        made = scene(tmp_path, spare=spare, strategy=strategy)
        with pytest.raises(Crash):
            await Process(made, 1, Fuse(after=crash_after)).run("Rotation")
        made.world.pass_time(timedelta(seconds=40), step=timedelta(seconds=5))  # until another replica leads
        await Process(made, 2).run("Rotation")

        assert end(made) == expected, f"after a crash at write {crash_after}: {fuse.log[crash_after - 1]}"
        promises(made)


async def test_a_machine_that_never_gets_ready_leaves_the_old_one_as_it_was(tmp_path: Path) -> None:
    made = scene(tmp_path, replacementTimeout="1m")
    made.cloud.faults = [Fault.NEVER_READY]
    before = made.body(resources.NODES, OLD)

    ended = await Process(made, 1).run("Rotation")

    assert (ended.status.phase, ended.status.reason) == (RotationPhase.FAILED, "ReplacementFailed")
    after = made.body(resources.NODES, OLD)
    assert (after["spec"], objects.labels_of(after)) == (before["spec"], objects.labels_of(before))
    assert not [one for one in made.world.writes if one.verb == "evict"]
    promises(made)


async def test_a_lost_answer_of_the_cloud_launches_one_machine(tmp_path: Path) -> None:
    made = scene(tmp_path)
    made.cloud.faults = [Fault.LOST_ANSWER]

    ended = await Process(made, 1).run("Rotation")

    assert ended.status.phase is RotationPhase.SUCCEEDED
    assert len(made.cloud.launches) == 1


def guarded(folder: Path, **drain: Any) -> Scene:
    """The same with a pod that its budget never lets go."""
    made = scene(folder, drain={"timeout": "2m", **drain})
    guard = builders.pod("guard", node=OLD, labels={"app": "guard"}, owner=("ReplicaSet", "guard", "guard-uid"))
    made.world.add(resources.PODS, guard)
    made.world.add(resources.POD_DISRUPTION_BUDGETS, builders.budget("guard", min_available=1))
    made.world.settle()
    return made


async def test_a_pod_that_does_not_leave_ends_in_a_timeout_and_everything_is_put_back(tmp_path: Path) -> None:
    made = guarded(tmp_path)

    ended = await Process(made, 1).run("Rotation")

    assert (ended.status.phase, ended.status.reason) == (RotationPhase.FAILED, "DrainTimeout")
    after = made.body(resources.NODES, OLD)
    assert "unschedulable" not in after["spec"]
    assert marks.STATE_LABEL not in objects.labels_of(after)
    assert made.world.find(resources.PODS, "guard", "default") is not None
    promises(made)


async def test_in_force_mode_it_is_deleted_past_the_deadline_with_a_grace(tmp_path: Path) -> None:
    made = guarded(tmp_path, onTimeout="Force")

    ended = await Process(made, 1).run("Rotation")

    assert ended.status.phase is RotationPhase.SUCCEEDED
    (forced,) = [one for one in made.world.writes if one.verb == "delete" and one.resource == resources.PODS]
    assert forced.name == "guard"
    assert forced.body["gracePeriodSeconds"] >= 1
    assert isinstance(ended, Rotation)
    assert ended.status.drain is not None
    (said,) = ended.status.drain.forced
    assert said.startswith("default/guard: deleted at the time limit")


async def test_a_pool_that_refills_itself_brings_the_replacement(tmp_path: Path) -> None:
    made = scene(tmp_path, spare=True, strategy="DrainFirst", provider="NodeDelete")
    made.world.actors.append(PoolOwner(pool="workers", size=2))

    ended = await Process(made, 1).run("Rotation")

    assert (ended.status.phase, ended.status.reason) == (RotationPhase.SUCCEEDED, "Replaced")
    assert end(made)["nodes"] == ["spare", "workers-refill-1"]
    (removal,) = [one for one in made.world.writes if one.verb == "delete"]
    assert removal.uid == ended.spec.instance.uid
    promises(made)


async def test_a_pool_that_nobody_refills_is_a_failure_that_is_said(tmp_path: Path) -> None:
    made = scene(tmp_path, spare=True, strategy="DrainFirst", provider="NodeDelete", replacementTimeout="2m")

    ended = await Process(made, 1).run("Rotation")

    assert (ended.status.phase, ended.status.reason) == (RotationPhase.FAILED, "NoReplacement")


async def test_a_crash_after_any_write_of_node_delete_comes_to_the_same_end(tmp_path: Path) -> None:
    def scene_with_owner() -> Scene:
        made = scene(tmp_path, spare=True, strategy="DrainFirst", provider="NodeDelete")
        made.world.actors.append(PoolOwner(pool="workers", size=2))
        return made

    first, fuse = scene_with_owner(), Fuse()
    await Process(first, 1, fuse).run("Rotation")

    for crash_after in range(1, fuse.writes + 1):
        made = scene_with_owner()
        with pytest.raises(Crash):
            await Process(made, 1, Fuse(after=crash_after)).run("Rotation")
        await Process(made, 2).run("Rotation")

        assert end(made) == end(first), f"after a crash at write {crash_after}: {fuse.log[crash_after - 1]}"
        promises(made)
