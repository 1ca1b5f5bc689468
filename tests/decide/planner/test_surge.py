"""A replacement that joined and that nobody has named yet raises no allowance (safety.md, 4)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exuvia.model.instances import Instance
from exuvia.model.planning import Subject
from exuvia.model.specs.operation import ReplacementStatus
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.model.specs.security_policy import Action
from tests.decide.planner import drawing, oracle
from tests.decide.planner.test_properties import MORE
from tests.decide.planner.world import (
    HOUR,
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

SECOND = timedelta(seconds=1)
ASKED = "2026-11-24T11:59:50Z"
JOINED = NOW - 5 * SECOND


def newcomers(count: int, **facts: Any) -> list[Instance]:
    return [machine(200 + number, born=JOINED, since=NOW, **facts) for number in range(count)]


def request(number: int, named: Instance | None = None) -> dict[str, Any]:
    asked = {"requestID": f"r-{number}", "requestedAt": ASKED}
    return asked | ({"uid": named.uid, "name": named.name} if named else {})


def hundred(**brakes: Any) -> World:
    """A hundred old machines, ten of them in Replacing, and the ten that came for them."""
    old, new = fleet(100), newcomers(10)
    world = World([*violating(old), *quiet(new)], **brakes)
    for number, one in enumerate(old[:10]):
        world.rotations.append(rotation(one, "Replacing", created=NOW - 15 * SECOND, replacement=request(number)))
    return world


def test_ten_of_a_hundred_stay_ten_while_their_replacements_are_there_and_unnamed() -> None:
    for brakes in (
        {"policies": [policy(budgets=[{"name": "tenth", "nodes": "10%"}])]},
        {"guard": guard(maxUnavailable="10%")},
    ):
        made = hundred(**brakes).plan()
        assert (made.openings, made.fleet_disrupted) == ((), 10)


def test_neither_the_starts_of_an_hour_nor_the_floor_are_raised_by_them() -> None:
    assert hundred(guard=guard(maxPerHour="10%")).started() == []
    world = hundred(guard=guard(minHealthy="89"))
    world.strategy = "DrainFirst"
    world.rotations = [rotation(one, "Replacing", replacement=request(0), strategy="DrainFirst") for one in fleet(11)]
    world.subjects = [*violating(fleet(100)), *quiet(newcomers(11))]
    assert world.started() == []


def test_who_joined_before_anything_was_asked_for_counts() -> None:
    world = hundred(guard=guard(maxUnavailable="10%"))
    world.subjects = [*violating(fleet(100)), *quiet(machine(200 + n, born=NOW - HOUR) for n in range(10))]
    assert len(world.started()) == 1


def test_who_joined_another_pool_or_is_named_by_an_ended_one_counts() -> None:
    world = hundred(guard=guard(maxUnavailable="10%"))
    world.subjects = [*violating(fleet(100)), *quiet(newcomers(10, pool="another"))]
    assert len(world.started()) == 1
    world.subjects = [*violating(fleet(100)), *quiet(newcomers(10))]
    world.rotations += [
        rotation(machine(300 + n), "Succeeded", finished_at=NOW, replacement=request(50 + n, one))
        for n, one in enumerate(newcomers(10))
    ]
    assert len(world.started()) == 1


def test_who_joined_without_its_pool_written_on_it_may_be_one_of_them() -> None:
    world = hundred(guard=guard(maxUnavailable="10%"))
    world.subjects = [*violating(fleet(100)), *quiet(newcomers(10, pool=""))]
    assert world.started() == []


def test_no_more_of_them_are_taken_out_than_are_to_come() -> None:
    """A pool that grows while one replacement is to come is a larger pool."""
    world = World([*violating(fleet(10)), *quiet(newcomers(30))], guard=guard(maxUnavailable="10%"))
    world.rotations = [rotation(fleet(1)[0], "Replacing", replacement=request(0))]
    assert len(world.started()) == 2  # 10% of 39, less the one


def test_a_pool_that_is_refilled_by_its_owner_has_its_newcomer_out_until_it_is_claimed() -> None:
    gone = rotation(machine(90), "Terminating", strategy="DrainFirst", created=NOW - HOUR)
    world = World([*violating(fleet(9)), *quiet(newcomers(10))], guard=guard(maxUnavailable="10%"))
    world.rotations = [gone]
    assert world.started() == []  # 10% of 9 newcomers, 9 others and the one that is gone
    world.subjects.append(subject(machine(50)))
    assert len(world.started()) == 1


@pytest.mark.parametrize("superseded", [False, True])
def test_what_came_for_a_machine_that_is_being_quarantined_is_surge(superseded: bool) -> None:
    """Its own request, or, until it has said what becomes of it, that of the Rotation that it superseded."""
    machines = fleet(19)
    world = World([*violating(machines), *quiet(newcomers(1))], guard=guard(maxUnavailable="10%"))
    capacity: dict[str, Any] = {"capacity": {"state": "Requested", "replacement": request(0)}}
    world.quarantines = [quarantine(machines[0], "Isolating", **({} if superseded else capacity))]
    if superseded:
        ended = {"finished_at": NOW, "reason": "SupersededByQuarantine", "replacement": request(0)}
        world.rotations = [rotation(machines[0], "Aborted", **ended)]
    assert world.started() == []
    world.subjects.append(subject(machine(50)))
    assert len(world.started()) == 1


PERCENT = st.sampled_from(["10%", "20%", "30%", "50%"])
EVERYONE = ("alpha", "beta")


@st.composite
def surging(draw: st.DrawFn) -> tuple[World, World]:
    """A world in which replacements have joined that nobody has named, beside newcomers of other people; and the same
    with every one of them named."""
    old = [draw(subjects(number)) for number in range(draw(st.integers(4, 12)))]
    world = World(old, policies=[policy(name, budgets=draw(budgets())) for name in EVERYONE])
    world.guard = guard(maxUnavailable=draw(PERCENT), maxPerHour=draw(PERCENT), minHealthy=draw(PERCENT))
    world.strategy = draw(st.sampled_from(["ReplaceFirst", "DrainFirst"]))
    named, moment = list[Rotation](), st.sampled_from([1, 20, 4000])
    for number in range(draw(st.integers(0, 4))):
        asked = NOW - draw(moment) * SECOND
        one, came = draw(asking(old[number], asked)), draw(newborn(40 + number, "p", asked))
        status = ReplacementStatus(request_id=f"r-{number}", requested_at=asked)
        joined = draw(st.integers(0, 4)) > 0
        world.subjects = [*world.subjects, came] if joined else world.subjects
        world.rotations.append(_with(one, status))
        named.append(_with(one, status.model_copy(update={"uid": came.uid})) if joined else _with(one, status))
    for number in range(draw(st.integers(0, 2))):
        world.subjects.append(draw(newborn(70 + number, draw(st.sampled_from("pq")), NOW - draw(moment) * SECOND)))
    twin = World(**{name: getattr(world, name) for name in world.__dataclass_fields__})
    twin.rotations = named
    return world, twin


@st.composite
def subjects(draw: st.DrawFn, number: int) -> Subject:
    """A machine that was there before."""
    found = draw(drawing.subjects(number))
    assert found.instance is not None
    made = machine(number, pool="p", zone=found.instance.zone, ready=draw(st.integers(0, 9)) > 0)
    wanted = wish(made, policy="alpha") if draw(st.integers(0, 3)) else None
    return subject(made, wanted, selecting=EVERYONE if draw(st.booleans()) else ("alpha",))


@st.composite
def budgets(draw: st.DrawFn) -> list[dict[str, object]]:
    """One for all, or one for each zone."""
    by_zone = {"topologyKey": "topology.kubernetes.io/zone"} if draw(st.booleans()) else {}
    return [{"name": "one", "nodes": draw(PERCENT), **by_zone}]


@st.composite
def asking(draw: st.DrawFn, old: Subject, asked: datetime) -> Rotation:
    """A Rotation that has asked for a machine."""
    assert old.instance is not None
    strategy = draw(st.sampled_from(["ReplaceFirst", "DrainFirst"]))
    phase = "Replacing" if strategy == "ReplaceFirst" else "Terminating"
    return rotation(old.instance, phase, created=asked - HOUR, policies=old.selecting, strategy=strategy)


@st.composite
def newborn(draw: st.DrawFn, number: int, pool: str, asked: datetime) -> Subject:
    """Somebody that joined after that moment, of whom nothing is wanted."""
    found = draw(subjects(number))
    assert found.instance is not None
    return replace(found, instance=replace(found.instance, pool=pool, born=asked + SECOND), wish=None)


def _with(one: Rotation, replacement: ReplacementStatus) -> Rotation:
    status = one.status.model_copy(update={"replacement": replacement})
    return one.model_copy(update={"status": status})


@MORE
@given(worlds=surging())
def test_no_more_starts_for_what_nobody_has_named(worlds: tuple[World, World]) -> None:
    unnamed, named = worlds[0].plan(), worlds[1].plan()
    assert len(unnamed.openings) <= len(named.openings)
    assert unnamed.fleet_disrupted <= named.fleet_disrupted


@MORE
@given(worlds=surging())
def test_budgets_floors_and_rates_hold_while_nobody_has_named_who_came(worlds: tuple[World, World]) -> None:
    """By the second opinion, which is told whom each of them came for."""
    world, named = worlds
    assert oracle.breaches(named, world.plan()) == []


def test_a_quarantine_that_is_held_has_its_replacement_in_the_base() -> None:
    machines = fleet(20)
    capacity = {"state": "Requested", "replacement": request(0)}
    held: Quarantine = quarantine(machines[0], "Held", capacity=capacity)
    world = World([*violating(machines, Action.ROTATE), *quiet(newcomers(1))], guard=guard(maxUnavailable="10%"))
    world.quarantines = [held]
    assert len(world.started()) == 2  # 10% of 20
