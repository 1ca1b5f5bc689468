"""Release: who decides, what is undone, and what stays held when the Rotation does not succeed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from exuvia.model import marks
from exuvia.model.actions import CreateOperation, EvictPod, RestoreInstance
from exuvia.model.blocking import Blocked
from exuvia.model.reasons import EventReason
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.model.steps import Look

from .world import (
    PAUSED,
    STORM,
    World,
    condition,
    instance,
    marked,
    pod,
    quarantine,
    refusal,
    release,
    rotation,
    settings,
)

POLICY = {"name": "workers", "uid": "policy-uid", "generation": 3}


def _names(world: World) -> list[str]:
    return [type(one).__name__ for one in world.done]


def _end(one: Rotation, phase: str, reason: str) -> Rotation:
    body: dict[str, Any] = {"metadata": one.metadata.model_dump(mode="json", by_alias=True), "spec": one.spec.wire()}
    return Rotation.parse({**body, "status": {"phase": phase, "reason": reason}})


def test_return_restores_exactly_what_was_there() -> None:
    node = instance(
        labels={"team": "shop", marks.EXCLUDE_LOAD_BALANCERS_LABEL: "mine"},
        annotations={"karpenter.sh/do-not-disrupt": "false", "note": "x"},
        unschedulable=True,
    )
    world = World(node=node).add(pod("cart"), pod("log", "DaemonSet")).held()
    assert marked(world)
    world.write(release=release()).live()
    assert world.node == node
    assert world.pods["uid-log"].labels == {"app": "log", "tier": "web"}
    assert "uid-cart" not in world.pods
    assert not world.policies
    assert (str(world.status.phase), world.status.reason) == ("Released", "Released")
    assert condition(world, "Released") == ("True", "Released")


def test_what_was_released_is_not_called_isolated_any_more() -> None:
    world = World().add(pod("cart")).held()
    assert condition(world, "Isolated") == ("True", "Isolated")
    world.write(release=release()).live()
    assert str(world.status.phase) == "Released"
    assert condition(world, "Isolated") == ("False", "Released")
    assert world.status.isolation is not None
    assert (world.status.isolation.state, world.status.isolation.was) == ("Ended", "Isolated")
    assert condition(world, "EvidenceSealed")[0] == "True", "what was sealed stays sealed"
    assert world.status.custody[-1].by == "alice"
    assert EventReason.QUARANTINE_RELEASED in [one.reason for one in world.notes]


def test_return_goes_marks_labels_copies_network() -> None:
    world = World().add(pod("cart"), pod("log", "DaemonSet")).held()
    start = len(world.done)
    world.write(release=release()).live()
    assert _names(world)[start:] == ["RestoreInstance", "LabelPod", "EvictPod", "AllowNetwork"]


@pytest.mark.parametrize("hold", [PAUSED, STORM])
def test_no_brake_holds_the_marks_of_a_return_but_copies_wait(hold: Blocked) -> None:
    world = World().add(pod("cart"), pod("log", "DaemonSet")).held()
    world.hold = hold
    world.write(release=release()).live(ticks=3)
    assert world.node == instance()
    assert world.pods["uid-log"].labels == {"app": "log", "tier": "web"}
    assert "uid-cart" in world.pods
    assert world.quarantine.open
    assert world.status.blocked.reason == hold.reason
    world.hold = None
    world.live()
    assert "uid-cart" not in world.pods
    assert world.status.reason == "Released"


@pytest.mark.parametrize("phase", ["Isolating", "Collecting", "Held"])
def test_return_is_accepted_in_every_phase(phase: str) -> None:
    world = World(missing="logs: refused").add(pod("cart")).grant()
    if phase != "Isolating":
        world.live(lambda one: str(one.status.phase) == phase)
    world.write(release=release()).live()
    assert world.node == instance()
    assert world.status.reason == "Released"


def test_a_return_before_the_marks_touches_nothing() -> None:
    world = World(hold=PAUSED).grant()
    world.write(release=release()).live()
    assert not world.done
    assert world.status.reason == "Released"


def test_a_pod_that_was_recorded_and_never_frozen_is_not_evicted() -> None:
    world = World().add(pod("cart")).grant()
    world.refuse = lambda action: None
    while not world.status.workloads:
        world._carry_out(world.ask())
    world.pods["uid-cart"] = pod("cart")
    world.write(release=release()).live()
    assert "EvictPod" not in _names(world)
    assert world.pods["uid-cart"] == pod("cart")


def test_a_restore_that_is_refused_is_said_and_tried_again() -> None:
    world = World(refuse=refusal(RestoreInstance)).held()
    world.write(release=release()).settle()
    assert world.status.blocked.reason == "Forbidden"
    world.refuse = lambda action: None
    world.tick().live()
    assert world.node == instance()


def test_what_cannot_be_read_is_not_called_given_back() -> None:
    world = World().add(pod("cart")).held()
    world.failed = {Look.PODS: "timed out"}
    world.write(release=release()).live(ticks=3)
    assert world.node == instance()
    assert world.quarantine.open
    assert world.status.blocked.reason == "Unsynced"
    world.failed = {}
    world.live()
    assert world.status.reason == "Released"


def test_the_replacement_of_a_returned_machine_is_surplus() -> None:
    world = World().held()
    world.live(lambda one: one.status.capacity.state == "Replaced")
    world.write(release=release()).live()
    surplus = [one for one in world.notes if one.reason is EventReason.SURPLUS_INSTANCE]
    assert len(surplus) == 1
    assert "worker-99" in surplus[0].text


def test_rotate_makes_one_rotation_that_names_the_quarantine() -> None:
    world = World(quarantine=quarantine(policy=POLICY, rule="intrusion")).held()
    world.write(release=release("Rotate")).settle()
    made = world.rotations[0]
    assert made.name == "worker-7-11111111-1"
    assert made.spec.released_from == world.quarantine.name
    assert made.spec.instance.uid == "11111111-node"
    assert made.spec.policy is not None
    assert made.spec.policy.name == "workers"
    assert made.spec.requested_by == marks.SERVICE_ACCOUNT_USER
    assert world.status.release_rotation == made.name
    world.tick().settle()
    assert len(world.rotations) == 1


def test_a_rotation_that_may_not_be_made_is_said_once_however_often_it_is_tried() -> None:
    world = World().held()
    world.refuse = refusal(CreateOperation)
    world.write(release=release("Rotate")).settle()
    for _ in range(3):
        world.tick().settle()
    assert world.status.blocked.reason == "Forbidden"
    assert [one.what for one in world.status.custody if "carries out the release" in one.what] == [
        "Rotation worker-7-11111111-1 carries out the release"
    ]
    world.refuse = lambda action: None
    world.tick().settle()
    assert [one.name for one in world.rotations] == ["worker-7-11111111-1"]


def test_rotate_takes_a_number_that_is_free() -> None:
    world = World(rotations=[rotation(phase="Aborted")]).held()
    world.write(release=release("Rotate")).settle()
    assert world.rotations[-1].name == "worker-7-11111111-2"


def test_rotate_holds_and_guards_until_the_machine_is_gone() -> None:
    world = World().held()
    world.write(release=release("Rotate")).settle()
    assert str(world.status.phase) == "Held"
    assert world.node is not None
    world.node = replace(world.node, unschedulable=False)
    world.tick().settle()
    assert world.node.unschedulable
    world.node = None
    world.tick().settle()
    assert (str(world.status.phase), world.status.reason) == ("Released", "Released")
    assert "alice" in world.status.message


def test_rotate_waits_until_the_evidence_is_sealed() -> None:
    world = World(missing="logs: refused").grant().live(lambda one: str(one.status.phase) == "Held")
    world.write(release=release("Rotate")).tick().settle()
    assert world.status.release_accepted is None
    assert not world.rotations
    assert world.status.blocked.reason == "EvidenceMissing"
    assert "destroyUnsealed" in world.status.blocked.message
    world.missing = ""
    world.live(lambda one: bool(one.rotations))
    assert not world.lost


def test_destroy_unsealed_is_recorded_with_its_author() -> None:
    world = World(missing="logs: refused").grant().live(lambda one: str(one.status.phase) == "Held")
    world.write(release=release("Rotate", by="bob", destroyUnsealed=True)).settle()
    assert len(world.rotations) == 1
    said = [one for one in world.status.custody if "before its evidence is sealed" in one.what]
    assert [one.by for one in said] == ["bob"]


def test_a_release_that_was_not_accepted_may_be_rewritten() -> None:
    world = World(missing="logs: refused").grant().live(lambda one: str(one.status.phase) == "Held")
    world.write(release=release("Rotate")).settle()
    world.write(release=release("Return")).live()
    assert world.status.reason == "Released"
    assert not world.rotations


def test_one_that_was_accepted_is_not_rewritten() -> None:
    world = World().held()
    world.write(release=release("Rotate")).settle()
    world.write(release=release("Return", by="bob")).tick().settle()
    assert world.status.release_accepted.by == "alice"
    assert marked(world)


@pytest.mark.parametrize(("phase", "reason"), [("Failed", "ReplacementFailed"), ("Aborted", "CalledOff")])
def test_a_release_lapses_when_its_rotation_does_not_succeed(phase: str, reason: str) -> None:
    world = World().held()
    world.write(release=release("Rotate")).settle()
    world.rotations[0] = _end(world.rotations[0], phase, reason)
    world.tick().live(ticks=3)
    assert world.status.release_accepted is None
    assert condition(world, "Released") == ("False", "Lapsed")
    assert len(world.rotations) == 1
    assert marked(world)
    world.write(release=release("Rotate", by="bob")).settle()
    assert [one.name for one in world.rotations] == ["worker-7-11111111-1", "worker-7-11111111-2"]


def test_a_release_that_was_rewritten_meanwhile_counts_when_the_first_lapses() -> None:
    world = World().held()
    world.write(release=release("Rotate")).settle()
    world.write(release=release("Return", by="bob")).settle()
    world.rotations[0] = _end(world.rotations[0], "Failed", "DrainTimeout")
    world.tick().live()
    assert world.status.reason == "Released"
    assert world.node == instance()


def test_a_rotation_that_was_removed_lapses_too() -> None:
    world = World().held()
    world.write(release=release("Rotate")).settle()
    world.rotations.clear()
    world.tick().settle()
    assert condition(world, "Released") == ("False", "Lapsed")
    assert not world.rotations


def test_a_rotation_of_the_same_name_by_somebody_else_does_not_count() -> None:
    world = World().held()
    foreign = rotation("worker-7-11111111-1", "Draining")
    world.refuse = lambda action: (
        world.rotations.append(foreign) if isinstance(action, CreateOperation) and not world.rotations else None
    )
    world.write(release=release("Rotate")).settle()
    assert world.rotations == [foreign]
    assert world.status.blocked.reason == "Quarantined"
    assert "exuvia abort worker-7-11111111-1" in world.status.blocked.message
    world.rotations[0] = _end(foreign, "Aborted", "CalledOff")
    world.tick().settle()
    assert [one.name for one in world.rotations] == ["worker-7-11111111-1", "worker-7-11111111-2"]
    assert world.status.release_rotation == "worker-7-11111111-2"
    assert world.status.blocked is None


def test_a_rotation_that_only_waits_does_not_keep_the_machine_from_being_rotated() -> None:
    world = World().held()
    world.rotations.append(rotation("worker-7-11111111-1"))
    world.write(release=release("Rotate")).settle()
    assert [one.name for one in world.rotations] == ["worker-7-11111111-1", "worker-7-11111111-2"]
    assert world.rotations[1].spec.released_from == world.quarantine.name
    assert world.status.release_rotation == "worker-7-11111111-2"
    assert world.status.blocked is None


def test_after_a_lapse_it_rotates_by_itself_a_day_later() -> None:
    world = World(quarantine=quarantine(policy=POLICY), policy_enforces=True)
    world.grant(settings(onHoldExpired="Rotate")).held()
    world.tick(timedelta(hours=168)).settle()
    world.rotations[0] = _end(world.rotations[0], "Failed", "ReplacementFailed")
    world.tick(timedelta(hours=1)).settle()
    assert len(world.rotations) == 1
    world.tick(timedelta(hours=24)).settle()
    assert len(world.rotations) == 2


def test_pods_do_not_leave_by_us_while_the_rotation_drains() -> None:
    world = World(eviction_hold=STORM).add(pod("db", "StatefulSet")).held()
    world.write(release=release("Rotate")).settle()
    world.eviction_hold = None
    world.tick().settle()
    assert not [one for one in world.done if isinstance(one, EvictPod)]


def test_a_terminal_one_only_gives_its_finalizer_back() -> None:
    world = World().held()
    world.write(release=release()).live()
    ended: Quarantine = world.quarantine
    step = world.settle()
    assert step.finished
    assert not step.status
    assert world.quarantine == ended


def test_an_accepted_rotation_is_not_asked_for_while_the_evidence_cannot_be_read() -> None:
    world = World().held()
    world.write(release=release("Rotate"))
    while world.status.release_accepted is None:
        world._carry_out(world.ask())
    world.failed = {Look.EVIDENCE: "the volume is gone"}
    world.settle()
    assert not world.rotations
    assert world.status.blocked.reason == "Unsynced"
    world.failed = {}
    world.settle()
    assert len(world.rotations) == 1


def test_without_a_list_of_pods_a_return_does_not_end() -> None:
    world = World().held()
    world.failed = {Look.PODS: "timed out"}
    world.write(release=release()).live(ticks=3)
    assert world.quarantine.open
