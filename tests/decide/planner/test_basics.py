"""What starts, in which order, under which names; and that a plan says why everything else waits."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from exuvia.decide.brakes import budgets
from exuvia.decide.brakes.amounts import Allowed
from exuvia.decide.census import Counts
from exuvia.model import marks
from exuvia.model.quarantine_views import OwnPlace
from exuvia.model.specs.rotation import Rotation
from exuvia.model.specs.security_policy import Action, Severity
from tests.decide.planner.world import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    World,
    fleet,
    guard,
    machine,
    policy,
    quarantine,
    quiet,
    rotation,
    subject,
    violating,
    wish,
)


def test_nothing_is_wanted_and_nothing_starts() -> None:
    made = World(quiet(fleet(10))).plan()
    assert (made.openings, made.grants, made.blocked, made.waiting) == ((), (), {}, {})


def test_a_wish_becomes_a_whole_object() -> None:
    old, *others = fleet(10)
    made = World([*violating([old]), *quiet(others)]).plan()
    (opening,) = made.openings
    assert opening.kind == "Rotation"
    assert opening.name == "worker-0-0000-uid-1"
    parsed = Rotation.parse(dict(opening.body))
    assert parsed.spec.instance.uid == old.uid
    assert parsed.spec.policy is not None and parsed.spec.policy.name == "workers"
    assert parsed.spec.rule == "max-age"
    assert parsed.spec.requested_by == marks.SERVICE_ACCOUNT_USER
    assert parsed.metadata.finalizers == (marks.FINALIZER,)


def test_the_number_is_one_more_than_the_highest_there_is() -> None:
    old, *others = fleet(10)
    world = World([*violating([old]), *quiet(others)])
    ended = {"finished_at": NOW - 2 * DAY, "reason": "DrainTimeout"}
    world.rotations = [rotation(old, "Failed", number=7, created=NOW - 3 * DAY, **ended)]
    assert world.plan().openings[0].name == "worker-0-0000-uid-8"


def test_a_wish_of_a_policy_that_does_not_enforce_is_nothing() -> None:
    world = World(violating(fleet(3)), policies=[policy(enforces=False)])
    made = world.plan()
    assert not made.openings and not made.blocked
    world.policies = []
    made = world.plan()
    assert not made.openings and not made.blocked


def test_a_wish_of_a_policy_that_no_longer_selects_the_machine_is_nothing() -> None:
    old = machine(0)
    world = World([subject(old, Action.ROTATE, selecting=()), *quiet(fleet(5)[1:])])
    made = world.plan()
    assert not made.openings and not made.blocked


def test_order_is_severity_then_oldest_machine_then_uid() -> None:
    machines = fleet(4)
    low = [subject(one, wish(one, severity=Severity.LOW)) for one in machines[:2]]
    high = [subject(one, wish(one, severity=Severity.HIGH)) for one in machines[2:]]
    world = World([*low, *high])
    assert world.started() == ["worker-2", "worker-3", "worker-0", "worker-1"]
    twin = machine(9, born=machines[0].born)
    world.subjects = [subject(twin, Action.ROTATE), subject(machines[0], Action.ROTATE)]
    assert world.started() == ["worker-0", "worker-9"]


def test_older_requests_come_before_younger_and_before_wishes() -> None:
    machines = fleet(4)
    critical = subject(machines[0], wish(machines[0], severity=Severity.CRITICAL))
    world = World([critical, *quiet(machines[1:])])
    world.rotations = [
        rotation(machines[1], by_policy=False, created=NOW - MINUTE),
        rotation(machines[2], by_policy=False, created=NOW - HOUR),
    ]
    assert world.started() == ["worker-2", "worker-1", "worker-0"]
    world.guard = guard(maxUnavailable="2")
    assert world.started() == ["worker-2", "worker-1"]
    assert world.reason(machines[0]) == "BudgetExhausted"


@pytest.mark.parametrize(
    ("disrupted", "base", "said"),
    [
        (0, 0, "b allows 1 of 0 machines, and 0 are disrupted"),
        (1, 1, "b allows 1 of 1 machine, and 1 is disrupted"),
        (2, 10, "b allows 1 of 10 machines, and 2 are disrupted"),
    ],
)
def test_a_budget_counts_in_words(disrupted: int, base: int, said: str) -> None:
    counts = Counts(base=base, disrupted=disrupted)
    assert budgets._message("b", Allowed(count=1), counts) == said


def test_exuvias_own_machine_comes_last() -> None:
    machines = fleet(3)
    world = World(violating(machines), own=OwnPlace(node_name="worker-0"))
    assert world.started() == ["worker-1", "worker-2", "worker-0"]


def test_quarantines_come_before_rotations() -> None:
    machines = fleet(3)
    suspicious = subject(machines[2], wish(machines[2], Action.QUARANTINE, severity=Severity.LOW))
    world = World([*violating(machines[:2]), suspicious])
    assert [one.kind for one in world.plan().openings] == ["Quarantine", "Rotation", "Rotation"]


def test_what_is_open_already_is_not_opened_again() -> None:
    machines = fleet(4)
    world = World([*violating(machines[:2]), *violating(machines[2:], Action.QUARANTINE)])
    world.rotations = [rotation(machines[0], "Replacing")]
    world.quarantines = [quarantine(machines[2], "Held")]
    assert {one.instance for one in world.plan().openings} == {machines[1].uid, machines[3].uid}


def test_a_waiting_operation_that_nobody_wants_any_more_is_not_granted() -> None:
    machines = fleet(3)
    world = World(quiet(machines), rotations=[rotation(machines[0])])
    made = world.plan()
    assert not made.grants and not made.waiting


def test_a_waiting_operation_of_a_policy_is_granted_while_it_is_wanted() -> None:
    machines = fleet(3)
    world = World([*violating(machines[:1]), *quiet(machines[1:])], rotations=[rotation(machines[0])])
    (grant,) = world.plan().grants
    assert (grant.kind, grant.instance, grant.uid) == ("Rotation", machines[0].uid, world.rotations[0].uid)


def test_a_policys_quarantine_that_waits_needs_no_wish_any_more() -> None:
    machines = fleet(3)
    world = World(quiet(machines), quarantines=[quarantine(machines[0])])
    assert [one.kind for one in world.plan().grants] == ["Quarantine"]


def test_called_off_deleted_and_gone_ones_are_not_granted() -> None:
    machines = fleet(4)
    aborted = rotation(machines[0], by_policy=False, spec={"abort": True})
    deleted = rotation(machines[1], by_policy=False)
    meta = deleted.metadata.model_copy(update={"deletion_timestamp": NOW})
    gone = rotation(machine(9), by_policy=False)
    returned = quarantine(machines[2], by_policy=False, spec={"release": {"by": "alice", "verdict": "Return"}})
    world = World(quiet(machines), rotations=[aborted, deleted.model_copy(update={"metadata": meta}), gone])
    world.quarantines = [returned]
    made = world.plan()
    assert not made.grants and not made.waiting


def test_of_two_open_ones_only_the_older_may_start() -> None:
    machines = fleet(3)
    older = rotation(machines[0], by_policy=False, created=NOW - 2 * HOUR)
    younger = rotation(machines[0], by_policy=False, created=NOW - HOUR, number=2)
    world = World(quiet(machines), rotations=[younger, older])
    assert [one.name for one in world.plan().grants] == [older.name]
    world.rotations = [older, rotation(machines[0], "Replacing", by_policy=False, number=2)]
    assert not world.plan().grants


def test_a_release_starts_before_an_older_one_that_waits_for_it() -> None:
    machines = fleet(3)
    held = quarantine(machines[0], "Held", release_accepted={"by": "alice", "verdict": "Rotate"})
    older = rotation(machines[0], by_policy=False, created=NOW - 2 * HOUR)
    carries = rotation(machines[0], created=NOW - HOUR, number=2, spec={"releasedFrom": held.name})
    world = World(quiet(machines), rotations=[older, carries], quarantines=[held])
    assert [one.name for one in world.plan().grants] == [carries.name]
    world.rotations = [older]
    assert not world.plan().grants


def test_of_two_waiting_quarantines_only_the_older_may_start() -> None:
    machines = fleet(3)
    older = quarantine(machines[0], created=NOW - 2 * HOUR)
    younger = quarantine(machines[0], number=2)
    assert [one.name for one in World(quiet(machines), quarantines=[younger, older]).plan().grants] == [older.name]


def test_a_wish_of_a_policy_that_was_made_anew_waits_for_its_own_verdict() -> None:
    machines = fleet(3)
    former = replace(wish(machines[0]), policy_uid="former-uid")
    made = World([subject(machines[0], former), *quiet(machines[1:])]).plan()
    assert not made.openings and not made.blocked


def test_machines_that_would_share_a_name_get_two() -> None:
    """The same node name in two lives of which the UIDs begin alike."""
    twins = [replace(machine(0), uid=f"0000-uid-{life}") for life in (1, 2)]
    made = World([subject(one, wish(one)) for one in twins]).plan()
    assert [one.name for one in made.openings] == ["worker-0-0000-uid-1", "worker-0-0000-uid-2"]


def test_an_heir_whose_former_had_started_is_no_start_of_the_sweep() -> None:
    machines = fleet(3)
    former = quarantine(machine(8), "Held")
    heir = quarantine(machines[0], by_policy=False, spec={"inheritedFrom": former.name})
    world = World(quiet(machines), quarantines=[former, heir])
    assert not world.plan().grants
    world.quarantines = [quarantine(machine(8)), heir]
    assert [one.name for one in world.plan().grants] == [heir.name]


def test_the_plan_says_when_time_changes_it() -> None:
    machines = fleet(3)
    bad = machine(5, ready=False, since=NOW - timedelta(seconds=2))
    world = World([*quiet(machines), subject(bad)])
    assert world.plan().next == NOW + timedelta(seconds=3)
    assert World(quiet(machines)).plan().next is None


def test_without_leases_a_rotation_waits_for_them_and_a_quarantine_does_not() -> None:
    machines = fleet(4)
    world = World([*violating(machines[:1]), *violating(machines[1:2], Action.QUARANTINE), *quiet(machines[2:])])
    world.leases = None
    made = world.plan()
    assert made.needs_leases
    assert [one.kind for one in made.openings] == ["Quarantine"]
    world.subjects = quiet(machines)
    assert not world.plan().needs_leases


def test_leases_that_cannot_be_listed_hold_each_rotation_by_name_and_no_quarantine() -> None:
    machines = fleet(4)
    world = World([*violating(machines[:1]), *violating(machines[1:2], Action.QUARANTINE), *quiet(machines[2:])])
    world.leases, world.leases_problem = None, "403"
    made = world.plan()
    assert not made.needs_leases
    assert [one.kind for one in made.openings] == ["Quarantine"]
    assert "403" in made.blocked[machines[0].uid].message
