"""The drain contract, P2 to P14, one by one (safety.md). P1, P10 and P11 need a machine: see the Rotation's tests."""

from __future__ import annotations

from datetime import timedelta

import pytest

from exuvia.decide import drain
from exuvia.decide.drain import Lot, judge, plan
from exuvia.model import marks
from exuvia.model.actions import EvictPod, Outcome, OutcomeKind, PodTarget
from exuvia.model.pods import Toleration
from exuvia.model.quarantine_views import OwnPlace
from exuvia.model.reasons import BlockedReason
from exuvia.model.specs.security_policy import DrainSettings
from tests.decide.drain.builders import (
    DAEMON_SET,
    EVERYTHING,
    NOW,
    TAINTED,
    asked,
    budget,
    names,
    pod,
    refused,
    rule,
    situation,
)

BLOCK = {"empty_dir_pods": "Block"}


# P2: the pre-check is all or nothing.


@pytest.mark.parametrize(
    ("held", "settings", "reason"),
    [
        (pod("bare", owner=None), {}, "UnmanagedPod"),
        (pod("cache", empty_dir=True), BLOCK, "EmptyDirPod"),
        (pod("db", annotations={marks.DO_NOT_DISRUPT: "true"}), {}, "PodOptedOut"),
        (pod("db", annotations={marks.SAFE_TO_EVICT: "false"}), {}, "PodOptedOut"),
    ],
)
def test_p2_one_pod_that_may_not_be_evicted_holds_all(held, settings, reason) -> None:  # type: ignore[no-untyped-def]
    found = plan([pod("web"), held, pod("cart")], situation(**settings), (), NOW)
    assert found.actions == ()
    assert found.remaining == 3
    assert found.blocked is not None
    assert found.blocked.reason == reason
    assert held.key in found.blocked.message


# P3: only the Eviction API, with UID.


def test_p3_evictions_carry_the_uid_and_leave_the_grace_to_the_pod() -> None:
    found = plan([pod("web")], situation(), (), NOW)
    assert found.actions == (EvictPod(pod=PodTarget(namespace="shop", name="web", uid="uid-web"), grace=None),)


@pytest.mark.parametrize(("seconds", "grace"), [(-1, None), (20, 20), (0, 1)])
def test_p3_the_grace_of_the_settings_is_never_below_a_second(seconds: int, grace: int | None) -> None:
    action = plan([pod("web")], situation(grace_period_seconds=seconds), (), NOW).actions[0]
    assert action.grace == (None if grace is None else timedelta(seconds=grace))


# P4: what is left alone.


@pytest.mark.parametrize(
    "one",
    [
        pod("mirror", mirror=True, owner=None),
        pod("static", owned_by_node=True, owner=None),
        pod("done", phase="Succeeded", owner=None),
        pod("crashed", phase="Failed", annotations={marks.DO_NOT_DISRUPT: "true"}),
        pod("agent", owner=DAEMON_SET),
    ],
)
def test_p4_is_left_alone(one) -> None:  # type: ignore[no-untyped-def]
    found = plan([one, pod("web")], situation(), (), NOW)
    assert names(found) == ["web"]
    assert found.remaining == 1


@pytest.mark.parametrize(("there", "lot"), [(True, Lot.LEFT_ALONE), (None, Lot.LEFT_ALONE), (False, Lot.HELD)])
def test_p4_a_missing_daemon_set_makes_an_orphan_and_a_failed_look_up_does_not(there: bool | None, lot: Lot) -> None:
    one = pod("agent", owner=DAEMON_SET)
    assert judge(one, situation(daemon_sets={("shop", "agent"): there}), NOW).lot is lot
    evicting = situation(daemon_sets={("shop", "agent"): there}, unmanaged_pods="Evict")
    assert (judge(one, evicting, NOW).lot is Lot.EVICT) is (there is False)


# P5: knobs.


def test_p5_unmanaged_and_empty_dir_pods_follow_their_knobs() -> None:
    assert asked(pod("bare", owner=None), unmanaged_pods="Evict") == ["bare"]
    assert asked(pod("bare", owner=None)) == []
    assert asked(pod("cache", empty_dir=True)) == ["cache"]
    assert asked(pod("cache", empty_dir=True), empty_dir_pods="Block") == []


# P6: rules.


def test_p6_the_first_rule_by_name_holds() -> None:
    rules = (rule("b-wait", "WaitCompleted", app="job"), rule("a-skip", "Skip", app="job"))
    assert judge(pod("job"), situation(pod_rules=rules), NOW).lot is Lot.LEFT_ALONE


def test_p6_orders_go_strictly_one_after_the_other() -> None:
    rules = (rule("late", "Drain", 10, app="late"), rule("early", "Drain", -10, app="early"))
    pods = [pod("late"), pod("web"), pod("early")]
    assert asked(*pods, pod_rules=rules) == ["early"]
    leaving = pod("early", deleting_since=NOW, deletion_deadline=NOW + timedelta(seconds=30))
    assert asked(pods[0], pods[1], leaving, pod_rules=rules) == []
    assert asked(pods[0], pods[1], pod_rules=rules) == ["web"]
    assert asked(pods[0], pod_rules=rules) == ["late"]


def test_p6_wait_completed_is_waited_for_and_named() -> None:
    found = plan([pod("job")], situation(pod_rules=(rule("batch", "WaitCompleted", app="job"),)), (), NOW)
    assert found.actions == ()
    assert not found.done
    assert found.blocked is not None
    assert "shop/job is waited for until it has completed (pod rule batch)" in found.blocked.message
    finished = plan([pod("job", phase="Succeeded")], situation(), (), NOW)
    assert finished.done


def test_p6_wait_completed_pods_are_no_matter_of_knobs_and_opt_outs() -> None:
    one = pod("job", owner=None, annotations={marks.DO_NOT_DISRUPT: "true"})
    rules = (rule("batch", "WaitCompleted", 5, app="job"),)
    assert asked(one, pod("web"), pod_rules=rules) == ["web"]


def test_p6_an_unknown_behaviour_in_a_rule_stops_the_whole_machine() -> None:
    found = plan([pod("web")], situation(pod_rules=(rule("odd", "Explode", app="none"),)), (), NOW)
    assert found.actions == ()
    assert found.blocked is not None
    assert found.blocked.reason is BlockedReason.POD_RULE_INVALID
    assert "odd" in found.blocked.message
    assert "Explode" in found.blocked.message


@pytest.mark.parametrize("key", marks.POD_DRAIN_LABELS)
def test_p6_a_pods_own_label_says_the_same_and_an_unknown_one_is_a_warning(key: str) -> None:
    assert judge(pod("a", labels={key: "skip"}), situation(), NOW).lot is Lot.LEFT_ALONE
    assert judge(pod("a", labels={key: "wait-completed"}), situation(), NOW).lot is Lot.WAIT
    found = plan([pod("a", labels={key: "explode"})], situation(), (), NOW)
    assert names(found) == ["a"]
    assert key in found.warnings[0]


# P7: answers.


def _answer(code: int, reason: str = "", *, name: str = "web", after: float | None = None, **detail: str) -> Outcome:
    action = EvictPod(pod=PodTarget(namespace="shop", name=name, uid=f"uid-{name}"))
    wait = None if after is None else timedelta(seconds=after)
    return Outcome(
        action=action, kind=OutcomeKind.REFUSED, code=code, reason=reason, retry_after=wait, detail=detail, message="no"
    )


def test_p7_a_429_names_the_budget_with_needs_and_has() -> None:
    answer = _answer(429, "PDB", pdb="shop/cart", needs="2", has="2")
    (entry,) = drain.after((), [answer], situation(), [pod("web")], NOW)
    assert (entry.reason, entry.pdb, entry.needs, entry.has) == ("PDB", "shop/cart", 2, 2)
    assert "needs 2 healthy pods and has 2" in entry.message


def test_p7_where_the_answer_does_not_name_it_the_view_does() -> None:
    seen = situation(budgets=(budget("cart", "web"),))
    (entry,) = drain.after((), [_answer(429, "PDB")], seen, [pod("web")], NOW)
    assert (entry.pdb, entry.needs, entry.has) == ("shop/cart", 2, 2)


@pytest.mark.parametrize("after", [0.0, 3.0, 90.0])
def test_p7_never_sooner_than_retry_after(after: float) -> None:
    entries = drain.after((), [_answer(429, "PDB", after=after)], situation(), [pod("web")], NOW)
    assert entries[0].next is not None
    assert entries[0].next >= NOW + timedelta(seconds=after)
    just_before = NOW + timedelta(seconds=max(after, 5) - 1)
    assert asked(pod("web"), entries=entries, now=just_before) == []
    assert asked(pod("web"), entries=entries, now=entries[0].next) == ["web"]


def test_p7_while_the_budget_is_seen_to_allow_nothing_it_is_asked_a_little_later() -> None:
    entries = (refused("web"),)
    assert asked(pod("web"), entries=entries, budgets=(budget("cart", "web", allowed=0),)) == []
    assert asked(pod("web"), entries=entries, budgets=(budget("cart", "web", allowed=1),)) == ["web"]
    later = NOW + timedelta(seconds=30)
    assert asked(pod("web"), entries=entries, budgets=(budget("cart", "web"),), now=later) == ["web"]


def test_p7_a_429_without_a_budget_is_throttling() -> None:
    (entry,) = drain.after((), [_answer(429, "Throttled", after=2)], situation(), [pod("web")], NOW)
    assert (entry.reason, entry.pdb) == ("Throttled", None)


def test_p7_several_budgets_are_a_misconfiguration_named_retried_slowly_never_forced() -> None:
    seen = situation(budgets=(budget("a", "web"), budget("b", "web")))
    (entry,) = drain.after((), [_answer(500, "PDB")], seen, [pod("web")], NOW)
    assert entry.pdb == "shop/a, shop/b"
    assert "more than one PodDisruptionBudget" in entry.message
    assert entry.next is not None
    assert entry.next >= NOW + timedelta(minutes=1)
    late = entry.next + timedelta(minutes=1)
    assert asked(pod("web"), entries=(entry,), deadline=NOW, now=late) == ["web"]


@pytest.mark.parametrize(("code", "kind"), [(404, OutcomeKind.ALREADY), (409, OutcomeKind.ALREADY)])
def test_p7_gone_pods_are_held_no_more(code: int, kind: OutcomeKind) -> None:
    action = EvictPod(pod=PodTarget(namespace="shop", name="web", uid="uid-web"))
    answer = Outcome(action=action, kind=kind, code=code)
    assert drain.after((refused("web"),), [answer], situation(), [], NOW) == ()


def test_p7_a_terminating_namespace_is_retried_and_another_403_is_blocked() -> None:
    (ends,) = drain.after((), [_answer(403, "NamespaceTerminating", after=5)], situation(), [pod("web")], NOW)
    assert ends.reason != "Forbidden"
    assert ends.next is not None
    (entry,) = drain.after((), [_answer(403, "Forbidden")], situation(), [pod("web")], NOW)
    assert entry.reason == "Forbidden"
    assert plan([pod("web")], situation(), (entry,), NOW).blocked.reason is BlockedReason.FORBIDDEN  # type: ignore[union-attr]


def test_p7_since_when_stays_while_the_reason_does() -> None:
    former = refused("web")
    (entry,) = drain.after((former,), [_answer(429, "PDB")], situation(), [pod("web")], NOW)
    assert entry.since == former.since


# P9: waves.


def test_p9_ordinary_pods_before_critical_ones_and_one_blocked_does_not_hold_its_peers() -> None:
    critical = pod("dns", priority_class="system-cluster-critical")
    assert asked(critical, pod("web"), pod("cart")) == ["cart", "web"]
    assert asked(critical, pod("web"), pod("cart"), entries=(refused("web", after=60),)) == ["cart"]
    assert asked(critical, pod("web"), entries=(refused("web", after=60),)) == []
    assert asked(critical) == ["dns"]


def test_p9_lower_order_first_also_where_it_is_critical() -> None:
    rules = (rule("late", "Drain", 1, app="web"),)
    critical = pod("dns", priority_class="system-node-critical")
    assert asked(critical, pod("web"), pod_rules=rules) == ["dns"]


def test_exuvias_own_pod_goes_last() -> None:
    own = OwnPlace(pod_uid="uid-me", node_name="worker-1")
    me = pod("me", namespace="exuvia-system")
    everything = pod("cni", tolerations=EVERYTHING)
    assert asked(me, everything, pod("web"), own=own) == ["web"]
    assert asked(me, everything, own=own) == ["cni"]
    assert asked(me, own=own) == ["me"]


def test_p9_nobody_is_asked_whose_refusal_could_not_be_remembered() -> None:
    many = [pod(f"web-{number:03}") for number in range(300)]
    first = plan(many, situation(), (), NOW)
    assert len(first.actions) == 256
    entries = tuple(refused(f"web-{number:03}", after=60) for number in range(256))
    again = plan(many, situation(), entries, NOW)
    assert again.actions == ()
    assert len(again.blocked_by) == 256


# P12: by UID.


def test_p12_a_refused_pod_and_its_namesake_are_two() -> None:
    assert asked(pod("web", uid="uid-second"), entries=(refused("web", after=60),)) == ["web"]


# P13: marks that do not parse protect.


def test_p13_a_mark_that_does_not_parse_protects() -> None:
    assert asked(pod("db", annotations={"cluster.x-k8s.io/paused": "perhaps"})) == []


# P14: tolerations, and what the status names.


@pytest.mark.parametrize(
    "toleration",
    [
        Toleration(key=marks.ROTATING_TAINT, operator="Exists"),
        Toleration(key=marks.ROTATING_TAINT, operator="Equal", value="", effect="NoSchedule"),
    ],
)
def test_p14_one_that_tolerates_the_taint_by_key_rides_along(toleration: Toleration) -> None:
    assert judge(pod("web", tolerations=(toleration,)), situation(), NOW).lot is Lot.LEFT_ALONE


def test_p14_one_that_tolerates_another_effect_or_value_does_not() -> None:
    for toleration in (
        Toleration(key=marks.ROTATING_TAINT, operator="Exists", effect="NoExecute"),
        Toleration(key=marks.ROTATING_TAINT, operator="Equal", value="other"),
        Toleration(key="node.kubernetes.io/unschedulable", operator="Exists"),
        Toleration(operator="Exists", effect="NoExecute"),
    ):
        assert judge(pod("web", tolerations=(toleration,)), situation(), NOW).lot is Lot.EVICT


def test_p14_one_that_tolerates_everything_leaves_in_the_last_wave_if_it_was_there_before_the_taint() -> None:
    old = pod("cni", tolerations=EVERYTHING)
    critical = pod("dns", priority_class="system-node-critical")
    assert asked(old, critical) == ["dns"]
    assert asked(old) == ["cni"]
    new = pod("cni", tolerations=EVERYTHING, created=TAINTED + timedelta(seconds=1))
    assert judge(new, situation(), NOW).lot is Lot.LEFT_ALONE


def test_p14_every_pod_that_is_held_is_named_with_reason_and_since() -> None:
    opted = pod("db", annotations={marks.DO_NOT_DISRUPT: "true"})
    found = plan([opted, pod("web")], situation(), (refused("web", after=60),), NOW)
    assert {one.pod: one.reason for one in found.blocked_by} == {"shop/db": "PodOptedOut", "shop/web": "PDB"}
    assert all(one.since and one.message for one in found.blocked_by)
    again = plan([opted], situation(), found.blocked_by, NOW + timedelta(hours=1))
    assert again.blocked_by[0].since == NOW


def test_p14_a_pod_that_does_not_end_is_named() -> None:
    since = NOW - timedelta(minutes=5)
    stuck = pod("web", deleting_since=since, deletion_deadline=since + timedelta(seconds=30))
    found = plan([stuck], situation(), (), NOW)
    assert found.blocked is not None
    assert found.blocked.reason is BlockedReason.POD_STUCK
    assert "finalizers" in found.blocked.message


# Unreachable machines.


def test_on_an_unreachable_machine_grace_is_a_second_and_pods_that_are_deleting_are_skipped() -> None:
    action = plan([pod("web")], situation(unreachable=True), (), NOW).actions[0]
    assert action.grace == timedelta(seconds=1)
    leaving = pod("web", deleting_since=NOW - timedelta(seconds=2), deletion_deadline=NOW + timedelta(seconds=28))
    assert judge(leaving, situation(unreachable=True), NOW).lot is Lot.LEFT_ALONE
    just = pod("web", deleting_since=NOW - timedelta(seconds=1), deletion_deadline=NOW + timedelta(seconds=28))
    assert judge(just, situation(unreachable=True), NOW).lot is Lot.LEAVING


# Pods that leave regardless (a released quarantine's), and a quarantine's own eviction.


def test_listed_pods_leave_whatever_the_knobs_say() -> None:
    frozen = pod("frozen", owner=None, annotations={marks.DO_NOT_DISRUPT: "true"}, labels={"exuvia.dev/drain": "skip"})
    assert asked(frozen, regardless=frozenset({"uid-frozen"})) == ["frozen"]
    assert asked(pod("bare", owner=None), ignore_knobs=True) == ["bare"]


# The planner's question.


def test_only_pods_that_the_drain_would_evict_opt_a_machine_out() -> None:
    marked = {"annotations": {marks.DO_NOT_DISRUPT: "true"}}
    settings = DrainSettings()
    assert drain.pods_opt_out([pod("web")], settings, NOW) is None
    assert drain.pods_opt_out([pod("agent", owner=DAEMON_SET, **marked)], settings, NOW) is None
    assert drain.pods_opt_out([pod("done", phase="Succeeded", **marked)], settings, NOW) is None
    found = drain.pods_opt_out([pod("web"), pod("db", **marked)], settings, NOW)
    assert found is not None
    assert found.reason is BlockedReason.POD_OPTED_OUT
    assert "shop/db" in found.message
