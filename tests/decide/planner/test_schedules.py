"""Schedules: half-open windows, elapsed durations, zones and daylight saving, budgets that bind for a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from exuvia.decide.brakes.schedules import door
from exuvia.model.specs.security_policy import Severity
from tests.decide.planner.world import HOUR, MINUTE, NOW, World, fleet, machine, policy, quiet, subject, wish

SECOND = timedelta(seconds=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_window_is_half_open() -> None:
    opens, closes = at("2026-11-24 22:00"), at("2026-11-25 04:00")
    for now, is_open, until in (
        (opens - SECOND, False, opens),
        (opens, True, closes),
        (closes - SECOND, True, closes),
        (closes, False, opens + 24 * HOUR),
    ):
        found = door("0 22 * * *", 6 * HOUR, "UTC", now)
        assert (found.open, found.until) == (is_open, until)


def test_a_window_shorter_than_a_minute_closes_in_time() -> None:
    start = at("2026-11-24 22:00")
    assert door("0 22 * * *", 30 * SECOND, "UTC", start + 29 * SECOND).open
    assert not door("0 22 * * *", 30 * SECOND, "UTC", start + 30 * SECOND).open


def test_a_window_without_length_never_opens() -> None:
    assert not door("* * * * *", timedelta(0), "UTC", NOW).open


@pytest.mark.parametrize(
    ("schedule", "zone"), [("0 25 * * *", "UTC"), ("nonsense", "UTC"), ("0 8 * * *", "Mars/Olympus"), ("", "UTC")]
)
def test_what_does_not_parse_is_not_open_and_says_so(schedule: str, zone: str) -> None:
    found = door(schedule, HOUR, zone, NOW)
    assert not found.open and found.until is None and found.problem


def test_zones_and_daylight_saving() -> None:
    """02:30 does not exist in Berlin on 2026-03-29: the window opens once, at the first valid instant."""
    opens = at("2026-03-29 01:00")
    assert not door("30 2 * * *", HOUR, "Europe/Berlin", opens - SECOND).open
    assert door("30 2 * * *", HOUR, "Europe/Berlin", opens).open
    assert not door("30 2 * * *", HOUR, "Europe/Berlin", opens + HOUR).open


def test_a_scheduled_budget_binds_while_its_window_is_open() -> None:
    """The freeze of api.md: 08:00 to 18:00 in Berlin on working days."""
    freeze = {
        "name": "freeze",
        "nodes": "0",
        "schedule": "0 8 * * mon-fri",
        "duration": "10h",
        "timeZone": "Europe/Berlin",
        "actions": ["Rotate"],
    }
    old = machine(0)
    world = World([subject(old, wish(old)), *quiet(fleet(5)[1:])], policies=[policy(budgets=[freeze])])
    found = world.plan().blocked[old.uid]
    assert str(found.reason) == "BudgetExhausted" and "freeze" in found.message
    assert found.next == at("2026-11-24 17:00")
    assert world.plan().next == at("2026-11-24 17:00")
    world.now = at("2026-11-24 17:00")
    made = world.plan()
    assert len(made.openings) == 1
    assert made.next == at("2026-11-25 07:00")


def test_of_several_active_budgets_the_smallest_holds() -> None:
    wide, narrow = {"name": "wide", "nodes": "5"}, {"name": "narrow", "nodes": "2"}
    world = World([subject(one, wish(one)) for one in fleet(10)], policies=[policy(budgets=[wide, narrow])])
    made = world.plan()
    assert len(made.openings) == 2
    assert made.allowed == {("workers", "wide"): 3, ("workers", "narrow"): 0}


def test_a_budget_with_an_unparsable_schedule_always_binds_and_allows_nothing() -> None:
    odd = {"name": "odd", "nodes": "5", "schedule": "whenever", "duration": "1h"}
    old = machine(0)
    world = World([subject(old, wish(old)), *quiet(fleet(5)[1:])], policies=[policy(budgets=[odd])])
    found = world.plan().blocked[old.uid]
    assert str(found.reason) == "BudgetExhausted" and "whenever" in found.message


def test_budgets_bind_whatever_the_mode_of_their_policy() -> None:
    audit = policy("audit", budgets=[{"name": "none", "nodes": "0"}], enforces=False)
    machines = fleet(5)
    world = World([subject(one, wish(one), selecting=("audit", "workers")) for one in machines])
    world.policies = [policy(), audit]
    assert world.reason(machines[0]) == "BudgetExhausted"
    world.policies = [policy()]
    assert len(world.started()) == 5


def test_each_topology_value_has_its_own_budget_and_a_missing_label_is_a_value() -> None:
    per_rack = {"name": "per-rack", "nodes": "1", "topologyKey": "rack"}
    racks = ["r1", "r1", "r2", None, None]
    machines = [machine(n, labels={"rack": rack} if rack else {}) for n, rack in enumerate(racks)]
    world = World([subject(one, wish(one)) for one in machines], policies=[policy(budgets=[per_rack])])
    assert world.started() == ["worker-0", "worker-2", "worker-3"]
    assert "rack='r1'" in world.plan().blocked[machines[1].uid].message


def test_a_closed_budget_holds_what_is_disrupted_already() -> None:
    closed = policy(budgets=[{"name": "closed", "nodes": "0"}])
    bad = machine(0, ready=False)
    world = World([subject(bad, wish(bad)), *quiet(fleet(5)[1:])], policies=[closed])
    assert world.reason(bad) == "BudgetExhausted"


def test_what_is_disrupted_already_counts_with_those_that_have_an_operation_only() -> None:
    one = policy(budgets=[{"name": "one", "nodes": "1"}])
    bad = [machine(n, ready=False) for n in range(3)]
    world = World([*(subject(b, wish(b)) for b in bad), *quiet(fleet(9)[3:])], policies=[one])
    assert world.started() == ["worker-0"]
    healthy = machine(5)
    world.subjects[-1] = subject(healthy, wish(healthy, severity=Severity.CRITICAL))
    assert world.started() == ["worker-0"]
    assert world.reason(healthy) == "BudgetExhausted"


WINDOW = {"windows": {"allow": [{"schedule": "0 22 * * *", "duration": "6h", "timeZone": "UTC"}]}}


def test_the_windows_of_every_enforcing_policy_count_and_a_hard_limit_lifts_its_own_only() -> None:
    old = machine(0)
    mine, other = policy("mine"), policy("other", **WINDOW)
    hard = wish(old, policy="mine", hard=True)
    world = World([subject(old, hard, selecting=("mine", "other"))], policies=[mine, other])
    found = world.plan().blocked[old.uid]
    assert str(found.reason) == "WindowClosed" and "other" in found.message
    assert found.next == at("2026-11-24 22:00")
    world.policies = [mine, policy("other", enforces=False, **WINDOW)]
    assert world.reason(old) == ""


def test_a_bypass_lifts_only_what_it_names() -> None:
    old = machine(0)
    bypass = {"bypass": {"minSeverity": "High", "brakes": ["MinInterval"]}}
    world = World([subject(old, wish(old, severity=Severity.CRITICAL))], policies=[policy(**WINDOW, **bypass)])
    assert world.reason(old) == "WindowClosed"


def test_a_window_that_cannot_be_read_is_never_open() -> None:
    old = machine(0)
    odd = {"windows": {"allow": [{"schedule": "whenever", "duration": "6h"}]}}
    world = World([subject(old, wish(old))], policies=[policy(**odd)])
    found = world.plan().blocked[old.uid]
    assert str(found.reason) == "WindowClosed" and "whenever" in found.message


def test_min_interval_lets_one_start_at_a_time() -> None:
    world = World([subject(one, wish(one)) for one in fleet(5)], policies=[policy(minInterval="5m")])
    made = world.plan()
    assert len(made.openings) == 1
    assert {str(one.reason) for one in made.blocked.values()} == {"MinInterval"}
    assert made.next == NOW + 5 * MINUTE
    world.apply(made)
    world.now = NOW + 5 * MINUTE - SECOND
    assert not world.started()
    world.now = NOW + 5 * MINUTE
    assert len(world.started()) == 1
