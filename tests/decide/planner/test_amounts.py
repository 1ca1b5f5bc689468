"""Amounts (api.md): allowances round down but never below one, requirements round up, nonsense allows nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exuvia.decide.brakes.amounts import allowance, requirement
from exuvia.model.specs.security_policy import Action
from tests.decide.planner.world import World, fleet, guard, policy, quiet, violating


@pytest.mark.parametrize(
    ("amount", "base", "allowed"),
    [
        ("0", 10, 0),
        ("0%", 10, 0),
        ("3", 10, 3),
        ("3", 0, 3),
        ("3", 1, 3),
        ("10%", 10, 1),
        ("10%", 19, 1),
        ("10%", 20, 2),
        ("1%", 2, 1),
        ("1%", 99, 1),
        ("99%", 2, 1),
        ("100%", 7, 7),
        ("33%", 10, 3),
        ("10%", 1, 0),
        ("100%", 1, 0),
        ("100%", 0, 0),
    ],
)
def test_an_allowance_rounds_down_but_never_below_one_for_two_or_more(amount: str, base: int, allowed: int) -> None:
    assert allowance(amount, base).count == allowed


@pytest.mark.parametrize(("amount", "allowed"), [("10%", 1), ("100%", 1), ("0%", 0), ("0", 0), ("1", 1)])
def test_in_a_scope_of_one_a_percentage_allows_one_replace_first_rotation(amount: str, allowed: int) -> None:
    assert allowance(amount, 1, replace_first=True).count == allowed


@pytest.mark.parametrize("amount", ["", "-1", "10 %", "ten", "101%", "1.5", "10%%", "%", " 3", "3\n", "٣", "1e3", "+3"])
def test_what_does_not_parse_allows_nothing_and_says_so(amount: str) -> None:
    found = allowance(amount, 100, replace_first=True)
    assert found.count == 0
    assert repr(amount) in found.problem
    assert requirement(amount, 100) is None


@pytest.mark.parametrize(
    ("amount", "base", "needed"),
    [("60%", 10, 6), ("60%", 3, 2), ("60%", 1, 1), ("1%", 2, 1), ("0%", 5, 0), ("100%", 5, 5), ("4", 2, 4)],
)
def test_a_requirement_rounds_up(amount: str, base: int, needed: int) -> None:
    assert requirement(amount, base) == needed


@given(percent=st.integers(0, 100), base=st.integers(0, 5000))
def test_allowance_and_requirement_are_on_either_side_of_the_exact_share(percent: int, base: int) -> None:
    amount = f"{percent}%"
    allowed, needed = allowance(amount, base).count, requirement(amount, base)
    assert needed is not None and needed * 100 >= base * percent > (needed - 1) * 100
    if base >= 2 and percent:
        assert allowed == max(1, base * percent // 100)
    else:
        assert allowed == 0


def test_a_fleet_of_one_may_be_rotated_replace_first_and_nothing_else() -> None:
    world = World(violating(fleet(1)))
    world.guard = guard(maxUnavailable="5%")
    assert world.started() == ["worker-0"]
    world.strategy = "DrainFirst"
    assert world.started() == []
    assert world.reason(fleet(1)[0]) == "BudgetExhausted"
    world = World(violating(fleet(1), Action.QUARANTINE), guard=guard(quarantine={"maxAtOnce": "10%"}))
    assert world.reason(fleet(1)[0]) == "QuarantineLimit"


def test_the_default_rate_is_the_greater_of_five_and_one_percent() -> None:
    small = World(violating(fleet(50)), guard=guard(maxPerHour=None))
    assert len(small.started()) == 5
    large = World([*violating(fleet(700)[:20]), *quiet(fleet(700)[20:])], guard=guard(maxPerHour=None))
    assert len(large.started()) == 7


def test_a_percentage_of_the_rate_is_of_the_fleet() -> None:
    assert len(World(violating(fleet(50)), guard=guard(maxPerHour="4%")).started()) == 2


def test_no_active_budget_does_not_mean_unlimited() -> None:
    world = World(violating(fleet(40)), policies=[policy()], guard=guard(maxUnavailable="5%"))
    assert len(world.started()) == 2


def test_a_budget_that_does_not_parse_allows_nothing_even_of_an_invalid_policy() -> None:
    broken = policy("broken", budgets=[{"name": "odd", "nodes": "1"}], enforces=False)
    budget = broken.spec.disruption.budgets[0].model_copy(update={"nodes": "several"})
    disruption = broken.spec.disruption.model_copy(update={"budgets": (budget,)})
    spec = broken.spec.model_copy(update={"disruption": disruption})
    machines = fleet(10)
    world = World(
        [], policies=[policy(), type(broken)(name="broken", uid="u", generation=1, spec=spec, enforces=False)]
    )
    world.subjects = [
        type(one)(uid=one.uid, instance=one.instance, ready_once=True, selecting=("broken", "workers"), wish=one.wish)
        for one in violating(machines)
    ]
    found = world.plan().blocked[machines[0].uid]
    assert str(found.reason) == "BudgetExhausted"
    assert "budget odd of policy broken" in found.message and "'several'" in found.message


def test_a_floor_that_does_not_parse_lets_nothing_start() -> None:
    world = World(violating(fleet(10)))
    assert world.guard is not None
    spec = world.guard.spec.model_copy(update={"min_healthy": "most"})
    world.guard = world.guard.model_copy(update={"spec": spec})
    found = world.plan().blocked[fleet(1)[0].uid]
    assert str(found.reason) == "HealthFloor" and "'most'" in found.message
