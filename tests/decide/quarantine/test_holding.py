"""Held: pods that may leave, namespaces that open, the hold time, and a deletion that is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from exuvia.model import marks
from exuvia.model.actions import AllowNetwork, EvictPod, Outcome, OutcomeKind
from exuvia.model.blocking import Blocked
from exuvia.model.reasons import EventReason

from .world import NOW, PAUSED, STORM, World, condition, pod, quarantine, refusal, release, settings

POLICY = {"name": "workers", "uid": "policy-uid", "generation": 3}
WEEK = timedelta(hours=168)


def _evicted(world: World) -> list[str]:
    return [one.pod.name for one in world.done if isinstance(one, EvictPod)]


def test_once_sealed_pods_of_stateful_sets_and_jobs_leave() -> None:
    world = World().add(pod("cart"), pod("db", "StatefulSet"), pod("job", "Job"), pod("log", "DaemonSet"), pod("x", ""))
    world.grant().settle()
    assert not _evicted(world)
    world.held().settle()
    assert sorted(_evicted(world)) == ["db", "job"]
    world.tick().settle()
    assert world.status.drain is None
    assert not world.lost


def test_evict_lets_all_but_daemon_sets_leave_critical_ones_last() -> None:
    critical = pod("dns", priority_class="system-cluster-critical")
    world = World().add(pod("cart"), critical, pod("x", ""), pod("log", "DaemonSet"))
    world.grant(settings(workloads="Evict")).held().settle()
    assert sorted(_evicted(world)) == ["cart", "x"]
    world.tick().settle()
    assert _evicted(world)[-1] == "dns"
    assert sorted(world.pods) == ["uid-dns", "uid-log"]


@pytest.mark.parametrize(("field", "hold"), [("hold", PAUSED), ("eviction_hold", STORM)])
def test_a_brake_holds_evictions_and_is_said(field: str, hold: Blocked) -> None:
    world = World().add(pod("db", "StatefulSet")).grant()
    world.settle()
    setattr(world, field, hold)
    world.held().settle()
    assert not _evicted(world)
    assert world.status.blocked.reason == hold.reason
    assert hold.message in world.status.blocked.message
    setattr(world, field, None)
    world.settle()
    assert _evicted(world) == ["db"]
    assert world.status.blocked is None


def test_a_budget_that_forbids_is_named_with_what_it_needs() -> None:
    detail = {"pdb": "shop/db", "needs": "2", "has": "2"}
    no = refusal(EvictPod, "PDB", "PDB shop/db allows 0 disruptions", detail=detail, retry_after=timedelta(seconds=40))
    world = World(refuse=no).add(pod("db", "StatefulSet")).held()
    world.settle()
    held = world.status.drain.blocked_by[0]
    assert (held.pod, held.reason, held.pdb, held.needs, held.has, held.since) == (
        "shop/db",
        "PDB",
        "shop/db",
        2,
        2,
        world.now,
    )
    assert world.status.blocked.reason == "PDB"
    assert world.status.blocked.next == world.now + timedelta(seconds=40)
    since = world.now
    steps = len(world.steps)
    world.tick(timedelta(seconds=39)).settle()
    assert "Evicting" not in [one.name for one in world.steps[steps:]]
    world.tick(timedelta(seconds=1)).settle()
    assert "Evicting" in [one.name for one in world.steps[steps:]]
    assert world.status.drain.blocked_by[0].since == since
    world.refuse = lambda action: None
    world.tick(timedelta(seconds=41)).settle()
    world.tick().settle()
    assert "uid-db" not in world.pods
    assert world.status.drain is None
    assert world.status.blocked is None


def test_one_blocked_pod_does_not_hold_back_its_peers() -> None:
    def no(action: object) -> Outcome | None:
        if isinstance(action, EvictPod) and action.pod.name == "db":
            return Outcome(action=action, kind=OutcomeKind.REFUSED, reason="PDB", message="PDB shop/db")
        return None

    world = World(refuse=no).add(pod("db", "StatefulSet"), pod("job", "Job")).held()
    world.settle()
    assert _evicted(world) == ["job"]


def test_a_namespace_opens_after_its_last_pod() -> None:
    world = World().add(pod("cart"), pod("job", "Job", namespace="batch")).held()
    world.settle()
    assert {one.namespace for one in world.policies} == {"shop", "batch"}
    world.tick().settle()
    world.tick().settle()
    assert {one.namespace for one in world.policies} == {"shop"}
    assert world.status.namespaces == ("shop",)
    assert [one.namespace for one in world.done if isinstance(one, AllowNetwork)] == ["batch"]


def test_other_controllers_are_judged_by_what_our_marks_mean_to_them() -> None:
    world = World(controllers=("karpenter", "my-reaper")).held()
    world.settle()
    assert {one.controller: one.state for one in world.status.protection} == {
        "karpenter": "Protected",
        "my-reaper": "Unprotected",
    }


def test_after_the_hold_time_a_person_is_reminded_once_a_day() -> None:
    world = World().held()
    for hours in (0, 1, 23, 24, 47, 49):
        world.now = NOW + WEEK + timedelta(hours=hours, minutes=5)
        world.settle()
    reminders = [one for one in world.notes if one.reason is EventReason.QUARANTINE_HOLD_EXPIRING]
    assert len(reminders) == 3
    assert world.quarantine.name in reminders[0].text
    assert not world.rotations


def test_the_recheck_falls_on_the_end_of_the_hold_time() -> None:
    world = World().held()
    world.live(lambda one: one.status.capacity.state == "Replaced")
    world.now = world.status.held_since + WEEK - timedelta(seconds=90)
    assert world.settle().recheck_after == timedelta(seconds=90)


def test_it_rotates_by_itself_only_while_its_policy_enforces() -> None:
    for enforces, rotations in ((True, 1), (False, 0)):
        world = World(quarantine=quarantine(policy=POLICY), policy_enforces=enforces)
        world.grant(settings(onHoldExpired="Rotate")).held()
        world.now += WEEK
        world.settle()
        assert len(world.rotations) == rotations
        assert world.quarantine.open


def test_it_does_not_rotate_by_itself_before_it_is_sealed() -> None:
    world = World(quarantine=quarantine(policy=POLICY), policy_enforces=True, missing="logs: refused")
    world.grant(settings(onHoldExpired="Rotate")).live(lambda one: str(one.status.phase) == "Held")
    world.now += WEEK
    world.settle()
    assert not world.rotations
    assert EventReason.QUARANTINE_HOLD_EXPIRING in [one.reason for one in world.notes]


def test_its_deletion_is_refused_until_released_and_said_once() -> None:
    world = World().held()
    body = world.quarantine.metadata.model_copy(update={"deletion_timestamp": world.now})
    world.quarantine = world.quarantine.model_copy(update={"metadata": body})
    world.settle()
    world.settle()
    assert world.quarantine.open
    assert world.status.blocked.reason == "Quarantined"
    assert sum("refused" in one.text for one in world.notes) == 1
    world.write(release=release()).live()
    assert world.status.reason == "Released"


def test_finished_pods_are_no_concern() -> None:
    world = World().add(pod("job", "Job")).grant()
    world.settle()
    world.pods["uid-job"] = replace(world.pods["uid-job"], phase="Succeeded")
    world.held().settle()
    assert not _evicted(world)


def test_what_does_not_stick_is_told_once() -> None:
    world = World().add(pod("db", "StatefulSet")).held()
    world.settle()
    before = world.quarantine
    world.settle()
    assert world.quarantine == before
    assert condition(world, "InstancePresent") == ("True", "Present")
    assert world.node is not None
    assert world.node.labels[marks.STATE_LABEL] == "quarantined"
