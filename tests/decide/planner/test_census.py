"""What counts as disrupted, what is in the base of percentages, and what is in neither (operations.md)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from exuvia.model.planning import Plan, Subject
from exuvia.model.specs.rotation import Rotation
from exuvia.model.specs.security_policy import Action
from tests.decide.planner.world import (
    DAY,
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
    tainted,
    violating,
)

SECOND = timedelta(seconds=1)


def planned(subjects: list[Subject], **facts: Any) -> Plan:
    return World(subjects, **facts).plan()


@pytest.mark.parametrize(
    ("one", "disrupted"),
    [
        (subject(machine(0)), 0),
        (subject(machine(0, deleting=True)), 1),
        (subject(machine(0, ready=False)), 1),
        (subject(machine(0, ready=False, since=NOW - 5 * SECOND)), 1),
        (subject(machine(0, ready=False, since=NOW - 4 * SECOND)), 0),
        (subject(machine(0, ready=False), ready_once=False), 0),
        (subject(machine(0, unschedulable=True)), 0),  # somebody else's cordon
        (subject(tainted(machine(0))), 1),
        (subject(tainted(machine(0), "exuvia.dev/quarantined")), 1),
        (subject(machine(0, unschedulable=True, labels={"exuvia.dev/state": "quarantined"})), 1),
        (subject(machine(0, labels={"exuvia.dev/state": "quarantined"})), 0),
    ],
)
def test_what_is_seen_of_a_machine(one: Subject, disrupted: int) -> None:
    assert planned([one, *quiet(fleet(5)[1:])]).fleet_disrupted == disrupted


@pytest.mark.parametrize(
    ("phase", "disrupted"),
    [
        *[("Pending", 0), ("Replacing", 1), ("Cordoned", 1), ("Draining", 1), ("Drained", 1), ("Terminating", 1)],
        *[("Succeeded", 0), ("Failed", 0), ("Aborted", 0)],
    ],
)
def test_a_rotation_past_pending_disrupts(phase: str, disrupted: int) -> None:
    machines = fleet(5)
    made = planned(quiet(machines), rotations=[rotation(machines[0], phase, finished_at=NOW - 2 * DAY)])
    assert made.fleet_disrupted == disrupted


@pytest.mark.parametrize(
    ("phase", "disrupted"),
    [("Pending", 0), ("Isolating", 1), ("Collecting", 1), ("Sealed", 1), ("Held", 0), ("Released", 0), ("Aborted", 0)],
)
def test_a_quarantine_disrupts_until_it_is_held(phase: str, disrupted: int) -> None:
    machines = fleet(5)
    paused = guard(pauseRequests=[{"by": "alice"}])
    world = World(quiet(machines), guard=paused, quarantines=[quarantine(machines[0], phase)])
    assert world.plan().fleet_disrupted == disrupted


def test_a_held_machine_is_in_no_base_and_not_disrupted_though_it_bears_our_taint() -> None:
    machines = fleet(20)
    machines[0] = tainted(machines[0], "exuvia.dev/quarantined")
    world = World(violating(machines[1:]), guard=guard(maxUnavailable="10%"))
    world.subjects.append(subject(machines[0]))
    world.quarantines = [quarantine(machines[0], "Held", created=NOW - DAY)]
    made = world.plan()
    assert len(made.openings) == 1  # 10% of 19, not of 20
    assert made.fleet_disrupted == 1


def test_a_quarantined_machine_that_is_gone_costs_no_brake() -> None:
    world = World(quiet(fleet(5)), quarantines=[quarantine(machine(40), "Collecting")])
    assert world.plan().fleet_disrupted == 0
    world.guard = guard(quarantine={"maxAtOnce": "1", "maxPerHour": "100"})
    world.subjects = violating(fleet(5), Action.QUARANTINE)
    assert world.started("Quarantine") == ["worker-0"]


def test_a_machine_that_is_gone_while_its_rotation_is_open_is_disrupted_and_stays_in_the_base() -> None:
    per_zone = policy(budgets=[{"name": "zone", "nodes": "50%", "topologyKey": "topology.kubernetes.io/zone"}])
    gone = rotation(machine(40), "Terminating", strategy="DrainFirst")
    machines = fleet(3)
    world = World(violating(machines), policies=[per_zone], rotations=[gone])
    made = world.plan()
    assert made.fleet_disrupted == 2
    assert len(made.openings) == 1  # 50% of 4 in the zone, one of them gone
    world.subjects.append(Subject(uid=machine(40).uid, instance=None))
    assert world.plan() == made


def test_a_surge_replacement_counts_when_its_operation_ends() -> None:
    machines = fleet(20)
    world = World(violating(machines[1:3]), guard=guard(maxUnavailable="10%"))
    world.subjects += quiet([machines[0], *machines[3:]])
    replacement = {"name": machines[19].name, "uid": machines[19].uid}
    world.rotations = [rotation(machines[0], "Draining", replacement=replacement)]
    assert world.plan().fleet_allowed == 0  # 10% of 19
    world.rotations = [rotation(machines[0], "Draining")]
    assert len(world.started()) == 1  # 10% of 20


def test_the_rotation_of_a_released_machine_adds_nothing() -> None:
    machines = fleet(5)
    held = quarantine(machines[0], "Held", release_accepted={"by": "alice", "verdict": "Rotate"})
    world = World(quiet(machines), quarantines=[held])
    world.rotations = [rotation(machines[0], "Draining", spec={"releasedFrom": held.name})]
    assert world.plan().fleet_disrupted == 0
    world.subjects = quiet(machines[1:])
    assert world.plan().fleet_disrupted == 0
    world.quarantines = []
    assert world.plan().fleet_disrupted == 1  # nothing says that it was released


def test_the_start_of_a_release_adds_nothing_either() -> None:
    machines = fleet(5)
    held = quarantine(machines[0], "Held", release_accepted={"by": "alice", "verdict": "Rotate"})
    world = World(quiet(machines), quarantines=[held])
    world.rotations = [rotation(machines[0], spec={"releasedFrom": held.name})]
    made = world.plan()
    assert len(made.grants) == 1 and made.fleet_disrupted == 0


def test_a_young_machine_that_was_never_ready_is_in_no_base() -> None:
    machines = fleet(20)
    young = [subject(one, ready_once=False) for one in machines[10:]]
    world = World([*violating(machines[:10]), *young], guard=guard(maxUnavailable="10%"))
    assert len(world.started()) == 1


def test_every_start_of_a_plan_counts_for_the_next_one() -> None:
    world = World(violating(fleet(50)), guard=guard(maxUnavailable="3"))
    made = world.plan()
    assert (len(made.openings), made.fleet_disrupted, made.fleet_allowed) == (3, 3, 0)
    assert len(made.blocked) == 47


def test_a_lowered_cap_binds_at_once_for_what_is_not_yet_disrupted() -> None:
    machines = fleet(10)
    world = World(violating(machines), guard=guard(maxUnavailable="1"))
    world.rotations = [rotation(one, "Replacing") for one in machines[:4]]
    made = world.plan()
    assert not made.openings and made.fleet_disrupted == 4 and made.fleet_allowed == 0


def test_time_alone_makes_a_machine_disrupted() -> None:
    bad = machine(0, ready=False, since=NOW)
    world = World([subject(bad), *quiet(fleet(5)[1:])])
    planner = world.planner()
    assert planner.plan(world.moment(), NOW + 4 * SECOND).fleet_disrupted == 0
    assert planner.plan(world.moment(), NOW + 5 * SECOND).fleet_disrupted == 1
    planner.set_subject(subject(machine(0)))
    assert planner.plan(world.moment(), NOW + 6 * SECOND).fleet_disrupted == 0


def test_a_machine_that_recovers_in_time_is_never_disrupted() -> None:
    bad = machine(0, ready=False, since=NOW)
    world = World([subject(bad), *quiet(fleet(5)[1:])])
    planner = world.planner()
    assert planner.plan(world.moment(), NOW + SECOND).fleet_disrupted == 0
    planner.set_subject(subject(machine(0, since=NOW + 2 * SECOND)))
    assert planner.plan(world.moment(), NOW + DAY).fleet_disrupted == 0
    planner.set_subject(subject(machine(0, ready=False, since=NOW + DAY)))
    assert planner.plan(world.moment(), NOW + DAY + 4 * SECOND).fleet_disrupted == 0


def test_a_zone_of_a_rotation_is_the_one_it_recorded() -> None:
    machines = [machine(0, zone="a"), machine(1, zone="b")]
    world = World([*violating(machines), *quiet(fleet(9)[5:])], guard=guard(oneZoneAtATime=True))
    moved = rotation(machine(40, zone="b"), "Terminating")
    world.rotations = [moved]
    assert world.started() == ["worker-1"]


def test_starts_of_one_plan_stay_in_one_zone() -> None:
    machines = [machine(n, zone="ab"[n % 2]) for n in range(6)]
    world = World(violating(machines), guard=guard(oneZoneAtATime=True))
    assert world.started() == ["worker-0", "worker-2", "worker-4"]


def test_what_needs_no_settings_asks_for_none() -> None:
    """A thousand that wait cost no settings each."""
    asked: list[str] = []
    world = World(violating(fleet(100)), guard=guard(maxUnavailable="0"))
    moment = world.moment()

    def settings_for(uid: str) -> Any:
        asked.append(uid)
        return moment.settings_for(uid)

    world.planner().plan(replace(moment, settings_for=settings_for), NOW)
    assert asked == []


def test_rotations_without_settings_count_in_the_fleet() -> None:
    bare = rotation(machine(40), "Replacing")
    status = bare.status.model_copy(update={"settings": None})
    world = World(quiet(fleet(5)), rotations=[Rotation(metadata=bare.metadata, spec=bare.spec, status=status)])
    assert world.plan().fleet_disrupted == 1


def test_a_replacement_of_a_quarantine_counts_once_the_machine_is_held() -> None:
    machines = fleet(21)
    capacity = {"state": "Requested", "replacement": {"name": machines[20].name, "uid": machines[20].uid}}
    world = World(quiet(machines), guard=guard(maxUnavailable="10%"))
    world.quarantines = [quarantine(machines[0], "Collecting", capacity=capacity)]
    assert world.plan().fleet_allowed == 1  # 10% of 20, one of them disrupted
    world.quarantines = [quarantine(machines[0], "Held", capacity=capacity)]
    assert world.plan().fleet_allowed == 2  # 10% of 20, none of them disrupted
    world.subjects = quiet(machines[:20])
    assert world.plan().fleet_allowed == 1  # 10% of 19


def test_a_quarantine_of_a_machine_that_is_being_rotated_disrupts_nothing_more() -> None:
    machines = fleet(5)
    one = policy(budgets=[{"name": "one", "nodes": "1", "actions": ["Rotate", "Quarantine"]}])
    world = World([*violating(machines[:1], Action.QUARANTINE), *quiet(machines[1:])], policies=[one])
    world.rotations = [rotation(machines[0], "Draining")]
    assert world.started("Quarantine") == ["worker-0"]
    world.rotations = [rotation(machines[1], "Draining")]
    assert world.reason(machines[0]) == "BudgetExhausted"


def test_quarantine_starts_of_one_plan_count_for_the_hour() -> None:
    world = World(violating(fleet(9), Action.QUARANTINE), guard=guard(quarantine={"maxAtOnce": "9", "maxPerHour": "2"}))
    assert world.started("Quarantine") == ["worker-0", "worker-1"]
