"""Marks: the whole set in one patch, others' things untouched, and taken off exactly as they were put on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exuvia import errors
from exuvia.act.marks import mark_instance, marking, restore_instance, restoring
from exuvia.model import marks, resources
from exuvia.model.actions import Before, MarkInstance, MarkSet, OutcomeKind, RestoreInstance
from exuvia.model.instances import Reference
from exuvia.sandbox import builders, objects, replies
from exuvia.sandbox.cluster import World
from exuvia.sandbox.faults import FaultyCluster, Trouble

MEMORY = {"key": "node.kubernetes.io/memory-pressure", "effect": "NoSchedule"}
LB = marks.EXCLUDE_LOAD_BALANCERS_LABEL
OPT_OUT = "karpenter.sh/do-not-disrupt"


def mark(node: dict[str, Any], marks_: MarkSet = MarkSet.ROTATING, **given: Any) -> MarkInstance:
    return MarkInstance(instance=reference(node), marks=marks_, operation=f"operation-{marks_}", **given)


def restore(node: dict[str, Any], marks_: MarkSet = MarkSet.ROTATING, **before: Any) -> RestoreInstance:
    return RestoreInstance(instance=reference(node), marks=marks_, before=Before(**before))


def reference(node: dict[str, Any]) -> Reference:
    return Reference(name=node["metadata"]["name"], uid=node["metadata"]["uid"])


def keys(node: dict[str, Any]) -> list[str]:
    return [one["key"] for one in node["spec"].get("taints") or ()]


@pytest.fixture
def world() -> World:
    return World()


def seen(world: World, name: str = "a") -> dict[str, Any]:
    found = world.find(resources.NODES, name)
    assert found is not None
    return found


async def test_one_patch_sets_the_rotation_marks_and_keeps_the_taints_of_others(world: World) -> None:
    node = world.add(resources.NODES, builders.node("a", taints=[MEMORY]))

    outcome = await mark_instance(world, mark(node))

    assert outcome.kind is OutcomeKind.DONE
    now = seen(world)
    assert now["spec"]["unschedulable"] is True
    assert now["spec"]["taints"] == [MEMORY, {"key": marks.ROTATING_TAINT, "effect": "NoSchedule"}]
    assert objects.labels_of(now)[marks.STATE_LABEL] == "rotating"
    assert LB in objects.labels_of(now)
    assert objects.annotations_of(now) == {marks.OPERATION_ANNOTATION: "operation-rotating"}
    (write,) = world.writes
    assert write.body["metadata"]["uid"] == node["metadata"]["uid"]
    assert write.body["metadata"]["resourceVersion"] == node["metadata"]["resourceVersion"]


async def test_quarantine_marks_add_what_a_kubelet_cannot_remove_and_the_opt_outs_of_others(world: World) -> None:
    node = world.add(resources.NODES, builders.node("a", annotations={OPT_OUT: "false"}))

    await mark_instance(world, mark(node, MarkSet.QUARANTINED))

    now = seen(world)
    assert keys(now) == [marks.QUARANTINED_TAINT]
    assert marks.KUBELET_PROOF_LABEL in objects.labels_of(now)
    assert {objects.annotations_of(now)[key] for key in marks.FOREIGN_OPT_OUTS} == {"true"}


async def test_isolation_says_which_marks_are_left_out(world: World) -> None:
    node = world.add(resources.NODES, builders.node("a"))

    await mark_instance(world, mark(node, MarkSet.QUARANTINED, isolation=()))

    assert keys(seen(world)) == []
    assert LB not in objects.labels_of(seen(world))
    assert seen(world)["spec"]["unschedulable"] is True


async def test_marking_twice_writes_once(world: World) -> None:
    node = world.add(resources.NODES, builders.node("a"))
    await mark_instance(world, mark(node))

    again = await mark_instance(world, mark(node))

    assert again.kind is OutcomeKind.ALREADY
    assert len(world.writes) == 1


async def test_a_namesake_is_never_touched(world: World) -> None:
    node = world.add(resources.NODES, builders.node("a"))
    stranger = MarkInstance(instance=Reference(name="a", uid="another"), marks=MarkSet.ROTATING, operation="r")

    outcome = await mark_instance(world, stranger)

    assert outcome.kind is OutcomeKind.ALREADY
    assert "gone" in outcome.message
    assert seen(world) == node


async def test_a_write_of_somebody_else_in_between_is_read_and_kept(world: World) -> None:
    node = world.add(resources.NODES, builders.node("a"))
    faulty = FaultyCluster(world)
    faulty.troubles.append(Trouble(error=replies.changed_meanwhile(resources.NODES, "a"), verb="patch", times=2))

    outcome = await mark_instance(faulty, mark(node))

    assert outcome.kind is OutcomeKind.DONE
    assert keys(seen(world)) == [marks.ROTATING_TAINT]


async def test_a_node_that_changes_all_the_time_is_a_failure_with_the_code(world: World) -> None:
    node = world.add(resources.NODES, builders.node("a"))
    faulty = FaultyCluster(world)
    faulty.troubles.append(Trouble(error=replies.changed_meanwhile(resources.NODES, "a"), verb="patch", times=99))

    outcome = await mark_instance(faulty, mark(node))

    assert (outcome.kind, outcome.code) == (OutcomeKind.FAILED, 409)


async def test_no_answer_leaves_the_outcome_unknown(world: World) -> None:
    node = world.add(resources.NODES, builders.node("a"))
    faulty = FaultyCluster(world)
    faulty.troubles.append(Trouble(error=replies.unreachable("PATCH nodes"), verb="patch", lost=True))

    assert (await mark_instance(faulty, mark(node))).kind is OutcomeKind.UNKNOWN
    assert (await mark_instance(faulty, mark(node))).kind is OutcomeKind.ALREADY


async def test_fenced_is_not_swallowed(world: World) -> None:
    node = world.add(resources.NODES, builders.node("a"))
    faulty = FaultyCluster(world)
    faulty.troubles.append(Trouble(error=errors.Fenced("we do not lead"), verb="patch"))  # type: ignore[arg-type]

    with pytest.raises(errors.Fenced):
        await mark_instance(faulty, mark(node))


async def test_a_dry_run_writes_nothing(world: World) -> None:
    node = world.add(resources.NODES, builders.node("a"))

    outcome = await mark_instance(world, mark(node), dry_run=True)

    assert outcome.kind is OutcomeKind.DONE
    assert seen(world) == node


async def test_restoring_undoes_a_rotation(world: World) -> None:
    node = world.add(resources.NODES, builders.node("a", taints=[MEMORY]))
    await mark_instance(world, mark(node))

    outcome = await restore_instance(world, restore(node))

    assert outcome.kind is OutcomeKind.DONE
    assert without_version(seen(world)) == without_version(node)


async def test_a_foreign_cordon_stays(world: World) -> None:
    node = world.add(resources.NODES, builders.node("a", unschedulable=True))
    await mark_instance(world, mark(node))

    await restore_instance(world, restore(node, unschedulable=True))

    assert seen(world)["spec"]["unschedulable"] is True
    assert keys(seen(world)) == []


async def test_what_somebody_changed_meanwhile_is_left_alone(world: World) -> None:
    node = world.add(resources.NODES, builders.node("a"))
    await mark_instance(world, mark(node, MarkSet.QUARANTINED))
    world.change(resources.NODES, "a", {"metadata": {"labels": {LB: "by-hand"}, "annotations": {OPT_OUT: "4h"}}})

    await restore_instance(world, restore(node, MarkSet.QUARANTINED))

    assert objects.labels_of(seen(world))[LB] == "by-hand"
    assert objects.annotations_of(seen(world)) == {OPT_OUT: "4h"}


async def test_what_stood_there_before_comes_back(world: World) -> None:
    node = world.add(resources.NODES, builders.node("a", annotations={OPT_OUT: "false"}, labels={LB: ""}))
    await mark_instance(world, mark(node, MarkSet.QUARANTINED))

    await restore_instance(world, restore(node, MarkSet.QUARANTINED, labels={LB: ""}, annotations={OPT_OUT: "false"}))

    assert without_version(seen(world)) == without_version(node)


async def test_a_quarantine_takes_the_taint_of_a_rotation_that_it_took_over_along(world: World) -> None:
    node = world.add(resources.NODES, builders.node("a"))
    await mark_instance(world, mark(node))
    await mark_instance(world, mark(node, MarkSet.QUARANTINED))

    await restore_instance(world, restore(node, MarkSet.QUARANTINED))

    assert without_version(seen(world)) == without_version(node)


async def test_a_rotation_that_is_called_off_leaves_a_quarantine_held(world: World) -> None:
    node = world.add(resources.NODES, builders.node("a"))
    await mark_instance(world, mark(node, MarkSet.QUARANTINED))
    await mark_instance(world, mark(node, MarkSet.ROTATING))

    await restore_instance(world, restore(node, MarkSet.ROTATING))

    now = seen(world)
    assert now["spec"]["unschedulable"] is True
    assert keys(now) == [marks.QUARANTINED_TAINT]
    assert objects.labels_of(now)[marks.STATE_LABEL] == "quarantined"
    assert LB in objects.labels_of(now)
    assert set(marks.FOREIGN_OPT_OUTS) <= set(objects.annotations_of(now))


async def test_a_mark_of_ours_with_another_effect_becomes_noschedule(world: World) -> None:
    deadly = {"key": marks.QUARANTINED_TAINT, "effect": "NoExecute"}
    node = world.add(resources.NODES, builders.node("a", taints=[deadly]))

    await mark_instance(world, mark(node, MarkSet.QUARANTINED))

    assert seen(world)["spec"]["taints"] == [{"key": marks.QUARANTINED_TAINT, "effect": "NoSchedule"}]


def without_version(node: dict[str, Any]) -> dict[str, Any]:
    meta = {key: value for key, value in node["metadata"].items() if key != "resourceVersion"}
    return {**node, "metadata": meta}


VALUES = st.sampled_from(["", "true", "false", "4h"])
SHARED = {LB: VALUES}
NOTES = dict.fromkeys(marks.FOREIGN_OPT_OUTS, VALUES)


@given(
    labels=st.fixed_dictionaries({}, optional=SHARED),
    annotations=st.fixed_dictionaries({}, optional=NOTES),
    unschedulable=st.booleans(),
    taints=st.lists(st.sampled_from([MEMORY, {"key": "team", "value": "x", "effect": "NoExecute"}]), unique_by=str),
    order=st.lists(st.sampled_from(list(MarkSet)), min_size=1, max_size=4),
)
def test_whatever_was_there_marking_and_restoring_leaves_it_as_it_was(
    labels: dict[str, str],
    annotations: dict[str, str],
    unschedulable: bool,
    taints: list[dict[str, str]],
    order: list[MarkSet],
) -> None:
    world = World()
    node = world.add(
        resources.NODES,
        builders.node("a", labels=labels, annotations=annotations, unschedulable=unschedulable, taints=taints),
    )
    outermost = MarkSet.QUARANTINED if MarkSet.QUARANTINED in order else MarkSet.ROTATING
    now = node
    for one in order:
        now = objects.merged(now, marking(now, mark(node, one)))
    action = restore(node, outermost, unschedulable=unschedulable, labels=labels, annotations=annotations)
    back = objects.merged(now, restoring(now, action))

    assert bare(back) == bare(node)
    assert restoring(back, action) == {}


def bare(node: dict[str, Any]) -> tuple[Any, ...]:
    spec = node["spec"]
    taints = spec.get("taints") or []
    return objects.labels_of(node), objects.annotations_of(node), bool(spec.get("unschedulable")), taints
