"""Force: what it passes at the time limit, and what even it does not pass (safety.md, drain contract)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exuvia.decide.drain import plan
from exuvia.model import marks
from exuvia.model.actions import DeletePod
from tests.decide.drain.builders import NOW, asked, budget, pod, refused, rule, situation

SECOND = timedelta(seconds=1)
OPTED = {"annotations": {marks.DO_NOT_DISRUPT: "true"}}


def test_before_its_time_a_refused_pod_is_only_asked() -> None:
    assert asked(pod("web"), entries=(refused("web"),), deadline=NOW + timedelta(seconds=31)) == ["web"]


def test_at_the_time_limit_minus_its_grace_it_is_deleted_with_the_grace_that_is_left() -> None:
    found = plan([pod("web")], situation(deadline=NOW + timedelta(seconds=30)), (refused("web"),), NOW)
    (action,) = found.actions
    assert isinstance(action, DeletePod)
    assert action.grace == timedelta(seconds=30)
    late = plan([pod("web")], situation(deadline=NOW), (refused("web"),), NOW + timedelta(seconds=5))
    assert late.actions[0].grace == SECOND


def test_what_is_passed_is_named() -> None:
    found = plan([pod("web")], situation(deadline=NOW), (refused("web", pdb="shop/cart"),), NOW)
    assert found.forced == ("shop/web: deleted at the time limit, past PodDisruptionBudget shop/cart",)


def test_only_after_an_eviction_of_it_was_tried() -> None:
    assert asked(pod("web"), deadline=NOW) == ["web"]
    assert asked(pod("web"), deadline=NOW, entries=(refused("web", "Throttled"),)) == ["web!"]
    assert asked(
        pod("web"), deadline=NOW, entries=(refused("web", "PodOptedOut").model_copy(update={"next": None}),)
    ) == ["web"]


def test_wait_completed_ends_there() -> None:
    rules = (rule("batch", "WaitCompleted", app="job"),)
    assert asked(pod("job"), pod_rules=rules, deadline=NOW + timedelta(seconds=31)) == []
    assert asked(pod("job"), pod_rules=rules, deadline=NOW + timedelta(seconds=30)) == ["job"]


def test_opt_outs_of_pods_hold_until_then_and_are_then_passed() -> None:
    opted = pod("db", **OPTED)
    assert asked(opted, deadline=NOW + timedelta(seconds=31)) == []
    assert asked(opted, deadline=NOW + timedelta(seconds=30)) == ["db"]


def test_an_opt_out_whose_time_has_not_come_does_not_save_others_whose_time_has() -> None:
    patient, late = pod("db", grace_seconds=5, **OPTED), pod("web", grace_seconds=60)
    assert asked(patient, late, deadline=NOW + timedelta(seconds=30)) == ["web"]


def test_knobs_are_never_passed() -> None:
    assert asked(pod("bare", owner=None), pod("web"), deadline=NOW - timedelta(hours=1)) == []


def test_an_invalid_rule_is_never_passed() -> None:
    rules = (rule("odd", "Explode", app="x"),)
    assert asked(pod("web"), pod_rules=rules, deadline=NOW - timedelta(hours=1)) == []


def test_several_budgets_are_never_forced() -> None:
    both = (budget("a", "web", allowed=1), budget("b", "web", allowed=1))
    assert asked(pod("web"), entries=(refused("web"),), budgets=both, deadline=NOW - timedelta(hours=1)) == ["web"]
    known = refused("web", pdb="several, not known which")
    assert asked(pod("web"), entries=(known,), deadline=NOW - timedelta(hours=1)) == ["web"]


def test_a_pod_that_ends_too_slowly_gets_the_grace_that_is_left() -> None:
    slow = pod("web", grace_seconds=600, deleting_since=NOW, deletion_deadline=NOW + timedelta(seconds=600))
    assert asked(slow, deadline=NOW + timedelta(seconds=700)) == []
    found = plan([slow], situation(deadline=NOW + timedelta(seconds=60)), (), NOW)
    assert found.actions[0].grace == timedelta(seconds=60)
    shortened = pod("web", grace_seconds=600, deleting_since=NOW, deletion_deadline=NOW + timedelta(seconds=60))
    assert asked(shortened, deadline=NOW + timedelta(seconds=60)) == []


def test_without_force_nothing_is_ever_deleted() -> None:
    assert asked(pod("web"), entries=(refused("web"),), deadline=None, now=NOW + timedelta(days=9)) == ["web"]


def test_whose_time_is_up_does_not_wait_for_its_order() -> None:
    rules = (rule("late", "Drain", 5, app="late"),)
    entries = (refused("web", after=600), refused("late"))
    assert asked(pod("web"), pod("late"), pod_rules=rules, entries=entries, deadline=NOW) == ["web!", "late!"]


@pytest.mark.parametrize("seconds", [0, 1, 29, 30])
def test_the_grace_is_at_least_a_second(seconds: int) -> None:
    found = plan([pod("web")], situation(deadline=NOW + timedelta(seconds=seconds)), (refused("web"),), NOW)
    assert found.actions[0].grace is not None
    assert found.actions[0].grace >= SECOND


@given(
    deadline=st.one_of(st.none(), st.integers(-7200, 7200)),
    grace=st.integers(0, 3600),
    reason=st.sampled_from(["PDB", "Throttled", "Forbidden"]),
    tried=st.booleans(),
)
def test_a_delete_is_only_ever_sent_past_the_time_and_after_a_try(
    deadline: int | None, grace: int, reason: str, tried: bool
) -> None:
    limit = None if deadline is None else NOW + timedelta(seconds=deadline)
    entries = (refused("web", reason),) if tried else ()
    found = plan([pod("web", grace_seconds=grace)], situation(deadline=limit), entries, NOW)
    for action in found.actions:
        if isinstance(action, DeletePod):
            assert tried
            assert limit is not None
            assert limit - timedelta(seconds=max(1, grace)) <= NOW
            assert action.grace >= SECOND
