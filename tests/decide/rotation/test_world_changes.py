"""When the world changes under an open Rotation: each row of the Rotation column of that table (operations.md)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from exuvia.model import marks
from exuvia.model.actions import (
    EvictPod,
    MarkInstance,
    Outcome,
    OutcomeKind,
    RemoveMachine,
    RequestMachine,
    RestoreInstance,
)
from exuvia.model.blocking import Blocked
from exuvia.model.instances import Instance, Reference
from exuvia.model.reasons import BlockedReason, EventReason
from exuvia.model.specs.rotation import RotationPhase
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
REMOVAL = RemoveMachine(provider="Simulated", pool="workers", instance=Reference(name="n", uid="u"))
BEFORE_DRAINED = (P.REPLACING, P.CORDONED, P.DRAINING)


# 1. No enforcing policy wants it any more.


@pytest.mark.parametrize("phase", BEFORE_DRAINED)
def test_no_longer_wanted_before_drained_aborts_and_restores(phase: RotationPhase) -> None:
    world = World().add(pod("web")).grant().until(phase)
    world.view["wanted"] = False
    world.run()
    assert (world.status.phase, world.status.reason) == (P.ABORTED, "NoLongerWanted")
    assert not world.marked()
    assert not world.actions(RemoveMachine) or UID in world.nodes
    assert UID in world.nodes


@pytest.mark.parametrize("phase", [P.DRAINED, P.TERMINATING])
def test_no_longer_wanted_from_drained_on_finishes(phase: RotationPhase) -> None:
    world = World().add(pod("web")).grant().until(phase)
    world.view["wanted"] = False
    world.run()
    assert (world.status.phase, world.status.reason) == (P.SUCCEEDED, "Replaced")


def test_no_longer_wanted_while_pending_ends_at_once() -> None:
    world = World(view={"wanted": False}).run()
    assert (world.status.phase, world.status.reason) == (P.ABORTED, "NoLongerWanted")
    assert world.actions() == []


def test_a_manual_one_is_not_concerned() -> None:
    manual = make_rotation(spec={"policy": None, "requestedBy": "alice"})
    world = World(rotation=manual, view={"wanted": False}).grant().run()
    assert world.status.phase is P.SUCCEEDED


def test_after_a_deletion_of_the_policy_a_minute_passes_without_a_disruptive_write() -> None:
    world = World(settings=frozen(strategy="DrainFirst")).add(pod("web")).grant().until(P.DRAINING)
    done = len(world.done)
    world.view |= {"wanted": False, "policy_deleted": True}
    world.run(timedelta(seconds=58))
    assert world.status.phase is P.DRAINING
    assert world.status.unwanted_since is not None
    assert len(world.done) == done
    world.run(timedelta(seconds=30))
    assert (world.status.phase, world.status.reason) == (P.ABORTED, "NoLongerWanted")
    assert not world.marked()


def test_a_policy_that_is_created_again_within_the_minute_changes_nothing() -> None:
    world = World(settings=frozen(strategy="DrainFirst")).add(pod("web")).grant().until(P.DRAINING)
    world.view |= {"wanted": False, "policy_deleted": True}
    world.run(timedelta(seconds=40))
    world.view |= {"wanted": True, "policy_deleted": False}
    world.run()
    assert (world.status.phase, world.status.reason) == (P.SUCCEEDED, "Replaced")
    assert world.status.unwanted_since is None


def test_what_cannot_be_seen_says_nothing_about_what_is_wanted() -> None:
    unsynced = Blocked(reason=BlockedReason.UNSYNCED, message="securitypolicies never synced")
    world = World().add(pod("web")).grant().until(P.DRAINING)
    world.view |= {"wanted": False, "hold": unsynced}
    world.run(timedelta(minutes=5))
    assert world.status.phase is P.DRAINING
    assert world.blocked() == "Unsynced"
    world.view = {}
    world.run()
    assert world.status.phase is P.SUCCEEDED


# 2. A Quarantine of the same UID opens.


def test_while_the_quarantine_is_pending_nothing_disruptive_is_done() -> None:
    world = World(settings=frozen(strategy="DrainFirst")).add(pod("web")).grant().until(P.DRAINING)
    done = len(world.done)
    world.quarantines = (make_quarantine(status={"phase": "Pending"}),)
    world.run(timedelta(minutes=5))
    assert len(world.done) == done
    assert world.blocked() == "Quarantined"
    world.quarantines = (make_quarantine(status={"phase": "Aborted"}),)
    world.run()
    assert world.status.phase is P.SUCCEEDED


@pytest.mark.parametrize("phase", [P.CORDONED, P.DRAINING, P.DRAINED])
def test_when_the_quarantine_starts_it_is_superseded_and_nothing_is_restored(phase: RotationPhase) -> None:
    world = World().add(pod("web", grace_seconds=60)).grant().until(phase)
    before, done = world.status.before, len(world.done)
    world.quarantines = (make_quarantine(status={"phase": "Isolating"}),)
    world.run()
    assert (world.status.phase, world.status.reason) == (P.ABORTED, "SupersededByQuarantine")
    assert len(world.done) == done
    assert world.status.before == before
    assert world.status.replacement.uid
    assert world.status.restored is None


def test_once_the_removal_was_asked_for_a_quarantine_comes_too_late() -> None:
    world = World().grant().until(P.TERMINATING)
    world.refused[RemoveMachine] = Outcome(action=REMOVAL, kind=OutcomeKind.DONE)
    world.advance()
    world.quarantines = (make_quarantine(status={"phase": "Isolating"}),)
    world.run(timedelta(seconds=30))
    assert world.status.phase is P.TERMINATING
    del world.nodes[UID]
    world.run()
    assert (world.status.phase, world.status.reason) == (P.SUCCEEDED, "Replaced")


def test_a_removal_that_was_won_but_never_asked_for_gives_way_to_the_evidence() -> None:
    world = World().grant().until(P.TERMINATING)
    world.quarantines = (make_quarantine(status={"phase": "Isolating"}),)
    world.run()
    assert (world.status.phase, world.status.reason) == (P.ABORTED, "SupersededByQuarantine")
    assert UID in world.nodes
    assert not world.actions(RemoveMachine)


# 3. A Rotation of a quarantined UID is requested.


def test_a_rotation_of_a_quarantined_machine_stays_pending() -> None:
    world = World(quarantines=(make_quarantine(status={"phase": "Held"}),))
    step = world.advance()
    assert world.status.phase is P.PENDING
    assert world.blocked() == "Quarantined"
    assert "release" in world.status.blocked.message
    assert step.recheck_after


# 4. Pause; opt-out set.


@pytest.mark.parametrize("phase", [P.REPLACING, P.CORDONED, P.DRAINING, P.DRAINED])
def test_a_pause_stops_every_disruptive_write_and_is_lifted(phase: RotationPhase) -> None:
    world = World().add(pod("web")).grant().until(phase)
    done = len(world.done)
    world.view["hold"] = PAUSE
    world.run(timedelta(minutes=3))
    assert len(world.done) == done
    assert world.status.phase in (phase, P.CORDONED)
    assert world.blocked() in ("Paused", "WaitingForReplacement")
    world.view.clear()
    world.run()
    assert world.status.phase is P.SUCCEEDED


@pytest.mark.parametrize("phase", [P.REPLACING, P.CORDONED, P.DRAINING, P.DRAINED])
def test_an_opt_out_of_the_node_holds_until_it_is_taken_off(phase: RotationPhase) -> None:
    world = World().add(pod("web")).grant().until(phase)
    done = len(world.done)
    world.nodes[UID]["metadata"]["annotations"][marks.DO_NOT_DISRUPT] = "true"
    world.run(timedelta(minutes=3))
    assert len(world.done) == done
    assert world.blocked() in ("OptedOut", "WaitingForReplacement")
    del world.nodes[UID]["metadata"]["annotations"][marks.DO_NOT_DISRUPT]
    world.run()
    assert world.status.phase is P.SUCCEEDED


def test_a_pod_that_opts_out_during_the_drain_holds_the_rest() -> None:
    world = World(settings=frozen(strategy="DrainFirst")).add(
        pod("web"), pod("db", annotations={"karpenter.sh/do-not-disrupt": "true"})
    )
    world.grant().run(timedelta(minutes=2))
    assert not world.actions(EvictPod)
    assert world.blocked() == "PodOptedOut"
    assert "shop/db" in world.status.blocked.message
    assert [one.pod for one in world.status.drain.blocked_by] == ["shop/db"]
    world.pods["uid-db"] = replace(world.pods["uid-db"], annotations={})
    world.run()
    assert world.status.phase is P.SUCCEEDED


# 5. Its resource is deleted by a person.


@pytest.mark.parametrize("phase", [P.REPLACING, P.CORDONED, P.DRAINING, P.DRAINED])
def test_deletion_of_the_rotation_aborts_and_restores_first(phase: RotationPhase) -> None:
    world = World().add(pod("web")).grant().until(phase)
    metadata = world.rotation.metadata.model_copy(update={"deletion_timestamp": world.now})
    world.rotation = world.rotation.model_copy(update={"metadata": metadata})
    world.run()
    assert (world.status.phase, world.status.reason) == (P.ABORTED, "CalledOff")
    assert not world.marked()
    assert UID in world.nodes


@pytest.mark.parametrize("phase", [P.PENDING, P.REPLACING, P.CORDONED, P.DRAINING, P.DRAINED])
def test_spec_abort_counts_until_terminating(phase: RotationPhase) -> None:
    world = World().add(pod("web"))
    if phase is not P.PENDING:
        world.grant().until(phase)
    spec = world.rotation.spec.model_copy(update={"abort": True})
    world.rotation = world.rotation.model_copy(update={"spec": spec})
    world.run()
    assert (world.status.phase, world.status.reason) == (P.ABORTED, "CalledOff")
    assert not world.marked()
    assert [one.status for one in world.status.conditions if one.type == "Succeeded"] == ["False"]


def test_spec_abort_in_terminating_comes_too_late() -> None:
    world = World().grant().until(P.TERMINATING)
    spec = world.rotation.spec.model_copy(update={"abort": True})
    world.rotation = world.rotation.model_copy(update={"spec": spec})
    world.run()
    assert world.status.phase is P.SUCCEEDED


def test_abort_is_not_held_by_a_pause() -> None:
    world = World(settings=frozen(strategy="DrainFirst")).add(pod("web")).grant().until(P.DRAINING)
    world.view["hold"] = PAUSE
    spec = world.rotation.spec.model_copy(update={"abort": True})
    world.rotation = world.rotation.model_copy(update={"spec": spec})
    world.advance()
    assert world.status.phase is P.ABORTED
    assert not world.marked()


def test_a_cordon_of_somebody_else_stays_where_none_of_our_marks_is_left() -> None:
    world = World().add(pod("web", grace_seconds=300)).grant().until(P.DRAINING)
    body = world.nodes[UID]
    del body["spec"]["taints"]
    del body["metadata"]["annotations"][marks.OPERATION_ANNOTATION]
    del body["metadata"]["labels"][marks.STATE_LABEL]
    world.view["wanted"] = False
    world.run()
    assert world.status.phase is P.ABORTED
    assert not world.actions(RestoreInstance)
    assert body["spec"]["unschedulable"]


# 6. Instance gone by another's hand.


def test_gone_while_pending_is_aborted() -> None:
    world = World()
    del world.nodes[UID]
    world.run()
    assert (world.status.phase, world.status.reason) == (P.ABORTED, "InstanceGone")


def test_a_uid_that_no_machine_has_is_named_with_the_one_that_bears_the_name() -> None:
    world = World()
    del world.nodes[UID]
    name = world.rotation.spec.instance.name
    world.view["namesake"] = Instance(name=name, uid="another-uid", born=START)
    world.run()
    assert (world.status.phase, world.status.reason) == (P.ABORTED, "InstanceGone")
    said = world.status.message
    assert UID in said and "another-uid" in said and f"`exuvia rotate {name}`" in said
    (note,) = [one for one in world.notes if one.reason == EventReason.ROTATION_ABORTED]
    assert (note.text, note.warning, note.of_operation) == (said, True, True)


@pytest.mark.parametrize("phase", [P.REPLACING, P.CORDONED, P.DRAINING, P.DRAINED])
def test_gone_by_anothers_hand_ends_well_once_the_replacement_is_good(phase: RotationPhase) -> None:
    world = World().add(pod("web")).grant().until(phase)
    del world.nodes[UID]
    world.advance()
    assert world.status.phase in (P.TERMINATING, P.SUCCEEDED)
    world.run()
    assert (world.status.phase, world.status.reason) == (P.SUCCEEDED, "InstanceGone")
    assert not world.actions(RemoveMachine)
    assert len(world.actions(RequestMachine)) == 1


def test_gone_and_no_replacement_in_time_ends_well_all_the_same() -> None:
    world = World(settings=frozen(strategy="DrainFirst"), provider=NODE_DELETE).grant().until(P.DRAINING)
    del world.nodes[UID]
    world.run(timedelta(minutes=19))
    assert world.status.phase is P.TERMINATING
    world.run(timedelta(minutes=3))
    assert (world.status.phase, world.status.reason) == (P.SUCCEEDED, "InstanceGone")


def test_a_view_that_cannot_be_trusted_says_nothing_of_a_machine_that_it_does_not_show() -> None:
    world = World().grant().until(P.CORDONED)
    world.view |= {"instance": None, "instance_known": False}
    world.advance()
    assert world.status.phase is P.CORDONED
    assert world.blocked() == "Unsynced"


# 7. Same name, new UID.


def test_a_namesake_is_another_instance_and_is_left_alone() -> None:
    world = World().grant().until(P.DRAINING)
    del world.nodes[UID]
    world.add_node("worker-1", "namesake", born=START + timedelta(minutes=2))
    world.add(pod("new", uid="uid-new", created=START + timedelta(minutes=3)))
    world.run()
    assert world.status.reason == "InstanceGone"
    assert "namesake" in world.nodes
    assert not world.actions(EvictPod, RemoveMachine)
    assert not world.marked("namesake")


# 8. Replacement never good.


def test_a_replacement_that_never_becomes_ready_fails_and_is_given_back() -> None:
    world = World(never_ready=True).add(pod("web")).grant().run()
    assert (world.status.phase, world.status.reason) == (P.FAILED, "ReplacementFailed")
    assert list(world.nodes) == [UID]
    assert not world.marked()
    assert [type(one) for one in world.actions()] == [RequestMachine, MarkInstance, RemoveMachine]
    assert not world.actions(EvictPod)
    marked, removed = (at for at, one in world.done if isinstance(one, MarkInstance | RemoveMachine))
    assert removed - marked >= timedelta(seconds=5)


def test_a_replacement_that_fails_a_rule_is_named_with_the_pool() -> None:
    world = World().grant()
    world.failing[f"new-{world.rotation.uid}-0"] = "workers/image"
    world.run()
    assert world.status.reason == "ReplacementFailed"
    assert "brings back what exuvia removes" in world.status.message
    assert "workers/image" in world.status.message


def test_a_replacement_on_which_pods_run_is_kept_and_named() -> None:
    world = World().add(pod("web")).grant().until(P.CORDONED)
    new = next(uid for uid in world.nodes if uid != UID)
    world.add(pod("moved", node=world.nodes[new]["metadata"]["name"]))
    world.view["wanted"] = False
    world.run()
    assert world.status.phase is P.ABORTED
    assert world.status.replacement.surplus
    assert new in world.nodes
    assert not world.marked(new)
    assert [one.reason for one in world.notes].count(EventReason.SURPLUS_INSTANCE) == 1


def test_what_runs_on_it_is_not_known_then_it_is_kept() -> None:
    world = World(never_ready=True, view={"replacement_pods": None}).grant().run()
    assert world.status.reason == "ReplacementFailed"
    assert world.status.replacement.surplus
    assert not world.actions(MarkInstance, RemoveMachine)


def test_the_pools_next_rotation_takes_the_surplus_before_it_asks() -> None:
    former = World().add(pod("web")).grant().until(P.CORDONED)
    new = next(uid for uid in former.nodes if uid != UID)
    former.add(pod("moved", node=former.nodes[new]["metadata"]["name"]))
    former.view["wanted"] = False
    former.run()
    again = make_rotation("worker-1-0e7c1111-2", created=former.now)
    world = World(rotation=again, nodes=former.nodes, pods=former.pods, rotations=(former.rotation,), now=former.now)
    world.launches = former.launches
    world.grant().run()
    assert world.status.phase is P.SUCCEEDED
    assert world.status.replacement.uid == new
    assert not world.actions(RequestMachine)


def test_nobody_refills_the_pool() -> None:
    world = World(settings=frozen(strategy="DrainFirst"), provider=NODE_DELETE).grant().run()
    assert (world.status.phase, world.status.reason) == (P.FAILED, "NoReplacement")


def test_the_same_machine_back_under_a_new_uid_is_no_replacement() -> None:
    world = World(
        settings=frozen(strategy="DrainFirst"),
        provider=NODE_DELETE,
        refill=True,
        launch_facts={"provider_id": f"simulated://{UID}"},
    )
    world.grant().run()
    assert (world.status.phase, world.status.reason) == (P.FAILED, "ReplacementFailed")


def test_on_failure_restore_puts_back_a_persons_own_cordon() -> None:
    world = World(settings=frozen(strategy="DrainFirst", drain={"timeout": "10m"})).add(pod("db", owner=None))
    world.nodes[UID]["spec"]["unschedulable"] = True
    world.grant().run()
    assert (world.status.phase, world.status.reason) == (P.FAILED, "DrainTimeout")
    node = world.node()
    assert node is not None
    assert node.unschedulable
    assert not world.marked()
    assert marks.STATE_LABEL not in node.labels


def test_on_failure_hold_leaves_the_cordon_for_a_person_and_says_so() -> None:
    settings = frozen(strategy="DrainFirst", on_failure="Hold", drain={"timeout": "10m"})
    world = World(settings=settings).add(pod("db", owner=None)).grant().run()
    assert world.status.reason == "DrainTimeout"
    assert world.marked()
    assert not world.actions(RestoreInstance)
    assert "left cordoned" in world.status.message


def test_the_next_rotation_of_a_machine_on_hold_remembers_what_was_there_before_the_first() -> None:
    settings = frozen(strategy="DrainFirst", on_failure="Hold", drain={"timeout": "10m"})
    first = World(settings=settings).add(pod("db", owner=None)).grant().run()
    again = make_rotation("worker-1-0e7c1111-2", created=first.now)
    world = World(rotation=again, nodes=first.nodes, pods=first.pods, rotations=(first.rotation,), now=first.now)
    world.settings = frozen(strategy="DrainFirst", drain={"timeout": "10m"})
    world.grant().run()
    node = world.node()
    assert node is not None
    assert not node.unschedulable
    assert not world.marked()


# And: duplicates, the ledger.


def test_of_two_open_rotations_the_older_stays() -> None:
    older = make_rotation("worker-1-0e7c1111-0", created=START - timedelta(minutes=1))
    world = World(rotations=(older,)).run()
    assert (world.status.phase, world.status.reason) == (P.ABORTED, "Duplicate")
    other = World(rotation=older, rotations=(make_rotation(),)).grant().run()
    assert other.status.phase is P.SUCCEEDED


@pytest.mark.parametrize("by_policy", [True, False])
def test_one_that_waits_gives_way_to_one_that_carries_out_a_release(by_policy: bool) -> None:
    held = make_quarantine(
        status={"phase": "Held", "releaseAccepted": {"by": "alice", "verdict": "Rotate"}, "releaseRotation": "r-2"}
    )
    waits = make_rotation("r-1", created=START - timedelta(hours=1), spec={} if by_policy else {"policy": None})
    carries = make_rotation("r-2", spec={"releasedFrom": held.name})
    world = World(rotation=waits, rotations=(carries,), quarantines=(held,)).run()
    assert (world.status.phase, world.status.reason) == (P.ABORTED, "Duplicate")
    assert "r-2 of the same machine carries out the release" in world.status.message
    other = World(rotation=carries, rotations=(waits,), quarantines=(held,)).grant().run()
    assert other.status.phase is P.SUCCEEDED


def test_a_bare_claim_to_carry_out_a_release_displaces_nothing() -> None:
    held = make_quarantine(status={"phase": "Held"})
    older = make_rotation("r-1", created=START - timedelta(hours=1))
    claim = make_rotation("r-2", spec={"releasedFrom": held.name})
    world = World(rotation=claim, rotations=(older,), quarantines=(held,)).run()
    assert (world.status.phase, world.status.reason) == (P.ABORTED, "Duplicate")
    other = World(rotation=older, rotations=(claim,), quarantines=(held,))
    other.advance()
    assert (other.status.phase, other.blocked()) == (P.PENDING, "Quarantined")


def test_one_that_has_started_does_not_give_way_to_a_release() -> None:
    held = make_quarantine(status={"phase": "Held", "releaseRotation": "r-2"})
    started = make_rotation("r-1", created=START - timedelta(hours=1), status={"phase": "Terminating"})
    carries = make_rotation("r-2", spec={"releasedFrom": held.name})
    world = World(rotation=carries, rotations=(started,), quarantines=(held,)).run()
    assert (world.status.phase, world.status.reason) == (P.ABORTED, "Duplicate")


def test_the_ledger_is_down_so_only_abort_and_restore_go_on() -> None:
    world = World(settings=frozen(strategy="DrainFirst")).add(pod("web")).grant().until(P.DRAINING)
    done = len(world.done)
    world.view["ledger_down"] = True
    world.run(timedelta(minutes=5))
    assert len(world.done) == done
    assert world.blocked() == "LedgerDown"
    world.view["wanted"] = False
    world.run()
    assert world.status.phase is P.ABORTED
    assert not world.marked()
