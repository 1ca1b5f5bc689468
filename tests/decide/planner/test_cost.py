"""The way of one fact must not grow with the fleet. Counted in calls, not seconds: a busy machine does not matter."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from exuvia.decide.planner import Planner
from tests.decide.planner.world import NOW, World, machine, policy, quiet, rotation, subject, violating, wish

BUDGETS = (
    {"name": "tenth", "nodes": "10%"},
    {"name": "per-zone", "nodes": "1", "topologyKey": "topology.kubernetes.io/zone"},
)


def world_of(count: int) -> World:
    machines = [machine(number, zone="abc"[number % 3]) for number in range(count)]
    world = World([*violating(machines[:5]), *quiet(machines[5:])], policies=[policy(budgets=BUDGETS)])
    world.rotations = [rotation(one, "Replacing") for one in machines[20:40]]
    return world


def calls(what: Callable[[], Any]) -> int:
    count = 0

    def tracer(_frame: FrameType, event: str, _arg: Any) -> None:
        nonlocal count
        count += event == "call"

    former = sys.getprofile()
    gc.disable()  # what others hang onto the collector is none of ours
    sys.setprofile(tracer)
    try:
        what()
    finally:
        sys.setprofile(former)
        gc.enable()
    return count


def planning(world: World) -> tuple[Planner, Callable[[], Any]]:
    planner, moment = world.planner(), world.moment()
    planner.plan(moment, NOW)
    return planner, lambda: planner.plan(moment, NOW)


def test_a_plan_costs_the_same_for_five_hundred_and_five_thousand_machines() -> None:
    _, small = planning(world_of(500))
    _, large = planning(world_of(5000))
    assert calls(large) <= 1.1 * calls(small)


def test_a_changed_machine_costs_the_same_for_any_fleet() -> None:
    small, _ = planning(world_of(500))
    large, _ = planning(world_of(5000))
    one = machine(7)
    changed = subject(one, wish(one))
    assert calls(lambda: large.set_subject(changed)) <= 1.1 * calls(lambda: small.set_subject(changed))


def test_machines_that_come_and_go_leave_nothing_behind() -> None:
    """Host names as topology values, each of them once."""
    planner = Planner()
    planner.set_policies([policy(budgets=[{"name": "host", "nodes": "1", "topologyKey": "kubernetes.io/hostname"}])])
    for number in range(500):
        one = machine(number, ready=False, since=NOW, labels={"kubernetes.io/hostname": f"worker-{number}"})
        planner.set_subject(subject(one))
        planner.drop_subject(one.uid)
    assert planner.plan(World([]).moment(), NOW).fleet_disrupted == 0
    census = planner._census
    assert not census.records and not census._counts and not census._due
    assert not census.scopes("workers", "kubernetes.io/hostname")
