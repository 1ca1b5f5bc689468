"""The drain of a real machine: P1, P8, P10, P11 of the contract, time limits, pauses, budgets, volumes, Force."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest

from exuvia.decide.rotation import marking
from exuvia.model import marks
from exuvia.model.actions import DeletePod, EvictPod, MarkInstance, Outcome, OutcomeKind, RemoveMachine
from exuvia.model.blocking import Blocked
from exuvia.model.pods import AttachedVolume, Pod, Toleration
from exuvia.model.quarantine_views import OwnPlace
from exuvia.model.reasons import BlockedReason, EventReason
from exuvia.model.specs.rotation import RotationPhase
from exuvia.model.steps import Look
from tests.decide.rotation.world import PAUSE, UID, World, budget, daemon_pod, frozen, pod

P = RotationPhase
FORCE = {"timeout": "10m", "on_timeout": "Force"}


def drain_first(**drain: object) -> World:
    """A world whose machine is drained at once."""
    return World(settings=frozen(strategy="DrainFirst", drain=drain))


def test_p1_cordon_taint_and_load_balancer_label_come_in_one_patch_before_the_first_eviction() -> None:
    world = drain_first().add(pod("web")).grant().run()
    kinds = [type(one) for one in world.actions()]
    assert kinds[:2] == [MarkInstance, EvictPod]
    assert kinds.count(MarkInstance) == 1


def test_p1_marks_that_are_missing_are_put_back_before_the_next_eviction() -> None:
    world = drain_first().add(pod("web", grace_seconds=60), pod("late", labels={"app": "late"})).grant()
    world.until(P.DRAINING)
    world.nodes[UID]["spec"].pop("unschedulable")
    world.advance()
    kinds = [type(one) for one in world.actions()]
    assert kinds[:3] == [MarkInstance, MarkInstance, EvictPod]
    assert world.node().unschedulable  # type: ignore[union-attr]


@pytest.mark.parametrize("look", [Look.PODS, Look.NODE])
def test_p8_a_failed_read_does_nothing_and_says_so(look: Look) -> None:
    world = drain_first().add(pod("web")).grant().until(P.DRAINING)
    done = len(world.done)
    world.unreadable = {look: "timed out"}
    world.run(timedelta(minutes=2))
    assert len(world.done) == done
    assert world.status.phase is P.DRAINING
    assert world.blocked() == "Unsynced"
    assert "timed out" in world.status.blocked.message


def test_p8_an_unreadable_list_never_passes_for_an_empty_one() -> None:
    world = drain_first().grant().until(P.DRAINING)
    world.unreadable = {Look.PODS: "timed out"}
    world.run(timedelta(minutes=2))
    assert world.status.phase is P.DRAINING


def test_p10_volumes_are_waited_for_and_named() -> None:
    world = drain_first(volume_detach_timeout="2m").add(pod("db")).grant().until(P.DRAINING)
    world.volumes = (AttachedVolume(name="pv-1", claim="shop/data"),)
    world.run(timedelta(minutes=1))
    assert world.status.phase is P.DRAINING
    assert world.blocked() == "VolumeAttached"
    assert "pv-1" in world.status.blocked.message
    world.run(timedelta(minutes=3))
    assert world.status.phase.rank > P.DRAINING.rank


@pytest.mark.parametrize(
    "stays",
    [
        daemon_pod(claims=("cache",)),
        pod("static", mirror=True, namespace="kube-system", claims=("cache",)),
        pod("kept", labels={"exuvia.dev/drain": "skip"}, namespace="kube-system", claims=("cache",)),
    ],
    ids=["daemon set", "mirror", "skipped"],
)
def test_p10_volumes_of_pods_that_stay_are_not_waited_for(stays: Pod) -> None:
    world = drain_first().add(pod("db"), stays).grant().until(P.DRAINING)
    world.volumes = (AttachedVolume(name="pv-2", claim="kube-system/cache"),)
    world.run(timedelta(seconds=30))
    assert world.status.phase.rank > P.DRAINING.rank


def test_p10_of_several_volumes_only_those_left_behind_are_waited_for() -> None:
    world = drain_first().add(pod("db"), daemon_pod(claims=("cache",)), pod("done", phase="Succeeded", claims=("old",)))
    world.grant().until(P.DRAINING)
    world.volumes = (
        AttachedVolume(name="pv-2", claim="kube-system/cache"),
        AttachedVolume(name="pv-3", claim="shop/cache"),
        AttachedVolume(name="pv-4", claim="shop/old"),
        AttachedVolume(name="pv-5"),
    )
    world.run(timedelta(seconds=30))
    assert world.blocked() == "VolumeAttached"
    assert world.status.blocked.message.endswith("still attached: pv-3, pv-4, pv-5"), "also what is not known"


def test_p10_volumes_that_are_detached_are_not_waited_for() -> None:
    world = drain_first().add(pod("db")).grant().until(P.DRAINING)
    world.volumes = (AttachedVolume(name="pv-1", claim="shop/data"),)
    world.run(timedelta(seconds=30))
    world.volumes = ()
    world.run(timedelta(seconds=10))
    assert world.status.phase.rank > P.DRAINING.rank


def test_an_unreachable_machine_has_no_volume_wait() -> None:
    world = drain_first().add(pod("db")).grant().until(P.DRAINING)
    world.nodes[UID]["status"]["conditions"][0]["status"] = "Unknown"
    world.volumes = (AttachedVolume(name="pv-1", claim="shop/data"),)
    world.run(timedelta(minutes=1))
    assert world.status.phase.rank > P.DRAINING.rank
    assert [one.grace for one in world.actions(EvictPod)] == [timedelta(seconds=1)]  # type: ignore[union-attr]


def test_p11_abort_undoes_exactly_what_was_set() -> None:
    world = drain_first().add(pod("web", grace_seconds=300))
    body = world.nodes[UID]
    body["metadata"]["labels"][marks.EXCLUDE_LOAD_BALANCERS_LABEL] = "mine"
    body["spec"]["taints"] = [{"key": "gpu", "effect": "NoSchedule"}]
    before = world.node()
    world.grant().until(P.DRAINING)
    world.view["wanted"] = False
    world.run()
    after = world.node()
    assert before is not None
    assert after is not None
    assert (after.labels, after.taints, after.unschedulable) == (before.labels, before.taints, before.unschedulable)
    assert after.annotations == before.annotations
    assert world.status.restored


def test_what_somebody_else_put_on_meanwhile_stays() -> None:
    world = drain_first().add(pod("web", grace_seconds=300)).grant().until(P.DRAINING)
    world.nodes[UID]["spec"]["taints"].append({"key": "maintenance", "effect": "NoExecute"})
    world.view["wanted"] = False
    world.run()
    assert [one.key for one in world.node().taints] == ["maintenance"]  # type: ignore[union-attr]


# Budgets.


def test_a_budget_holds_the_drain_until_it_may_go_and_is_named() -> None:
    world = drain_first().add(pod("web"), pod("cart"))
    world.budgets = (budget("cart", "cart"),)
    world.grant().run(timedelta(minutes=3))
    assert world.status.phase is P.DRAINING
    assert world.blocked() == "PDB"
    assert "shop/cart" in world.status.blocked.message
    (entry,) = world.status.drain.blocked_by
    assert (entry.pod, entry.pdb, entry.needs, entry.has) == ("shop/cart", "shop/cart", 2, 2)
    assert world.status.drain.remaining == 1
    assert [one.pod.name for one in world.actions(EvictPod)][:2] == ["cart", "web"]  # type: ignore[union-attr]
    world.budgets = (budget("cart", "cart", allowed=1),)
    world.run()
    assert world.status.phase is P.SUCCEEDED
    assert world.status.drain.blocked_by == ()


def test_the_events_of_a_budget_fold_into_one_series() -> None:
    world = drain_first().add(pod("cart"))
    world.budgets = (budget("cart", "cart"),)
    world.grant().run(timedelta(minutes=20))
    notes = [one for one in world.notes if one.reason is EventReason.DRAIN_BLOCKED]
    assert len({one.text for one in notes}) == 1
    assert not any(char.isdigit() for char in notes[0].text.replace("worker-1", ""))


def test_a_refused_pod_is_asked_again_no_oftener_than_every_10_s() -> None:
    world = drain_first(timeout="30m").add(pod("cart"))
    world.budgets = (budget("cart", "cart"),)
    world.grant().run(timedelta(minutes=10), pace=timedelta(seconds=1))
    moments = [at for at, one in world.done if isinstance(one, EvictPod)]
    assert len(moments) > 5
    assert all(b - a >= timedelta(seconds=10) for a, b in itertools.pairwise(moments))


# Time limits.


def test_a_drain_that_takes_too_long_fails_restores_and_names_what_held_it() -> None:
    world = drain_first(timeout="10m").add(pod("cart"))
    world.budgets = (budget("cart", "cart"),)
    world.grant().run()
    assert (world.status.phase, world.status.reason) == (P.FAILED, "DrainTimeout")
    assert "shop/cart" in world.status.message
    assert not world.marked()
    assert UID in world.nodes


@pytest.mark.parametrize(("number", "said"), [(1, "1 pod is"), (2, "2 pods are")])
def test_a_drain_that_ends_before_its_pods_do_says_how_many_are_left(number: int, said: str) -> None:
    world = drain_first(timeout="10m").add(*(pod(f"slow-{n}", grace_seconds=3600) for n in range(number)))
    world.grant().run(timedelta(minutes=30))
    assert world.status.message.endswith(f"was not drained in time: {said} still there")


def test_paused_time_does_not_count() -> None:
    world = drain_first(timeout="10m").add(pod("cart"))
    world.budgets = (budget("cart", "cart"),)
    world.grant().run(timedelta(minutes=5))
    world.view["hold"] = PAUSE
    world.run(timedelta(minutes=30))
    assert world.status.phase is P.DRAINING
    assert world.status.drain.paused_since is not None
    world.view.clear()
    world.run(timedelta(minutes=4))
    assert world.status.phase is P.DRAINING
    assert world.status.drain.paused_seconds >= 29 * 60
    world.run(timedelta(minutes=2))
    assert world.status.reason == "DrainTimeout"


def test_a_storm_holds_evictions_and_removal_of_open_ones() -> None:
    storm = Blocked(reason=BlockedReason.STORM, message="7 of 12 machines are unhealthy")
    world = drain_first().add(pod("web")).grant()
    world.view["eviction_hold"] = storm
    world.run(timedelta(minutes=5))
    assert world.status.phase is P.DRAINING
    assert [type(one) for one in world.actions()] == [MarkInstance]
    assert world.blocked() == "Storm"
    world.view.clear()
    world.until(P.DRAINED)
    world.view["eviction_hold"] = storm
    world.run(timedelta(minutes=5))
    assert world.status.phase is P.DRAINED
    assert not world.actions(RemoveMachine)


def test_the_control_plane_brake_holds_the_removal_only() -> None:
    world = drain_first().add(pod("web")).grant()
    world.view["removal_hold"] = Blocked(reason=BlockedReason.CONTROL_PLANE, message="another one is not healthy")
    world.run(timedelta(minutes=5))
    assert world.status.phase is P.DRAINED
    assert world.blocked() == "ControlPlane"
    world.view.clear()
    world.run()
    assert world.status.phase is P.SUCCEEDED


# Force.


def test_force_deletes_at_the_time_limit_what_a_budget_holds_and_goes_on() -> None:
    world = drain_first(**FORCE).add(pod("cart", grace_seconds=30))
    world.budgets = (budget("cart", "cart"),)
    world.grant().run()
    assert world.status.phase is P.SUCCEEDED
    (delete,) = world.actions(DeletePod)
    assert isinstance(delete, DeletePod)
    assert timedelta(seconds=1) <= delete.grace <= timedelta(seconds=30)
    assert world.status.drain.forced == ("shop/cart: deleted at the time limit, past PodDisruptionBudget shop/cart",)
    assert any("time limit" in one.text for one in world.notes)


def test_force_passes_a_pods_opt_out_but_only_after_an_eviction_was_tried() -> None:
    world = drain_first(**FORCE).add(pod("db", annotations={marks.DO_NOT_DISRUPT: "true"}))
    world.grant().run()
    assert world.status.phase is P.SUCCEEDED
    assert isinstance(world.actions(EvictPod, DeletePod)[0], EvictPod)


def test_force_does_not_pass_an_opt_out_of_the_node() -> None:
    world = drain_first(**FORCE).add(pod("web")).grant().until(P.DRAINING)
    world.nodes[UID]["metadata"]["annotations"][marks.DO_NOT_DISRUPT] = "true"
    world.run(timedelta(hours=2))
    assert world.status.phase is P.DRAINING
    assert not world.actions(EvictPod, DeletePod)
    assert world.blocked() == "OptedOut"


def test_what_even_force_may_not_pass_ends_as_a_time_out() -> None:
    world = drain_first(**FORCE).add(pod("bare", owner=None)).grant().run()
    assert (world.status.phase, world.status.reason) == (P.FAILED, "DrainTimeout")
    assert not world.actions(EvictPod, DeletePod)
    assert "unmanagedPods" in world.status.message


def test_force_gives_up_on_a_pod_that_does_not_end() -> None:
    world = drain_first(**FORCE).add(pod("stuck", labels={"stuck": ""})).grant().run()
    assert (world.status.phase, world.status.reason) == (P.FAILED, "DrainTimeout")


# The last look before the removal.


def test_marks_taken_off_before_the_removal_are_put_back_and_the_settle_time_starts_anew() -> None:
    world = drain_first().add(pod("web")).grant().until(P.DRAINED)
    world.nodes[UID]["spec"].pop("taints")
    world.add(pod("late", created=world.now))
    world.advance()
    assert world.status.phase is P.DRAINED
    assert world.marked()
    assert world.status.drain.cordoned_at == world.now.replace(microsecond=0)
    world.run()
    assert [one.pod.name for one in world.actions(EvictPod)] == ["web", "late"]  # type: ignore[union-attr]
    assert world.status.phase is P.SUCCEEDED
    assert not world.lost


def test_a_pod_that_came_after_drained_is_evicted_and_the_phase_stays() -> None:
    world = drain_first().add(pod("web")).grant().until(P.DRAINED)
    world.add(pod("late"))
    world.advance()
    assert world.status.phase is P.DRAINED
    assert [one.pod.name for one in world.actions(EvictPod)] == ["web", "late"]  # type: ignore[union-attr]
    world.run()
    assert world.status.phase is P.SUCCEEDED
    assert not world.lost


def test_daemon_set_pods_and_those_that_tolerate_the_taint_ride_along() -> None:
    rider = pod("rider", tolerations=(Toleration(key=marks.ROTATING_TAINT, operator="Exists"),))
    world = drain_first().add(daemon_pod(), rider).grant().run()
    assert world.status.phase is P.SUCCEEDED
    assert not world.actions(EvictPod)


def test_one_that_tolerates_everything_is_evicted_once_and_its_successor_rides_along() -> None:
    world = drain_first().add(pod("cni", tolerations=(Toleration(operator="Exists"),))).grant().until(P.DRAINING)
    world.advance()
    world.tick(10)
    world.add(pod("cni-2", tolerations=(Toleration(operator="Exists"),), created=world.now))
    world.run()
    assert [one.pod.name for one in world.actions(EvictPod)] == ["cni"]  # type: ignore[union-attr]
    assert world.status.phase is P.SUCCEEDED


# exuvia's own machine.


def test_its_own_pod_is_evicted_last() -> None:
    world = drain_first().add(pod("web"), pod("me", namespace="exuvia-system")).grant()
    world.view["own"] = OwnPlace(pod_uid="uid-me", node_name="worker-1")
    world.run()
    assert [one.pod.name for one in world.actions(EvictPod)] == ["web", "me"]  # type: ignore[union-attr]


def test_leadership_is_handed_over_before_its_own_pod_goes_where_somebody_stands_by() -> None:
    world = drain_first().add(pod("me", namespace="exuvia-system")).grant()
    world.view |= {"own": OwnPlace(pod_uid="uid-me", node_name="worker-1"), "standby": True}
    step = world.advance()
    assert step.name == "HandingOver"
    assert not world.actions(EvictPod)
    world.run(timedelta(minutes=2))
    assert world.actions(EvictPod)


def test_a_ledger_that_ties_it_there_holds_before_anything_is_marked() -> None:
    world = drain_first().grant()
    own = OwnPlace(pod_uid="uid-me", node_name="worker-1", pinned="volume exuvia-data")
    world.view["own"] = own
    world.run(timedelta(minutes=5))
    assert world.blocked() == "SelfPinned"
    assert "exuvia-data" in world.status.blocked.message
    assert not world.actions()


# Answers that are no "yes".


def test_a_refused_mark_is_tried_again_and_said() -> None:
    world = drain_first().grant()
    world.refused[MarkInstance] = Outcome(
        action=marking.mark(world.gather()), kind=OutcomeKind.REFUSED, code=403, reason="Forbidden", message="no"
    )
    world.advance()
    assert world.status.phase is P.CORDONED
    assert world.blocked() == "Forbidden"
    assert len(world.actions()) == 1
    world.refused.clear()
    world.run()
    assert world.status.phase is P.SUCCEEDED


def test_a_pod_of_another_order_waits_until_the_first_is_gone() -> None:
    rules = [{"name": "late", "selector": {"matchLabels": {"app": "late"}}, "behavior": "Drain", "order": 5}]
    world = drain_first(pod_rules=rules).add(pod("late"), pod("web", grace_seconds=60)).grant()
    world.until(P.DRAINING)
    world.advance()
    world.tick(30).advance()
    assert [one.pod.name for one in world.actions(EvictPod)] == ["web"]  # type: ignore[union-attr]
    world.run()
    assert [one.pod.name for one in world.actions(EvictPod)] == ["web", "late"]  # type: ignore[union-attr]


def test_a_pod_that_vanished_by_itself_is_not_missed() -> None:
    world = drain_first().add(pod("cart"))
    world.budgets = (budget("cart", "cart"),)
    world.grant().run(timedelta(minutes=1))
    del world.pods["uid-cart"]
    world.run()
    assert world.status.phase is P.SUCCEEDED
    assert world.status.drain.remaining == 0


def test_a_finished_job_lets_the_drain_go_on() -> None:
    rules = [{"name": "batch", "selector": {"matchLabels": {"app": "job"}}, "behavior": "WaitCompleted"}]
    world = drain_first(pod_rules=rules).add(pod("job")).grant().run(timedelta(minutes=5))
    assert world.blocked() == "PodStuck"
    world.pods["uid-job"] = replace(world.pods["uid-job"], phase="Succeeded")
    world.run()
    assert world.status.phase is P.SUCCEEDED
    assert not world.actions(EvictPod)
