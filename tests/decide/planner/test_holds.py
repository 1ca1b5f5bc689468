"""What holds operations that are under way, and how the brakes are shown in FleetGuard's status."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from exuvia.decide import planner
from exuvia.decide.brakes import holds as brakes
from exuvia.decide.brakes.holds import Holds
from exuvia.model.blocking import Blocked, View
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from tests.decide.planner.world import (
    HOUR,
    MINUTE,
    NOW,
    World,
    control_plane,
    fleet,
    guard,
    machine,
    quarantine,
    quiet,
    rotation,
    subject,
    tainted,
)

MACHINES = fleet(10)
DRAINING = rotation(MACHINES[0], "Draining")
ISOLATING = quarantine(MACHINES[1], "Isolating")
PERSONS = quarantine(MACHINES[2], "Isolating", by_policy=False)
RELEASED = quarantine(MACHINES[3], "Held", release_accepted={"by": "alice", "verdict": "Rotate"})
RELEASING = rotation(MACHINES[3], "Draining", spec={"releasedFrom": RELEASED.name})


def busy() -> World:
    return World(quiet(MACHINES), rotations=[DRAINING, RELEASING], quarantines=[ISOLATING, PERSONS, RELEASED])


def holds(world: World, operation: Rotation | Quarantine) -> Holds:
    return world.planner().holds_for(operation.uid, world.moment(), world.now)


def said(blocked: Blocked | None) -> str:
    return str(blocked.reason) if blocked else ""


ALL = (DRAINING, RELEASING, ISOLATING, PERSONS, RELEASED)


def test_nothing_holds_when_nothing_is_wrong() -> None:
    assert {holds(busy(), one) for one in ALL} == {Holds()}


def test_a_pause_and_a_view_that_cannot_be_trusted_hold_every_disruptive_write() -> None:
    world = busy()
    world.guard = guard(pauseRequests=[{"by": "alice", "reason": "incident"}])
    assert {said(holds(world, one).hold) for one in ALL} == {"Paused"}
    for view in (View(oldest=None), View(oldest=NOW - timedelta(seconds=61)), View(oldest=NOW, missing=("pods",))):
        world = busy()
        world.view = view
        assert {said(holds(world, one).hold) for one in ALL} == {"Unsynced"}
    world.view = View(oldest=NOW - timedelta(seconds=60))
    assert holds(world, DRAINING) == Holds()


def test_an_uninstall_does_not_hold_what_is_under_way() -> None:
    world = busy()
    world.guard = guard(uninstall={"by": "alice", "at": NOW})
    assert holds(world, DRAINING) == Holds()


def test_brakes_that_cannot_be_read_hold_all_but_a_persons_quarantine() -> None:
    world = busy()
    world.guard, world.guard_problem = None, "there is no FleetGuard default"
    assert said(holds(world, DRAINING).hold) == "Unsynced"
    assert said(holds(world, ISOLATING).hold) == "Unsynced"
    assert holds(world, PERSONS).hold is None


def test_a_wrong_clock_holds_quarantines_but_for_marks_and_no_rotation_under_way() -> None:
    world = busy()
    world.skew = timedelta(seconds=75)
    assert holds(world, DRAINING).hold is None
    assert said(holds(world, ISOLATING).hold) == "ClockSkew"
    world.guard = guard(pauseRequests=[{"by": "alice"}])
    assert said(holds(world, ISOLATING).hold) == "Paused"


def test_a_storm_and_expired_leases_hold_evictions_but_not_those_of_a_release() -> None:
    storms, leases = busy(), busy()
    storms.guard = guard(status={"storm": {"since": NOW - HOUR, "calmSince": NOW - MINUTE}})
    leases.leases = (5, 10)
    for world, reason in ((storms, "Storm"), (leases, "LeasesExpired")):
        for operation in (DRAINING, ISOLATING, PERSONS):
            found = holds(world, operation)
            assert (found.hold, said(found.eviction_hold)) == (None, reason)
        assert holds(world, RELEASING) == Holds()


def test_a_claim_to_carry_out_a_release_is_held_like_any_other() -> None:
    world = busy()
    claim = rotation(MACHINES[5], "Draining", spec={"releasedFrom": RELEASED.name})
    world.rotations = [claim]
    world.leases = (5, 10)
    assert said(holds(world, claim).eviction_hold) == "LeasesExpired"


def test_a_storm_that_begins_is_seen_before_it_is_written_down() -> None:
    world = World([*quiet(MACHINES[:4]), *quiet([machine(n, ready=False) for n in range(4, 10)])])
    world.guard = guard(minHealthy="60%")
    world.rotations = [DRAINING]
    assert said(holds(world, DRAINING).eviction_hold) == "Storm"


def test_a_machine_of_the_control_plane_is_not_removed_while_another_is_not_well() -> None:
    members = [control_plane(number) for number in range(3)]
    mine = rotation(members[0], "Drained")
    world = World(quiet(members), rotations=[mine])
    assert holds(world, mine) == Holds()
    world.subjects[1] = subject(control_plane(1, ready=False))
    assert said(holds(world, mine).removal_hold) == "ControlPlane"
    world.subjects = quiet(members[:2])
    assert said(holds(world, mine).removal_hold) == "ControlPlane"
    world.subjects = quiet([tainted(members[0]), *members[1:]])
    world.quarantines = [quarantine(members[1], "Held")]
    assert said(holds(world, mine).removal_hold) == "ControlPlane"


def test_a_machine_that_took_off_its_role_is_still_one_of_the_control_plane() -> None:
    members = [control_plane(number) for number in range(3)]
    mine = rotation(members[0], "Drained")
    world = World(quiet([machine(0), *members[1:]]), rotations=[mine])
    assert said(holds(world, mine).removal_hold) == "ControlPlane"


def test_a_machine_of_the_control_plane_that_is_gone_needs_no_removal() -> None:
    mine = rotation(control_plane(0), "Terminating")
    assert holds(World(quiet(fleet(3)[1:]), rotations=[mine]), mine).removal_hold is None


def test_a_machines_uid_finds_its_operation_too() -> None:
    world = busy()
    world.leases = (5, 10)
    world.skew = timedelta(seconds=75)
    planner = world.planner()
    assert said(planner.holds_for(MACHINES[1].uid, world.moment(), NOW).hold) == "ClockSkew"
    assert planner.holds_for(MACHINES[0].uid, world.moment(), NOW).hold is None
    assert planner.holds_for(MACHINES[3].uid, world.moment(), NOW) == Holds()
    assert said(planner.holds_for("unknown", world.moment(), NOW).eviction_hold) == "LeasesExpired"


def test_every_brake_is_shown_and_keeps_its_since() -> None:
    world = World(quiet(MACHINES))
    made = world.plan()
    assert {one.state for one in made.brakes} == {"Released"}
    assert {one.since for one in made.brakes} == {NOW}
    names = [one.name for one in made.brakes]
    assert sorted(names) == sorted(set(names)) and "storm" in names and "maxUnavailable" in names
    former = [one.wire() for one in made.brakes]
    world.guard = guard(status={"brakes": former}, pauseRequests=[{"by": "alice", "reason": "incident 42"}])
    world.now = NOW + HOUR
    found = {one.name: one for one in world.plan().brakes}
    assert (found["pause"].state, found["pause"].since) == ("Engaged", NOW + HOUR)
    assert "incident 42" in found["pause"].reason
    assert (found["storm"].state, found["storm"].since) == ("Released", NOW)


def test_brakes_that_are_used_up_are_engaged() -> None:
    spec = {"maxUnavailable": "1", "maxPerHour": "1", "oneZoneAtATime": True, "minHealthy": "9"}
    world = World(quiet(MACHINES), guard=guard(**spec), rotations=[rotation(MACHINES[0], "Replacing")])
    world.rotations[0] = rotation(MACHINES[0], "Replacing", created=NOW - MINUTE)
    world.leases, world.skew = (9, 10), timedelta(minutes=5)
    engaged = {one.name for one in world.plan().brakes if one.state == "Engaged"}
    assert engaged == {"maxUnavailable", "maxPerHour", "oneZoneAtATime", "minHealthy", "leases", "clock"}


def test_whether_a_machine_is_of_the_control_plane_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    members = [control_plane(number) for number in range(3)]
    world = World(quiet(members), rotations=[rotation(members[0], "Drained")])

    def is_member(uid: str, operation: Any, census: Any) -> bool:
        asked.append(uid)
        return was(uid, operation, census)

    was = brakes.is_member
    for module in (brakes, planner):
        monkeypatch.setattr(module, "is_member", is_member)
    holds(world, world.rotations[0])
    assert asked == [members[0].uid]
