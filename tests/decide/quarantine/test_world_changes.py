"""The Quarantine column of the table "When the world changes under an open operation", a row a test."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from exuvia.model import marks
from exuvia.model.actions import CreateOperation, EvictPod, LabelPod, MarkInstance
from exuvia.model.quarantine_views import OwnPlace
from exuvia.model.reasons import EventReason

from .world import (
    NODE_UID,
    NOW,
    PAUSED,
    World,
    condition,
    instance,
    marked,
    pod,
    quarantine,
    release,
    rotation,
    settings,
)

POLICY = {"name": "workers", "uid": "policy-uid", "generation": 3}
NEW_UID = "33333333-node"
HERE = {"kind": "Node", "name": "worker-7", "uid": NODE_UID, "providerID": "simulated://7"}


def test_no_policy_wants_it_any_more_it_stays() -> None:
    world = World(quarantine=quarantine(policy=POLICY), policy_enforces=True).held()
    world.policy_enforces = False
    world.tick(timedelta(hours=2)).settle()
    assert str(world.status.phase) == "Held"
    assert marked(world)
    assert not world.rotations


def test_a_rotation_that_is_displaced_passes_cordon_and_before() -> None:
    open_ = rotation(phase="Draining", before={"unschedulable": False})
    world = World(node=instance(unschedulable=True), rotations=[open_]).held()
    ended = {"reason": "SupersededByQuarantine", "finishedAt": "2026-11-24T12:00:01Z"}
    world.rotations = [rotation(phase="Aborted", before={"unschedulable": False}, **ended)]
    world.write(release=release()).live()
    assert world.node == instance()


def test_a_rotation_that_is_terminating_finishes_and_it_sees_its_instance_go() -> None:
    open_ = rotation(phase="Terminating", before={"unschedulable": False})
    world = World(node=instance(unschedulable=True), rotations=[open_]).held()
    assert world.status.before.unschedulable is False
    world.node = None
    world.tick().settle()
    assert condition(world, "InstancePresent") == ("False", "Gone")
    assert world.quarantine.open


@pytest.mark.parametrize(("ended", "cordoned"), [("2026-11-24T12:00:01Z", False), ("2026-11-20T12:00:00Z", True)])
def test_only_the_rotation_that_it_superseded_itself_says_what_was_before(ended: str, cordoned: bool) -> None:
    past = rotation(phase="Aborted", reason="SupersededByQuarantine", before={"unschedulable": False}, finishedAt=ended)
    world = World(node=instance(unschedulable=True), rotations=[past]).held()
    assert world.status.before.unschedulable is cordoned


def test_a_rotation_is_requested_for_it_meanwhile_it_stays() -> None:
    world = World().held()
    world.rotations.append(rotation())
    done = len(world.done)
    world.tick().settle()
    assert len(world.done) == done
    assert str(world.status.phase) == "Held"


def test_pause_evidence_goes_on_nothing_else() -> None:
    world = World().add(pod("cart"), pod("db", "StatefulSet")).grant()
    world._carry_out(world.ask())
    world.hold = PAUSED
    done = len(world.done)
    world.held()
    assert world.status.evidence.digest
    assert not [one for one in world.done[done:] if isinstance(one, LabelPod | EvictPod)]
    assert world.status.blocked.reason == "Paused"
    world.hold = None
    world.settle()
    assert world.pods["uid-cart"].owner is None


@pytest.mark.parametrize("mark", marks.OPT_OUTS)
def test_an_opt_out_does_not_hold_it(mark: str) -> None:
    opted = instance(annotations={mark: "true"}, labels={mark: ""})
    world = World(node=opted).add(pod("cart", annotations={mark: "true"})).held()
    assert marked(world)
    assert world.pods["uid-cart"].owner is None
    world.write(release=release()).live()
    assert world.node == opted


def test_its_resource_is_deleted_the_finalizer_refuses_until_released() -> None:
    world = World().held()
    meta = world.quarantine.metadata.model_copy(update={"deletion_timestamp": world.now})
    world.quarantine = world.quarantine.model_copy(update={"metadata": meta})
    step = world.settle()
    assert not step.finished
    assert marked(world)
    assert "release" in world.status.blocked.message


def test_its_instance_goes_it_stays_open_seals_and_ends_after_the_hold_time() -> None:
    world = World(missing="logs: refused").add(pod("cart")).grant()
    world.live(lambda one: str(one.status.phase) == "Held")
    world.node = None
    world.pods.clear()
    world.tick().settle()
    assert condition(world, "InstancePresent") == ("False", "Gone")
    world.live(lambda one: bool(one.status.evidence.digest))
    world.tick(timedelta(hours=167)).settle()
    assert world.quarantine.open
    world.tick(timedelta(hours=2)).settle()
    assert (str(world.status.phase), world.status.reason) == ("Released", "InstanceGone")
    assert not world.policies


def test_its_instance_is_gone_a_release_ends_it() -> None:
    for verdict in ("Return", "Rotate"):
        world = World().add(pod("cart")).held()
        world.node = None
        world.tick().settle()
        world.write(release=release(verdict)).live()
        assert (str(world.status.phase), world.status.reason) == ("Released", "Released")
        assert not world.rotations
        assert not world.policies


def test_its_instance_is_gone_and_unsealed_it_does_not_end_by_time() -> None:
    world = World().grant()
    world.settle()
    world.node = None
    world.tick().settle()
    world._patch({"evidence": {"digest": "", "nextAttempt": "2027-11-24T12:00:00Z"}})
    world.tick(timedelta(hours=400)).settle()
    assert world.quarantine.open
    assert world.status.blocked.reason == "EvidenceMissing"


def test_an_instance_that_only_seemed_gone_is_there_again() -> None:
    world = World().held()
    node, world.node = world.node, None
    world.tick().settle()
    world.node = node
    world.tick().settle()
    assert condition(world, "InstancePresent") == ("True", "Present")
    assert world.status.gone_since is None


def test_a_view_that_is_not_to_be_trusted_calls_nothing_gone() -> None:
    world = World().held()
    world.node, world.known = None, False
    world.tick().settle()
    assert condition(world, "InstancePresent") == ("True", "Present")
    assert world.status.blocked.reason == "Unsynced"


def test_the_same_name_under_a_new_uid_is_another_instance() -> None:
    world = World().held()
    world.node = None
    newborn = instance(uid=NEW_UID, provider_id="simulated://8")
    world.instances = (newborn,)
    done = len(world.done)
    world.tick().settle()
    assert len(world.done) == done
    assert not world.quarantines


def test_the_same_machine_under_a_new_uid_passes_on() -> None:
    world = World(quarantine=quarantine(instance=HERE), node=instance(provider_id="simulated://7")).held()
    newborn = instance(uid=NEW_UID, provider_id="simulated://7")
    world.node, world.instances = None, (newborn,)
    world.tick().settle()
    heir = world.quarantines[0]
    assert (heir.spec.instance.uid, heir.spec.inherited_from) == (NEW_UID, world.quarantine.name)
    assert world.quarantine.open
    second = World(quarantine=heir, node=newborn, quarantines=[world.quarantine]).add(pod("cart"))
    second.live(lambda one: str(one.status.phase) == "Held")
    assert second.node is not None
    world.quarantines, world.instances = [second.quarantine], (second.node,)
    world.tick().live()
    assert (str(world.status.phase), world.status.reason) == ("Released", "PassedOn")


def test_passing_on_happens_under_every_brake_and_once() -> None:
    world = World(quarantine=quarantine(instance=HERE), node=instance(provider_id="simulated://7")).held()
    world.node, world.hold = None, PAUSED
    world.instances = (instance(uid=NEW_UID, provider_id="simulated://7"),)
    world.tick().settle()
    world.tick().settle()
    assert len([one for one in world.done if isinstance(one, CreateOperation)]) == 1


def test_a_replacement_that_is_never_good_is_missing_and_tried_again() -> None:
    world = World(failing="workers, rule image").grant().held()
    world.tick(timedelta(minutes=30)).settle()
    assert world.status.capacity.state == "Missing"
    assert world.status.capacity.next_attempt is not None
    assert EventReason.REPLACEMENT_FAILED in [one.reason for one in world.notes]
    assert str(world.status.phase) == "Held"


def test_fleet_guard_deleted_re_created_paused_holds_like_a_pause() -> None:
    hold = replace(PAUSED, message="FleetGuardDeleted")
    world = World(hold=hold).add(pod("cart")).grant().held()
    assert not [one for one in world.done if isinstance(one, MarkInstance | LabelPod)]
    assert world.status.evidence.digest


def test_exuvia_on_the_machine_leaves_it_after_marks_and_objects() -> None:
    own = OwnPlace(pod_uid="uid-exuvia", node_name="worker-7")
    world = World(own=own).add(pod("exuvia", namespace="exuvia-system", service_account="exuvia")).grant()
    world.live(lambda one: "uid-exuvia" not in one.pods)
    kinds = [type(one) for one in world.done]
    assert kinds.index(MarkInstance) < kinds.index(EvictPod)


def test_the_ledger_is_down_it_goes_on_all_the_way() -> None:
    world = World(ledger_down=True).add(pod("cart")).grant(settings()).held()
    assert marked(world)
    world.write(release=release()).live()
    assert world.status.reason == "Released"


def test_an_old_picture_without_the_machine_calls_nothing_gone() -> None:
    world = World(lag=True).held()
    world._former = (None, ())
    world.tick().settle()
    assert condition(world, "InstancePresent") == ("True", "Present")


def _passing(missing: str) -> World:
    """The former of two: its heir holds the machine under its new object."""
    world = World(quarantine=quarantine(instance=HERE), node=instance(provider_id="simulated://7"), missing=missing)
    world.grant().settle()
    world.tick()
    newborn = instance(uid=NEW_UID, provider_id="simulated://7")
    heir = quarantine(name="heir", uid="heir", node=NEW_UID, inheritedFrom=world.quarantine.name)
    second = World(quarantine=heir, node=newborn, quarantines=[world.quarantine])
    second.live(lambda one: str(one.status.phase) == "Held")
    assert second.node is not None
    world.quarantines, world.instances = [second.quarantine], (second.node,)
    return world


def test_a_former_seals_what_it_has_before_it_ends() -> None:
    world = _passing("logs: refused")
    world.settle()
    assert world.quarantine.open
    world.live()
    assert world.orders[-1].seal_incomplete is True
    assert world.status.evidence.digest
    assert world.status.reason == "PassedOn"


def test_a_new_machine_with_the_same_machine_id_under_another_name_is_told_once_and_nothing_follows() -> None:
    world = World().held()
    world.tick().settle()
    before, steps = len(world.done), len(world.notes)
    clone = instance("worker-8", "88888888-node", machine_id="machine-7", born=world.now)
    older = instance("worker-6", "66666666-node", machine_id="machine-7", born=NOW - timedelta(days=9))
    world.instances = (clone, older)
    world.tick().settle()
    world.tick().settle()
    told = world.notes[steps:]
    assert [one.reason for one in told] == [EventReason.MACHINE_ID_SHARED]
    assert "worker-8 has the machineID of worker-7" in told[0].text
    assert [one.what for one in world.status.custody if "machineID" in one.what] == [told[0].text]
    assert len(world.done) == before


def test_of_many_clones_the_first_few_are_told() -> None:
    world = World().held()
    world.tick().settle()
    names = [f"clone-{n:02}" for n in range(30)]
    world.instances = tuple(instance(name, f"uid-{name}", machine_id="machine-7", born=world.now) for name in names)
    world.tick().settle()
    said = [one for one in world.notes if one.reason is EventReason.MACHINE_ID_SHARED]
    assert [one.text.split(" ")[0] for one in said] == names[:8]
