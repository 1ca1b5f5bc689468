"""Marks, frozen pods, network: what is written, what was there before, and what is put back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from exuvia.model import marks
from exuvia.model.actions import DenyNetwork, EvictPod, LabelPod, MarkInstance
from exuvia.model.blocking import Blocked
from exuvia.model.evidence import ItemResult
from exuvia.model.instances import Taint
from exuvia.model.pods import DisruptionBudget, Pod
from exuvia.model.quarantine_views import NetworkPolicyFacts, OwnPlace
from exuvia.model.reasons import BlockedReason, EventReason
from exuvia.model.specs.common import LabelSelector
from exuvia.model.steps import Look

from .world import NOW, PAUSED, STORM, UID, Crash, World, condition, instance, marked, pod, refusal, rotation, settings


def _reasons(world: World) -> list[EventReason]:
    return [one.reason for one in world.notes]


def test_all_marks_come_in_one_write_after_a_snapshot() -> None:
    world = World().grant()
    world.settle()
    first = next(one for one in world.steps if one.actions)
    assert first.snapshot
    assert first.disruptive
    assert [type(one) for one in world.done if isinstance(one, MarkInstance)] == [MarkInstance]
    assert marked(world)


def test_what_stood_there_is_recorded_before_the_marks() -> None:
    labels = {marks.EXCLUDE_LOAD_BALANCERS_LABEL: "mine", "team": "shop"}
    annotations = {"karpenter.sh/do-not-disrupt": "false"}
    world = World(node=instance(unschedulable=True, labels=labels, annotations=annotations)).grant()
    first = world.ask()
    before = first.status["before"]
    assert before["unschedulable"] is True
    assert before["labels"] == {marks.EXCLUDE_LOAD_BALANCERS_LABEL: "mine"}
    assert before["annotations"] == annotations


def test_before_comes_from_the_rotation_that_is_taken_over() -> None:
    cordoned = instance(unschedulable=True)
    taken = rotation(phase="Draining", before={"unschedulable": False, "labels": {}})
    world = World(node=cordoned, rotations=[taken]).grant()
    world.settle()
    assert world.status.before.unschedulable is False


def test_isolation_without_taint_and_network_does_only_what_it_names() -> None:
    world = World().add(pod("cart")).grant(settings(isolation=["LoadBalancerExclusion"]))
    world.settle()
    assert world.node is not None
    assert world.node.taint(marks.QUARANTINED_TAINT) is None
    assert not world.policies
    assert world.status.isolation.state == "Partial"


@pytest.mark.parametrize(
    ("owner", "treatment", "keeps_labels"),
    [
        ("ReplicaSet", "Frozen", False),
        ("ReplicationController", "Frozen", False),
        ("StatefulSet", "Unavailable", True),
        ("Job", "Unavailable", True),
        ("DaemonSet", "Unavailable", True),
        ("", "Unavailable", True),
    ],
)
def test_each_kind_of_pod_gets_its_treatment(owner: str, treatment: str, keeps_labels: bool) -> None:
    world = World().add(pod("it", owner)).grant()
    world.settle()
    labels = world.pods["uid-it"].labels
    assert [one.treatment for one in world.status.workloads] == [treatment]
    assert world.status.workloads[0].labels == {"app": "it", "tier": "web"}
    assert labels[marks.QUARANTINE_POD_LABEL] == UID
    assert ("app" in labels) is keeps_labels
    assert condition(world, "Isolated") == ("True", "Isolated")


@pytest.mark.parametrize(
    "left",
    [
        pod("it", mirror=True),
        pod("it", owned_by_node=True),
        pod("it", phase="Succeeded"),
        pod("it", namespace="exuvia-system", service_account="exuvia"),
    ],
)
def test_some_pods_are_left_alone(left: Pod) -> None:
    world = World().add(left).grant()
    world.settle()
    assert world.pods["uid-it"].labels == left.labels
    assert not world.status.workloads


def test_evict_keeps_labels_and_cuts_off() -> None:
    world = World().add(pod("cart")).grant(settings(workloads="Evict"))
    world.settle()
    assert world.status.workloads[0].treatment == "Evict"
    assert world.pods["uid-cart"].labels["app"] == "cart"
    assert [one.namespace for one in world.policies] == ["shop"]


def test_what_was_undone_and_put_back_is_not_being_put_back_for_ever() -> None:
    """Where only pods with the host's network are left no namespace needs a policy, and nobody reads them."""
    world = World().add(pod("agent", "DaemonSet", host_network=True)).grant().held()
    was = condition(world, "Isolated")
    agent = world.pods["uid-agent"]
    world.pods[agent.uid] = replace(agent, labels={})
    world.tick().settle()
    assert marks.QUARANTINE_POD_LABEL in world.pods[agent.uid].labels
    world.tick(timedelta(minutes=6)).settle()
    assert condition(world, "Isolated") == was
    assert world.status.isolation is not None
    assert world.status.isolation.because == ("pod shop/agent uses the host's network",)


def test_host_network_is_unsupported_and_named() -> None:
    world = World().add(pod("agent", "DaemonSet", host_network=True)).grant()
    world.settle()
    assert condition(world, "Isolated") == ("False", "Unsupported")
    assert world.status.isolation.because == ("pod shop/agent uses the host's network",)


def test_a_policy_of_somebody_else_that_allows_makes_it_partial() -> None:
    open_ = NetworkPolicyFacts(namespace="shop", name="open", selector=LabelSelector(), allows=True)
    world = World(policies=[open_]).add(pod("cart")).grant()
    world.settle()
    assert condition(world, "Isolated") == ("False", "Partial")
    assert "shop/open" in world.status.isolation.because[0]


def test_broken_budgets_are_named_and_not_asked() -> None:
    budget = DisruptionBudget(namespace="shop", name="cart", match_labels=(("app", "cart"),), allowed=0)
    world = World(budgets=(budget,)).add(pod("cart")).grant()
    world.settle()
    assert world.status.workloads[0].broken_pdb == "shop/cart"
    assert not any(isinstance(one, EvictPod) for one in world.done)
    said = next(one for one in world.status.conditions if one.type == "Isolated")
    assert "shop/cart" in said.message


@pytest.mark.parametrize("hold", [PAUSED, Blocked(reason=BlockedReason.UNSYNCED, message="pods are 90 s old")])
def test_under_a_brake_nothing_is_marked_but_evidence_goes_on(hold: Blocked) -> None:
    world = World(hold=hold).add(pod("cart")).grant()
    world.live(lambda one: str(one.status.phase) == "Held")
    assert not world.done
    assert world.status.evidence.digest
    assert world.status.blocked.reason == hold.reason


def test_a_wrong_clock_holds_the_pods_but_not_marks_and_evidence() -> None:
    world = World(hold=Blocked(reason=BlockedReason.CLOCK_SKEW, message="90 s off")).add(pod("cart")).grant()
    world.held()
    assert marked(world)
    assert [type(one) for one in world.done] == [MarkInstance]
    assert world.status.evidence.digest


@pytest.mark.parametrize("look", [Look.NODE, Look.OTHERS])
def test_what_cannot_be_read_is_not_touched_and_said(look: Look) -> None:
    world = World(failed={look: "timed out"}).grant()
    step = world.settle()
    assert not world.done
    assert step.blocked is not None
    assert step.blocked.reason is BlockedReason.UNSYNCED


@pytest.mark.parametrize("look", [Look.PODS, Look.NETWORK_POLICIES])
def test_pods_that_cannot_be_read_are_not_touched_and_evidence_goes_on(look: Look) -> None:
    world = World(failed={look: "timed out"}).add(pod("cart")).grant().held()
    assert [one for one in world.done if isinstance(one, LabelPod | DenyNetwork)] == []
    assert world.status.evidence.digest


def test_evidence_that_was_sealed_before_the_machine_could_be_marked_stays_sealed() -> None:
    world = World(failed={Look.NODE: "timed out"}).add(pod("cart")).grant().held()
    assert world.status.evidence.digest and not marked(world)
    world.failed = {}
    world.tick().settle()
    assert marked(world)
    assert condition(world, "EvidenceSealed") == ("True", "Sealed")


def test_missing_rights_are_said_and_tried_again() -> None:
    world = World(refuse=refusal(MarkInstance)).grant()
    step = world.settle()
    assert step.blocked is not None
    assert step.blocked.reason is BlockedReason.FORBIDDEN
    assert "no right" in world.status.blocked.message
    world.refuse = lambda action: None
    world.tick().settle()
    assert marked(world)


def test_a_network_that_cannot_be_denied_is_partial_and_evidence_goes_on() -> None:
    world = World(refuse=refusal(DenyNetwork)).add(pod("cart")).grant().held()
    assert condition(world, "Isolated") == ("False", "Partial")
    assert world.status.evidence.digest
    assert world.pods["uid-cart"].owner is None


@pytest.mark.parametrize("hold", [None, PAUSED, STORM])
def test_marks_that_somebody_takes_off_are_put_back_whatever_holds(hold: Blocked | None) -> None:
    world = World().add(pod("cart")).held()
    assert world.node is not None
    world.hold = world.eviction_hold = hold
    world.node = replace(world.node, unschedulable=False, taints=(), labels={}, annotations={})
    world.tick().settle()
    assert marked(world)
    assert _reasons(world).count(EventReason.QUARANTINE_TAMPERED) == 1
    assert any("somebody took off" in one.what for one in world.status.custody)
    guards = [one for one in world.steps if one.name == "Guarding"]
    assert [one.disruptive for one in guards] == [hold is None]


def test_only_the_effect_of_the_taint_is_changed() -> None:
    world = World().held()
    assert world.node is not None
    world.node = replace(world.node, taints=(Taint(key=marks.QUARANTINED_TAINT, effect="PreferNoSchedule"),))
    world.tick().settle()
    found = world.node.taint(marks.QUARANTINED_TAINT)
    assert found is not None
    assert found.effect == "NoSchedule"


def test_who_undoes_it_at_once_does_not_keep_us_busy() -> None:
    world = World().held()
    assert world.node is not None
    naked = replace(world.node, unschedulable=False)
    world.refuse = lambda action: setattr(world, "node", naked)
    world.node = naked
    step = world.tick().settle(rounds=8)
    assert step.recheck_after is not None
    assert step.recheck_after <= timedelta(seconds=2)


@pytest.mark.parametrize("hold", [None, PAUSED])
def test_labels_and_policies_that_somebody_changes_are_put_back(hold: Blocked | None) -> None:
    world = World().add(pod("db", "StatefulSet")).grant()
    world.settle()
    world.tick()
    world.hold = hold
    world.pods["uid-db"] = replace(world.pods["uid-db"], labels={"app": "db"})
    world.policies.clear()
    world.settle()
    assert world.pods["uid-db"].labels[marks.QUARANTINE_POD_LABEL] == UID
    assert [one.quarantine for one in world.policies] == [UID]
    assert EventReason.QUARANTINE_TAMPERED in _reasons(world)


def test_a_new_pod_waits_for_the_end_of_a_pause_and_is_no_tampering() -> None:
    world = World().add(pod("cart")).held()
    world.hold = PAUSED
    world.add(pod("agent", "DaemonSet", created=world.now)).tick().settle()
    assert marks.QUARANTINE_POD_LABEL not in world.pods["uid-agent"].labels
    world.hold = None
    world.settle()
    assert world.pods["uid-agent"].labels[marks.QUARANTINE_POD_LABEL] == UID
    assert EventReason.QUARANTINE_TAMPERED not in _reasons(world)


def test_a_pod_that_came_back_in_spite_of_the_marks_keeps_its_labels() -> None:
    world = World().add(pod("cart")).held()
    world.add(pod("cart2", created=world.now)).tick().settle()
    assert world.pods["uid-cart2"].labels["app"] == "cart2"


def test_a_rotation_under_way_may_put_its_own_words() -> None:
    world = World().held()
    assert world.node is not None
    world.rotations.append(rotation(phase="Draining"))
    world.node = replace(world.node, labels={**world.node.labels, marks.STATE_LABEL: "rotating"})
    done = len(world.done)
    world.tick().settle()
    assert not [one for one in world.done[done:] if isinstance(one, MarkInstance)]


def test_a_rotation_that_waits_may_not() -> None:
    world = World().held()
    assert world.node is not None
    world.rotations.append(rotation(phase="Pending"))
    world.node = replace(world.node, labels={**world.node.labels, marks.STATE_LABEL: "rotating"})
    world.tick().settle()
    assert world.node.labels[marks.STATE_LABEL] == "quarantined"


def _here(**more: str) -> OwnPlace:
    return OwnPlace(pod_uid="uid-exuvia", node_name="worker-7", **more)


def _exuvia() -> Pod:
    return pod("exuvia", namespace="exuvia-system", service_account="exuvia")


def test_on_our_own_machine_the_objects_are_kept_before_our_pod_leaves() -> None:
    world = World(own=_here()).add(_exuvia(), pod("cart")).grant()
    world.settle()
    assert not any(isinstance(one, EvictPod) for one in world.done)
    assert [one.draft_only for one in world.orders] == [True]
    assert [one.type for one in world.orders[0].collectors] == ["APIObjects"]
    world.tick().settle()
    assert world.pods["uid-exuvia"].deleting_since is not None
    world.own = OwnPlace(pod_uid="uid-next", node_name="worker-1")
    world.tick().held()
    assert world.status.evidence.digest
    assert world.orders[-1].draft_only is False


def test_our_pod_leaves_though_the_objects_could_not_be_kept() -> None:
    world = World(own=_here(), missing="no space").add(_exuvia()).grant()
    world.live(lambda one: one.pods.get("uid-exuvia") is None)
    assert any("not all of it" in one.what for one in world.status.custody)


def test_our_pod_stays_during_a_pause_and_evidence_goes_on() -> None:
    world = World(own=_here()).add(_exuvia()).grant()
    world.settle()
    world.hold = PAUSED
    world.held()
    assert "uid-exuvia" in world.pods
    assert world.status.evidence.items[0].result == ItemResult.CAPTURED


def test_tied_to_the_machine_we_say_so_and_go_on() -> None:
    world = World(own=_here(pinned="volume exuvia-ledger")).add(_exuvia(), pod("cart")).held()
    world.settle()
    assert "uid-exuvia" in world.pods
    assert world.status.blocked.reason == "SelfPinned"
    assert "exuvia-ledger" in world.status.blocked.message


def test_an_instance_that_is_unknown_is_not_marked() -> None:
    world = World(known=False).grant()
    world.settle()
    assert not world.done
    assert world.status.blocked.reason == "Unsynced"


def test_marks_that_landed_before_a_crash_are_believed() -> None:
    world = World().grant()
    world._carry_out(world.ask())
    world._patch({"steps": [{"name": "Isolating", "startedAt": NOW.isoformat()}]})
    world.settle()
    assert len([one for one in world.done if isinstance(one, MarkInstance)]) == 1


def test_a_picture_that_is_old_is_no_tampering() -> None:
    world = World(lag=True).add(pod("cart"), pod("log", "DaemonSet")).grant().held()
    for _ in range(3):
        world.tick().settle()
    assert EventReason.QUARANTINE_TAMPERED not in _reasons(world)
    assert len([one for one in world.done if isinstance(one, MarkInstance)]) == 1


def test_a_pause_before_the_pods_are_isolated_leaves_it_unsaid() -> None:
    world = World().add(pod("cart")).grant()
    world._carry_out(world.ask())
    world.hold = PAUSED
    world.held()
    assert condition(world, "Isolated") == ("False", "Isolating")
    assert world.status.isolation is None


def test_a_pause_between_the_record_and_the_write_holds_the_write() -> None:
    world = World().add(pod("cart")).held()
    world.add(pod("agent", "DaemonSet", created=world.now)).tick()
    world.fuse = 0
    with pytest.raises(Crash):
        world.settle()
    assert "uid-agent" in {one.uid for one in world.status.workloads}
    world.hold = PAUSED
    world.tick().settle()
    assert marks.QUARANTINE_POD_LABEL not in world.pods["uid-agent"].labels
    world.hold = None
    world.tick().settle()
    assert world.pods["uid-agent"].labels[marks.QUARANTINE_POD_LABEL] == UID
    assert EventReason.QUARANTINE_TAMPERED not in _reasons(world)


def test_a_put_back_that_failed_is_tried_again_even_under_a_brake() -> None:
    world = World().add(pod("db", "StatefulSet")).grant()
    world.settle()
    world.pods["uid-db"] = replace(world.pods["uid-db"], labels={"app": "db"})
    world.hold, world.refuse = PAUSED, refusal(LabelPod)
    world.tick().settle()
    world.refuse = lambda action: None
    world.tick().settle()
    assert world.pods["uid-db"].labels[marks.QUARANTINE_POD_LABEL] == UID


def test_a_machine_does_not_escape_by_much_text() -> None:
    node = instance(annotations={"karpenter.sh/do-not-disrupt": "x" * 5000}, labels={"team": "y" * 63})
    many = {f"key-{n}.example.org/{'k' * 60}": "v" * 63 for n in range(300)}
    world = World(node=node).add(pod("cart", labels={"app": "cart", **many}), pod("db", "StatefulSet", labels=many))
    world.grant().held()
    assert marked(world)
    assert world.pods["uid-cart"].labels == {marks.QUARANTINE_POD_LABEL: UID}
    assert sum(len(k) + len(v) for one in world.status.workloads for k, v in one.labels.items()) <= 3000


@pytest.mark.parametrize("hold", [None, PAUSED])
def test_a_network_policy_that_somebody_deletes_is_made_again(hold: Blocked | None) -> None:
    world = World().add(pod("cart")).held()
    world.hold = hold
    world.policies.clear()
    world.tick().settle()
    assert [one.quarantine for one in world.policies] == [UID]
    assert EventReason.QUARANTINE_TAMPERED in _reasons(world)


def test_a_machine_whose_isolation_was_undone_is_not_said_to_be_isolated_until_it_is_again() -> None:
    world = World().add(pod("cart")).grant().held()
    assert condition(world, "Isolated") == ("True", "Isolated")
    world.policies.clear()
    step = world.ask()
    said = next(one for one in step.status["conditions"] if one["type"] == "Isolated")
    assert (said["status"], said["reason"]) == ("False", "Partial")
    assert "undid the isolation of namespace shop" in said["message"]
    assert step.status["isolation"]["state"] == "Partial"
    world.refuse = refusal(DenyNetwork)
    world.settle()
    assert condition(world, "Isolated") == ("False", "Partial")
    world.refuse = lambda action: None
    world.tick()
    world.settle()
    assert condition(world, "Isolated") == ("True", "Isolated")


def test_a_policy_that_comes_later_and_allows_is_said() -> None:
    world = World().add(pod("log", "DaemonSet")).held()
    assert condition(world, "Isolated") == ("True", "Isolated")
    world.policies.append(NetworkPolicyFacts(namespace="shop", name="late", selector=LabelSelector(), allows=True))
    world.tick().settle()
    assert condition(world, "Isolated") == ("False", "Partial")
    world.policies.pop()
    world.tick().settle()
    assert condition(world, "Isolated") == ("True", "Isolated")
