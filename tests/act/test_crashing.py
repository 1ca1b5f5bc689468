"""A process dies after any write, and one starts the same work anew: the end is that of an undisturbed run."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import pytest

from exuvia.act.hands import Hands
from exuvia.model import marks, resources
from exuvia.model.actions import (
    Action,
    Before,
    CreateOperation,
    DenyNetwork,
    EvictPod,
    LabelPod,
    MarkInstance,
    MarkSet,
    PodTarget,
    RemoveMachine,
    RequestMachine,
    RestoreInstance,
)
from exuvia.model.instances import Reference
from exuvia.model.specs import operation as specs
from exuvia.model.specs.common import InstanceReference
from exuvia.model.specs.rotation import RotationSpec
from exuvia.sandbox import builders, kinds, objects
from exuvia.sandbox.cluster import World
from exuvia.sandbox.faults import Crash, FaultyCluster, FaultyProvider, Fuse
from exuvia.sandbox.provider import Cloud

PODS = 4


class Story:
    """A machine that is replaced, by a script in the place of the decisions: it looks, and says what is still to do."""

    def __init__(self) -> None:
        self.world = World()
        self.cloud = Cloud(storage=self.world.storage)
        self.world.actors.append(self.cloud)
        node = self.world.add(resources.NODES, builders.node("old"))
        self.machine = Reference(name="old", uid=node["metadata"]["uid"], provider_id=node["spec"]["providerID"])
        self.world.add(kinds.REPLICA_SETS, builders.replica_set("cart", PODS))
        self.world.settle()

    def hands(self, fuse: Fuse) -> Hands:
        """The hands of one process."""
        provider = FaultyProvider(self.cloud, fuse)
        return Hands(FaultyCluster(self.world, fuse), {"Simulated": provider})

    async def run(self, fuse: Fuse) -> None:
        """From wherever it stands to the end."""
        hands = self.hands(fuse)
        await hands.execute_all([self.opening(), self.asking()])
        self.world.pass_time(timedelta(seconds=15))
        await hands.execute_all([self.marking()])
        await hands.execute_all(self.evicting())
        self.world.pass_time(timedelta(seconds=10))
        await hands.execute_all([self.removing()])
        self.world.pass_time(timedelta(seconds=10))

    def opening(self) -> Action:
        spec = RotationSpec(instance=InstanceReference(name="old", uid=self.machine.uid))
        return CreateOperation(kind="Rotation", name="old-1", body=specs.body("old-1", spec, marks.FINALIZER))

    def asking(self) -> Action:
        return RequestMachine(provider="Simulated", pool="workers", key="old-1/0", like=self.machine)

    def marking(self) -> Action:
        return MarkInstance(instance=self.machine, marks=MarkSet.ROTATING, operation="old-1")

    def evicting(self) -> list[Action]:
        on_it = [one for one in self.world.all(resources.PODS) if one["spec"].get("nodeName") == "old"]
        return [EvictPod(pod=target(one)) for one in on_it]

    def removing(self) -> Action:
        return RemoveMachine(provider="Simulated", pool="workers", instance=self.machine)

    def end(self) -> dict[str, Any]:
        """What counts at the end."""
        pods = self.world.all(resources.PODS)
        return {
            "nodes": [one["metadata"]["name"] for one in self.world.all(resources.NODES)],
            "places": [one["spec"].get("nodeName") for one in pods],
            "ready": [objects.is_ready(one) for one in pods],
            "rotations": [one["metadata"]["name"] for one in self.world.all(resources.ROTATIONS)],
            "launches": len(self.cloud.launches),
            "left behind": [one.pods for one in self.cloud.removals.values()],
        }


def target(pod: dict[str, Any]) -> PodTarget:
    meta = pod["metadata"]
    return PodTarget(namespace=meta["namespace"], name=meta["name"], uid=meta["uid"])


async def undisturbed() -> tuple[dict[str, Any], int]:
    story, fuse = Story(), Fuse()
    await story.run(fuse)
    return story.end(), fuse.writes


async def test_a_crash_after_any_write_changes_nothing_in_the_end() -> None:
    expected, writes = await undisturbed()
    assert expected["nodes"] == ["workers-new-1"]
    assert expected["places"] == ["workers-new-1"] * PODS
    assert expected["left behind"] == [()]
    assert writes == 4 + PODS

    for crash_after in range(1, writes + 1):
        story = Story()
        with pytest.raises(Crash):
            await story.run(Fuse(after=crash_after))
        await story.run(Fuse())

        assert story.end() == expected, f"after a crash at write {crash_after}"


async def test_two_processes_that_mark_and_restore_leave_what_was_there() -> None:
    story = Story()
    before = copy.deepcopy(story.world.find(resources.NODES, "old"))
    assert before is not None
    back = RestoreInstance(instance=story.machine, marks=MarkSet.ROTATING, before=Before())

    for crash_after in (1, 1):
        with pytest.raises(Crash):
            await story.hands(Fuse(after=crash_after)).execute_all([story.marking(), back])
    await story.hands(Fuse()).execute_all([back])

    after = story.world.find(resources.NODES, "old")
    assert after is not None
    assert after["spec"] == before["spec"]
    assert objects.labels_of(after) == objects.labels_of(before)
    assert objects.annotations_of(after) == objects.annotations_of(before)


async def test_freezing_after_a_crash_freezes_each_pod_once() -> None:
    story = Story()
    pods = [target(one) for one in story.world.all(resources.PODS)]
    wanted: list[Action] = [
        MarkInstance(instance=story.machine, marks=MarkSet.QUARANTINED, operation="q"),
        *(LabelPod(pod=one, labels={"app": None, marks.QUARANTINE_POD_LABEL: "q-uid"}) for one in pods),
        DenyNetwork(namespace="default", name="exuvia-q", quarantine_uid="q-uid", quarantine_name="q"),
    ]

    for crash_after in (2, 3, 1):
        with pytest.raises(Crash):
            await story.hands(Fuse(after=crash_after)).execute_all(wanted)
        story.world.settle()
    await story.hands(Fuse()).execute_all(wanted)
    story.world.settle()

    all_pods = story.world.all(resources.PODS)
    frozen = [one for one in all_pods if marks.QUARANTINE_POD_LABEL in objects.labels_of(one)]
    assert sorted(one["metadata"]["name"] for one in frozen) == sorted(one.name for one in pods)
    assert all(objects.controller_of(one) is None for one in frozen)
    assert len(all_pods) == 2 * PODS
    assert len(story.world.all(resources.NETWORK_POLICIES)) == 1
