"""Beside the table of brakes: claims, gates, the control plane, pauses, and what a Quarantine does to a Rotation."""

from __future__ import annotations

from dataclasses import replace

from exuvia.model.specs.security_policy import Action, not_supported
from tests.decide.planner.rows import SUSPECT, node_opted_out, old_view, paused, skewed, unreadable_guard, world_for
from tests.decide.planner.world import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    World,
    control_plane,
    fleet,
    guard,
    policy,
    quarantine,
    quiet,
    rotation,
    subject,
    tainted,
    wish,
)


def test_a_claim_to_be_released_lifts_nothing() -> None:
    world = world_for(wish(SUSPECT))
    world.subjects[0] = replace(world.subjects[0], wish=None)
    held = quarantine(SUSPECT, "Held", created=NOW - 2 * DAY)
    world.rotations = [rotation(SUSPECT, by_policy=False, number=9, spec={"releasedFrom": held.name})]
    node_opted_out(world)
    assert world.reason(SUSPECT) == "OptedOut"
    world.quarantines = [held]
    assert world.reason(SUSPECT) == "Quarantined"


def test_gates_make_a_policy_that_is_not_served_so_it_never_acts() -> None:
    gate = {"name": "alerts", "type": "Prometheus", "prometheus": {"url": "http://p", "query": "1", "maxValue": "0"}}
    rules = policy(gates=[gate])
    assert [place for place, _ in not_supported(rules.spec)] == ["spec.disruption.gates"]
    world = world_for(wish(SUSPECT), rules=replace(rules, enforces=False))
    made = world.plan()
    assert not made.openings and not made.blocked


def control_planes(count: int, wanted: Action) -> World:
    members = [control_plane(number) for number in range(count)]
    return World([subject(members[0], wanted), *quiet(members[1:]), *quiet(fleet(20)[10:])])


def test_control_plane_rotation_needs_three_or_more() -> None:
    assert control_planes(2, Action.ROTATE).reason(control_plane(0)) == "ControlPlane"
    assert control_planes(3, Action.ROTATE).started() == ["worker-0"]


def test_control_plane_rotation_needs_the_others_healthy() -> None:
    for spoilt in (control_plane(1, ready=False), control_plane(1, deleting=True), tainted(control_plane(1))):
        world = control_planes(4, Action.ROTATE)
        world.subjects[1] = subject(spoilt)
        assert world.reason(control_plane(0)) == "ControlPlane"
        assert not world.started()


def test_control_plane_goes_one_at_a_time() -> None:
    for action in (Action.ROTATE, Action.QUARANTINE):
        for kind in (rotation, quarantine):
            world = control_planes(5, action)
            other = kind(control_plane(1), "Draining" if kind is rotation else "Held", created=NOW - DAY)
            (world.rotations if kind is rotation else world.quarantines).append(other)  # type: ignore[arg-type]
            assert world.reason(control_plane(0)) == "ControlPlane"


def test_control_plane_quarantine_asks_neither_for_three_nor_for_healthy_others() -> None:
    world = control_planes(2, Action.QUARANTINE)
    world.subjects[1] = subject(control_plane(1, ready=False))
    assert world.started("Quarantine") == ["worker-0"]


def test_control_plane_waits_for_one_that_is_gone_but_not_yet_replaced() -> None:
    world = control_planes(3, Action.ROTATE)
    world.rotations = [rotation(control_plane(9), "Terminating", strategy="DrainFirst")]
    assert world.reason(control_plane(0)) == "ControlPlane"


def test_two_of_the_control_plane_never_start_in_one_plan() -> None:
    members = [control_plane(number) for number in range(5)]
    world = World([subject(one, Action.ROTATE) for one in members])
    assert world.started() == ["worker-0"]
    world = World([subject(one, Action.QUARANTINE) for one in members])
    assert world.started("Quarantine") == ["worker-0"]


def test_a_persons_quarantine_starts_without_brakes_but_one_at_a_time() -> None:
    machines = fleet(10)
    world = World(quiet(machines))
    unreadable_guard(world)
    world.quarantines = [quarantine(one, by_policy=False) for one in machines[:2]]
    assert world.started("Quarantine") == ["worker-0"]
    world.quarantines = [quarantine(machines[0], "Collecting"), quarantine(machines[1], by_policy=False)]
    assert not world.started("Quarantine")
    world.quarantines = [quarantine(machines[0], "Held"), quarantine(machines[1], by_policy=False)]
    assert world.started("Quarantine") == ["worker-1"]


def test_a_pause_that_is_over_holds_nothing() -> None:
    world = world_for(wish(SUSPECT))
    world.guard = guard(pauseRequests=[{"by": "alice", "until": NOW + MINUTE}])
    assert world.reason(SUSPECT) == "Paused"
    assert world.plan().blocked[SUSPECT.uid].next == NOW + MINUTE
    world.guard = guard(pauseRequests=[{"by": "alice", "until": NOW}])
    assert world.reason(SUSPECT) == ""


def test_of_several_pauses_the_last_one_counts() -> None:
    world = world_for(wish(SUSPECT))
    soon, later = {"by": "alice", "until": NOW + MINUTE}, {"by": "bob", "until": NOW + HOUR}
    world.guard = guard(pauseRequests=[soon, later])
    assert world.plan().blocked[SUSPECT.uid].next == NOW + HOUR
    world.guard = guard(pauseRequests=[soon, {"by": "bob"}])
    found = world.plan().blocked[SUSPECT.uid]
    assert found.next is None and "alice" in found.message and "bob" in found.message


def test_while_the_view_is_not_to_be_trusted_a_machine_that_is_not_seen_need_not_be_gone() -> None:
    world = World([], rotations=[rotation(SUSPECT, by_policy=False)])
    assert not world.plan().waiting
    old_view(world)
    assert str(world.plan().waiting[world.rotations[0].uid].reason) == "Unsynced"


def test_a_machine_that_a_policy_wants_quarantined_is_not_rotated_meanwhile() -> None:
    world = world_for(wish(SUSPECT, Action.QUARANTINE))
    world.guard = guard(quarantine={"maxAtOnce": "0", "maxPerHour": "10"})
    world.rotations = [rotation(SUSPECT)]
    made = world.plan()
    assert not made.openings and not made.grants
    assert str(made.waiting[world.rotations[0].uid].reason) == "Quarantined"
    assert str(made.blocked[SUSPECT.uid].reason) == "QuarantineLimit"


def test_a_quarantine_keeps_every_rotation_of_its_machine_from_starting() -> None:
    for phase in ("Pending", "Isolating", "Held"):
        world = world_for(wish(SUSPECT))
        world.quarantines = [quarantine(SUSPECT, phase)]
        assert str(world.plan().blocked[SUSPECT.uid].reason) == "Quarantined"
        world.rotations = [rotation(SUSPECT, by_policy=False, number=3)]
        assert str(world.plan().waiting[world.rotations[0].uid].reason) == "Quarantined"


def test_a_quarantine_displaces_a_rotation() -> None:
    world = world_for(wish(SUSPECT, Action.QUARANTINE))
    world.rotations = [rotation(SUSPECT, "Draining")]
    assert world.started("Quarantine") == ["worker-0"]


def test_every_message_says_something_and_explain_names_all_brakes() -> None:
    world = world_for(wish(SUSPECT))
    paused(world)
    node_opted_out(world)
    skewed(world)
    found = world.planner().explain(SUSPECT.uid, world.moment(), NOW)
    assert [str(one.reason) for one in found] == ["Paused", "ClockSkew", "OptedOut"]
    assert all(one.message for one in found)
