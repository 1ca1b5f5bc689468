"""Health: the floor, the storm with its cool-down that survives a restart, and leases."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from exuvia.model.blocking import View
from exuvia.model.planning import Plan
from tests.decide.planner.world import (
    HOUR,
    MINUTE,
    NOW,
    World,
    fleet,
    guard,
    machine,
    quarantine,
    quiet,
    rotation,
    violating,
)


def broken(bad: int, total: int = 10, **spec: Any) -> World:
    """A fleet in which so many are NotReady, and one healthy machine is wanted."""
    machines = [machine(n, ready=n < total - bad) for n in range(total)]
    return World([*violating(machines[:1]), *quiet(machines[1:])], guard=guard(**{"minHealthy": "60%", **spec}))


def remembered(world: World, made: Plan) -> None:
    """Write the storm into FleetGuard's status, as the sweep does."""
    assert world.guard is not None
    status = world.guard.status.model_copy(update={"storm": made.storm})
    world.guard = world.guard.model_copy(update={"status": status})


def test_a_storm_begins_when_the_floor_is_broken() -> None:
    assert broken(4).plan().storm is None
    made = broken(5).plan()
    assert made.storm is not None and made.storm.since == NOW and made.storm.calm_since is None
    assert broken(5).reason(machine(0)) == "Storm"


def test_one_bad_machine_is_no_storm_and_is_what_wants_replacing() -> None:
    bad = machine(0, ready=False)
    for strategy in ("ReplaceFirst", "DrainFirst"):
        world = World([*violating([bad]), *quiet([machine(1)])], guard=guard(minHealthy="60%"), strategy=strategy)
        assert world.plan().storm is None
        assert world.started() == ["worker-0"]


def test_a_storm_ends_only_after_its_cool_down_and_survives_a_restart() -> None:
    world = broken(5)
    remembered(world, world.plan())
    world.subjects = [*violating(fleet(1)), *quiet(fleet(10)[1:])]
    world.now = NOW + MINUTE
    made = world.plan()
    assert made.storm is not None and made.storm.calm_since == world.now
    assert made.next == NOW + 11 * MINUTE
    remembered(world, made)
    world.now = NOW + 11 * MINUTE - timedelta(seconds=1)
    assert world.reason(machine(0)) == "Storm"
    assert world.plan().blocked[machine(0).uid].next == NOW + 11 * MINUTE
    world.now = NOW + 11 * MINUTE
    assert world.plan().storm is None
    assert world.started() == ["worker-0"]


def test_a_storm_that_comes_back_starts_its_cool_down_anew() -> None:
    world = broken(5)
    world.guard = guard(minHealthy="60%", status={"storm": {"since": NOW - HOUR, "calmSince": NOW - 9 * MINUTE}})
    made = world.plan()
    assert made.storm is not None
    assert (made.storm.since, made.storm.calm_since) == (NOW - HOUR, None)


def test_a_calm_that_is_said_to_begin_in_the_future_begins_now() -> None:
    """Another leader's clock was ahead; the storm must not last until it."""
    world = broken(0)
    world.guard = guard(status={"storm": {"since": NOW - HOUR, "calmSince": NOW + HOUR}})
    made = world.plan()
    assert made.storm is not None and made.storm.calm_since == NOW


def test_a_view_that_cannot_be_trusted_ends_no_storm_and_begins_none() -> None:
    world = broken(0)
    world.guard = guard(status={"storm": {"since": NOW - HOUR, "calmSince": NOW - HOUR}})
    world.view = View(oldest=NOW - 2 * MINUTE)
    made = world.plan()
    assert made.storm is not None and made.storm.calm_since is None
    world = broken(5)
    world.view = View(oldest=None)
    assert world.plan().storm is None


def test_machines_whose_end_we_asked_for_make_no_storm() -> None:
    machines = [machine(n, ready=n >= 5) for n in range(10)]
    world = World(quiet(machines), guard=guard(minHealthy="60%"))
    world.rotations = [rotation(one, "Terminating") for one in machines[:5]]
    assert world.plan().storm is None
    world.rotations = [rotation(one, "Draining") for one in machines[:5]]
    assert world.plan().storm is not None


def test_held_machines_make_no_storm() -> None:
    machines = [machine(n, ready=n >= 5) for n in range(10)]
    world = World(quiet(machines), guard=guard(minHealthy="60%"))
    world.quarantines = [quarantine(one, "Held") for one in machines[:5]]
    assert world.plan().storm is None


def test_the_floor_counts_what_a_drain_first_start_takes() -> None:
    machines = fleet(10)
    world = World(violating(machines), guard=guard(minHealthy="60%"), strategy="DrainFirst")
    made = world.plan()
    assert len(made.openings) == 4
    assert {str(one.reason) for one in made.blocked.values()} == {"HealthFloor"}


def test_a_replace_first_start_takes_nothing_from_health() -> None:
    world = World(violating(fleet(10)), guard=guard(minHealthy="100%"))
    assert len(world.started()) == 10


def test_nothing_starts_below_a_floor_that_others_broke() -> None:
    machines = fleet(10)
    leaving = [machine(n, deleting=True) for n in range(5, 10)]
    world = World([*violating(machines[:1]), *quiet([*machines[1:5], *leaving])], guard=guard(minHealthy="60%"))
    assert world.reason(machines[0]) == "HealthFloor"


def test_leases_need_two_bad_ones_and_more_than_allowed() -> None:
    for leases, reason in (
        (None, ""),
        ((0, 10), ""),
        ((3, 10), ""),
        ((4, 10), "LeasesExpired"),
        ((1, 1), ""),
        ((1, 2), ""),
        ((2, 2), "LeasesExpired"),
        ((0, 0), "LeasesExpired"),
    ):
        world = World([*violating(fleet(1)), *quiet(fleet(10)[1:])], leases=leases)
        assert world.reason(machine(0)) == reason, leases


def test_an_empty_list_of_leases_is_believed_for_a_single_machine() -> None:
    assert World(violating(fleet(1)), leases=(0, 0)).started() == ["worker-0"]
