"""The replacement: one request, one machine; attempts, answers, claims, and what a released quarantine hands on."""

from __future__ import annotations

from datetime import timedelta

from exuvia.decide.rotation import request_key
from exuvia.model import marks
from exuvia.model.actions import EvictPod, MarkInstance, Outcome, OutcomeKind, RemoveMachine, RequestMachine
from exuvia.model.instances import Reference
from exuvia.model.rotation_views import ProviderFacts
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import RotationPhase
from exuvia.model.steps import Look
from tests.decide.rotation.world import (
    NODE_DELETE,
    PAUSE,
    START,
    UID,
    World,
    frozen,
    make_quarantine,
    make_rotation,
    pod,
)

P = RotationPhase
REQUEST = RequestMachine(provider="Simulated", pool="workers", key="k", like=Reference(name="n", uid="u"))


def _answer(kind: OutcomeKind, reason: str = "") -> Outcome:
    return Outcome(action=REQUEST, kind=kind, reason=reason, message="no capacity in zone a")


def test_a_provider_that_is_unknown_is_blocked_and_names_the_field() -> None:
    world = World(provider=ProviderFacts(problem="no provider knows it; set `spec.rotation.provider`")).grant()
    world.run(timedelta(minutes=5))
    assert world.blocked() == "ProviderUnknown"
    assert "spec.rotation.provider" in world.status.blocked.message
    assert not world.actions()


def test_one_that_cannot_add_first_is_blocked_and_names_the_field() -> None:
    world = World(provider=NODE_DELETE).grant().run(timedelta(minutes=5))
    assert world.blocked() == "ReplacementUnsupported"
    assert "spec.rotation.strategy" in world.status.blocked.message
    assert not world.actions()


def test_while_it_comes_the_status_says_so() -> None:
    world = World().grant()
    world.advance()
    assert world.blocked() == "WaitingForReplacement"
    assert "has not joined yet" in world.status.blocked.message
    assert [one.status for one in world.status.conditions if one.type == "Blocked"] == ["True"]


def test_a_definite_failure_is_one_attempt_more_with_a_key_of_its_own() -> None:
    world = World(refused={RequestMachine: _answer(OutcomeKind.FAILED)}).grant()
    world.advance()
    assert world.status.attempts == 1
    assert "no capacity in zone a" in world.status.blocked.message
    world.refused.clear()
    world.run()
    assert world.status.phase is P.SUCCEEDED
    assert [one.key.rpartition("-")[2] for one in world.actions(RequestMachine)] == ["0", "1"]  # type: ignore[union-attr]


def test_no_answer_is_no_attempt_and_the_same_key_is_sent_again() -> None:
    world = World(refused={RequestMachine: _answer(OutcomeKind.UNKNOWN)}).grant()
    world.advance()
    assert world.status.attempts == 0
    world.refused.clear()
    world.run()
    assert world.status.phase is P.SUCCEEDED
    keys = {one.key for one in world.actions(RequestMachine)}  # type: ignore[union-attr]
    assert keys == {f"{world.rotation.uid}-0"}


def test_a_request_that_arrived_though_no_answer_came_launches_no_second_machine() -> None:
    world = World(refused={RequestMachine: _answer(OutcomeKind.UNKNOWN)}).grant()
    world.advance()
    world.refused.clear()
    world._execute(world.actions(RequestMachine)[0])
    world.run()
    assert world.status.phase is P.SUCCEEDED
    assert len(world.actions(RequestMachine)) == 1
    assert len(world.launches) == 1


def test_a_machine_that_failed_to_launch_is_asked_for_anew_but_the_time_limit_goes_on() -> None:
    world = World(launch_time=timedelta(days=1)).grant()
    world.advance()
    since = world.status.replacement.requested_at
    world.launches[request_key(world.rotation)].state = "Failed"
    world.advance()
    assert world.status.attempts == 1
    assert world.status.replacement.requested_at == since
    world.run()
    assert world.status.reason == "ReplacementFailed"
    assert world.now - START < timedelta(minutes=21)


def test_while_the_provider_does_not_answer_nothing_fails() -> None:
    world = World().grant()
    world.advance()
    world.unreadable = {Look.MACHINE: "connection refused"}
    world.run(timedelta(hours=1))
    assert world.status.phase is P.REPLACING
    assert world.blocked() == "WaitingForReplacement"
    assert "connection refused" in world.status.blocked.message
    world.unreadable = {}
    world.run()
    assert world.status.phase is P.SUCCEEDED


def test_nothing_is_asked_for_during_a_pause() -> None:
    world = World(view={"hold": PAUSE}).grant().run(timedelta(hours=1))
    assert world.blocked() == "Paused"
    assert not world.actions()
    world.view.clear()
    world.run()
    assert world.status.phase is P.SUCCEEDED


def test_a_machine_of_another_pool_is_no_replacement() -> None:
    world = World(launch_facts={"pool": "other"}).grant().run()
    assert world.status.reason == "ReplacementFailed"
    assert "pool other" in world.status.message


def test_a_removal_that_stays_refused_fails_and_restores() -> None:
    removal = Outcome(action=REQUEST, kind=OutcomeKind.FAILED, message="the machine is protected")
    world = World(settings=frozen(strategy="DrainFirst"), refused={RemoveMachine: removal}).grant().run()
    assert (world.status.phase, world.status.reason) == (P.FAILED, "ProviderRefused")
    assert "the machine is protected" in world.status.message
    assert not world.marked()


def test_a_removal_without_an_answer_is_never_taken_for_refused() -> None:
    removal = Outcome(action=REQUEST, kind=OutcomeKind.UNKNOWN, message="timed out")
    world = World(settings=frozen(strategy="DrainFirst"), refused={RemoveMachine: removal}).grant()
    world.run(timedelta(hours=2))
    assert world.status.phase is P.TERMINATING
    assert world.marked()
    assert world.status.blocked is not None
    world.refused.clear()
    world.run()
    assert world.status.phase is P.SUCCEEDED


def test_a_machine_that_stays_though_it_was_told_to_go_is_told_again_and_named() -> None:
    removal = Outcome(action=REQUEST, kind=OutcomeKind.DONE)
    world = World(settings=frozen(strategy="DrainFirst"), refused={RemoveMachine: removal}).grant()
    world.run(timedelta(minutes=10))
    assert world.status.phase is P.TERMINATING
    assert len(world.actions(RemoveMachine)) > 2
    assert "still there" in world.status.blocked.message


def test_a_replacement_that_breaks_during_the_drain_takes_over_from_nobody() -> None:
    world = World().add(pod("web")).grant().until(P.DRAINED)
    new = next(uid for uid in world.nodes if uid != UID)
    ready = world.nodes[new]["status"]["conditions"][0]
    ready["status"] = "False"
    world.run(timedelta(minutes=10))
    assert world.status.phase is P.DRAINED
    assert world.blocked() == "WaitingForReplacement"
    assert not world.actions(RemoveMachine)
    ready["status"] = "True"
    world.run()
    assert world.status.phase is P.SUCCEEDED


def test_one_that_stays_broken_fails_and_restores() -> None:
    world = World().add(pod("web")).grant().until(P.DRAINED)
    del world.nodes[next(uid for uid in world.nodes if uid != UID)]
    world.run()
    assert (world.status.phase, world.status.reason) == (P.FAILED, "ReplacementFailed")
    assert not world.marked()
    assert UID in world.nodes


# Claims: NodeDelete.


def _drained(**facts: object) -> World:
    world = World(settings=frozen(strategy="DrainFirst"), provider=NODE_DELETE, **facts)
    return world.grant().until(P.TERMINATING).tick(1)


def test_a_machine_that_was_there_before_the_removal_is_not_claimed() -> None:
    world = World(settings=frozen(strategy="DrainFirst"), provider=NODE_DELETE)
    world.add_node("worker-2", "old-2", born=START + timedelta(seconds=1))
    world.grant().run(timedelta(minutes=10))
    assert world.status.phase is P.TERMINATING
    assert world.status.replacement is None
    assert world.blocked() == "WaitingForReplacement"


def test_of_two_that_name_the_same_replacement_the_oldest_keeps_it() -> None:
    world = _drained()
    world.advance()
    world.add_node("worker-9", "new-9", born=world.now)
    world.advance()
    assert world.status.replacement.uid == "new-9"
    claim = {"phase": "Terminating", "replacement": {"uid": "new-9", "name": "worker-9"}}
    instance = {"uid": "other", "name": "worker-5"}
    older = make_rotation("worker-5-other-1", created=START - timedelta(hours=1), instance=instance, status=claim)
    world.rotations = (older,)
    world.run(timedelta(minutes=2))
    assert world.status.phase is P.TERMINATING
    assert world.status.replacement is None
    world.add_node("worker-10", "new-10", born=world.now)
    world.run()
    assert world.status.replacement.uid == "new-10"
    assert world.status.phase is P.SUCCEEDED


def test_a_claimed_machine_that_vanishes_is_claimed_no_more() -> None:
    world = _drained()
    world.add_node("worker-9", "new-9", born=world.now)
    world.advance()
    assert world.status.replacement.uid == "new-9"
    del world.nodes["new-9"]
    world.advance()
    assert world.status.replacement is None
    world.add_node("worker-10", "new-10", born=world.now)
    world.run()
    assert world.status.replacement.uid == "new-10"
    assert world.status.phase is P.SUCCEEDED


def test_the_older_one_does_not_give_way_to_a_younger() -> None:
    world = _drained()
    world.add_node("worker-9", "new-9", born=world.now)
    world.advance()
    claim = {"phase": "Terminating", "replacement": {"uid": "new-9", "name": "worker-9"}}
    instance = {"uid": "other", "name": "worker-5"}
    younger = make_rotation("worker-5-other-1", created=START + timedelta(hours=1), instance=instance, status=claim)
    world.rotations = (younger,)
    world.run()
    assert world.status.replacement.uid == "new-9"
    assert world.status.phase is P.SUCCEEDED


def test_a_machine_in_quarantine_is_nobodys_replacement() -> None:
    world = _drained()
    world.add_node("worker-9", "new-9", born=world.now)
    world.quarantines = (make_quarantine(instance_uid="new-9", status={"phase": "Held"}),)
    world.run(timedelta(minutes=2))
    assert world.status.replacement is None


# Released quarantines.


def _released(**status: object) -> Quarantine:
    held = {
        "phase": "Held",
        "releaseAccepted": {"by": "alice", "verdict": "Rotate"},
        "before": {"unschedulable": False, "labels": {"node.kubernetes.io/exclude-from-external-load-balancers": "x"}},
        "capacity": {"state": "Replaced", "replacement": {"uid": "taken", "name": "worker-9", "requestID": "q-0"}},
        "workloads": [{"pod": "shop/frozen", "uid": "uid-frozen", "treatment": "Frozen"}],
    }
    return make_quarantine(status=held | status)


def _release(quarantine: Quarantine, **facts: object) -> World:
    rotation = make_rotation(spec={"releasedFrom": quarantine.name, "policy": None})
    world = World(rotation=rotation, quarantines=(quarantine,), **facts)
    world.add_node("worker-9", "taken")
    body = world.nodes[UID]
    body["spec"] |= {"unschedulable": True, "taints": [{"key": marks.QUARANTINED_TAINT, "effect": "NoSchedule"}]}
    body["metadata"]["annotations"] |= dict.fromkeys(marks.FOREIGN_OPT_OUTS, "true")
    return world


def test_it_inherits_before_and_replacement_and_is_not_held_by_our_own_opt_outs() -> None:
    world = _release(_released()).grant()
    world.run()
    assert world.status.phase is P.SUCCEEDED
    assert not world.actions(RequestMachine)
    assert world.status.replacement.uid == "taken"
    assert world.status.before.labels == {"node.kubernetes.io/exclude-from-external-load-balancers": "x"}


def test_a_bare_claim_to_carry_out_a_release_lifts_nothing() -> None:
    unreleased = _released(releaseAccepted={"by": "alice", "verdict": "Return"})
    waiting = _release(unreleased)
    waiting.run(timedelta(minutes=5))
    assert waiting.status.phase is P.PENDING
    assert waiting.blocked() == "Quarantined"
    started = _release(unreleased).grant().run()
    assert started.status.reason == "SupersededByQuarantine"
    assert UID in started.nodes
    assert not started.actions()


def test_it_evicts_the_listed_frozen_pods_whatever_the_knobs_say() -> None:
    world = _release(_released()).add(pod("frozen", owner=None)).grant().run()
    assert world.status.phase is P.SUCCEEDED
    assert [one.pod.name for one in world.actions(EvictPod)] == ["frozen"]  # type: ignore[union-attr]


def test_no_verdict_aborts_it_and_its_quarantine_does_not_displace_it() -> None:
    world = _release(_released(), view={"wanted": False}).grant().run()
    assert world.status.phase is P.SUCCEEDED


def test_when_it_is_called_off_the_quarantine_keeps_the_machine() -> None:
    world = _release(_released()).add(pod("frozen", grace_seconds=300)).grant().until(P.DRAINING)
    spec = world.rotation.spec.model_copy(update={"abort": True})
    world.rotation = world.rotation.model_copy(update={"spec": spec})
    world.run()
    node = world.node()
    assert world.status.reason == "CalledOff"
    assert node is not None
    assert node.unschedulable
    assert [one.key for one in node.taints] == [marks.QUARANTINED_TAINT]
    assert node.labels[marks.STATE_LABEL] == marks.STATE_QUARANTINED
    assert all(node.annotations[one] == "true" for one in marks.FOREIGN_OPT_OUTS)
    assert "taken" in world.nodes


def test_without_a_replacement_of_the_quarantine_it_asks_for_one() -> None:
    world = _release(_released(capacity={"state": "NotAsked"})).grant().run()
    assert world.status.phase is P.SUCCEEDED
    assert len(world.actions(RequestMachine)) == 1
    assert len(world.actions(MarkInstance)) == 1


def test_the_replacement_of_a_quarantine_that_returned_is_left_over_for_the_next() -> None:
    returned = make_quarantine(
        instance_uid="somebody",
        status={
            "phase": "Released",
            "releaseAccepted": {"by": "alice", "verdict": "Return"},
            "capacity": {"state": "Replaced", "replacement": {"uid": "spare", "name": "worker-8", "requestID": "q-0"}},
        },
    )
    world = World(quarantines=(returned,))
    world.add_node("worker-8", "spare")
    world.grant().run()
    assert world.status.replacement.uid == "spare"
    assert not world.actions(RequestMachine)


def test_a_node_that_joined_is_named_at_once_though_it_is_not_ready() -> None:
    """Before it is Ready: unnamed it would count among the machines that were there before."""
    world = World(launch_time=timedelta(seconds=2), never_ready=True).grant()
    world.advance()
    world.tick(2).advance()
    assert world.status.replacement.uid == f"new-{request_key(world.rotation)}"
    assert not world.node(world.status.replacement.uid).ready  # type: ignore[union-attr]
