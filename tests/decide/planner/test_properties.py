"""What holds for every fleet and every sequence of plans (architecture.md, properties; safety.md, 4, 5, 11, 12)."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from exuvia.decide import planner as planner_module
from exuvia.decide.brakes.holds import Holds, eviction_hold, removal_hold, standing_hold
from exuvia.decide.planner import plan
from exuvia.model.blocking import View
from exuvia.model.planning import Plan, Start, Subject
from exuvia.model.specs.fleet_guard import FleetGuardStatus, StormStatus
from exuvia.model.specs.rotation import Rotation, RotationPhase
from tests.decide.planner import drawing, oracle
from tests.decide.planner.world import MINUTE, World

MORE = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
)


def starts(made: Plan) -> set[tuple[str, str]]:
    return {(one.kind, one.instance) for one in (*made.openings, *made.grants)}


@MORE
@given(world=drawing.worlds())
def test_no_compliant_machine_is_a_candidate(world: World) -> None:
    wanted = {one.uid for one in world.subjects if one.wish is not None}
    asked = {one.spec.instance.uid for one in (*world.rotations, *world.quarantines)}
    made = world.plan()
    assert {one.instance for one in made.openings} <= wanted
    assert set(made.blocked) <= wanted
    assert {one.instance for one in made.grants} <= asked


@MORE
@given(world=drawing.worlds())
def test_whatever_is_wanted_starts_or_says_why_not(world: World) -> None:
    made = world.plan()
    enforcing = {one.name for one in world.policies if one.enforces}
    for one in world.subjects:
        if one.wish is None or one.wish.policy not in enforcing:
            continue
        kind, others = (
            ("Rotation", world.rotations) if one.wish.action == "Rotate" else ("Quarantine", world.quarantines)
        )
        has_one = any(other.open and other.spec.instance.uid == one.uid for other in others)
        assert has_one or one.uid in made.blocked or (kind, one.uid) in starts(made)


@MORE
@given(world=drawing.worlds())
def test_budgets_and_floors_hold_for_any_fleet(world: World) -> None:
    assert oracle.breaches(world, world.plan()) == []


@MORE
@given(world=drawing.worlds())
def test_the_disrupted_set_is_that_of_the_contract(world: World) -> None:
    made = world.plan()
    after = World(**{name: getattr(world, name) for name in world.__dataclass_fields__})
    after.rotations, after.quarantines = list(world.rotations), list(world.quarantines)
    after.apply(made)
    assert made.fleet_disrupted == len(oracle.disrupted(after))


@MORE
@given(world=drawing.worlds())
def test_planning_again_right_after_applying_adds_nothing(world: World) -> None:
    world.apply(world.plan())
    assert starts(world.plan()) == set()


@MORE
@given(world=drawing.worlds(), seed=st.integers(0, 1000))
def test_the_order_of_listing_does_not_matter(world: World, seed: int) -> None:
    """Nor do names: they are the same, because the plan is."""
    made = world.plan()
    shuffle = random.Random(seed).shuffle
    for some in (world.subjects, world.policies, world.rotations, world.quarantines):
        shuffle(some)
    assert world.plan() == made


@MORE
@given(world=drawing.worlds(), how=st.integers(0, 3))
def test_a_view_that_cannot_be_trusted_starts_nothing(world: World, how: int) -> None:
    missing = View(oldest=None, missing=("nodes (not listed yet)",))
    world.view = [missing, View(oldest=None), View(oldest=world.now - timedelta(seconds=61)), missing][how]
    if how == 3:
        world.subjects = []  # nothing listed is not an empty fleet
    made = world.plan()
    assert starts(made) == set()
    assert not made.needs_leases


@MORE
@given(world=drawing.worlds())
def test_brakes_that_cannot_be_read_let_only_one_persons_quarantine_start(world: World) -> None:
    world.guard = None
    made = world.plan()
    assert not made.openings
    assert len(made.grants) <= 1
    assert all(one.kind == "Quarantine" for one in made.grants)


@MORE
@given(world=drawing.worlds())
def test_leases_that_were_not_listed_let_no_rotation_start(world: World) -> None:
    with_leases = world.plan()
    world.leases = None
    without = world.plan()
    rotations = {one for one in starts(with_leases) if one[0] == "Rotation"}
    assert without.needs_leases == bool(rotations)
    assert starts(without) == starts(with_leases) - rotations


@MORE
@given(world=drawing.worlds(), data=st.data())
def test_told_one_by_one_gives_the_same_plan_as_told_all_at_once(world: World, data: st.DataObject) -> None:
    planner = world.planner()
    for _ in range(data.draw(st.integers(1, 6))):
        change = data.draw(st.integers(0, 4))
        if change == 0:
            world.policies = data.draw(drawing.policies())
            planner.set_policies(world.policies)
        elif change == 1 and world.subjects:
            gone = world.subjects.pop(data.draw(st.integers(0, len(world.subjects) - 1)))
            planner.drop_subject(gone.uid)
        elif change == 2:
            number = data.draw(st.integers(0, 14))
            made = data.draw(drawing.subjects(number))
            world.subjects = [one for one in world.subjects if one.uid != made.uid] + [made]
            planner.set_subject(made)
        elif change == 3 and world.subjects:
            index = data.draw(st.integers(0, len(world.subjects) - 1))
            vanished = Subject(uid=world.subjects[index].uid, instance=None)
            planner.set_subject(vanished)
            del world.subjects[index]
        else:
            world.now += timedelta(seconds=data.draw(st.sampled_from([1, 2, 5, 400])))
        moment = world.moment()
        incremental = planner.plan(moment, world.now)
        assert incremental == plan(world.policies, world.subjects, moment, world.now)
        if data.draw(st.booleans()):
            world.apply(incremental)


def moved_on(world: World, rotation: Rotation, phase: str) -> Rotation:
    ended = {"finished_at": world.now, "reason": "Replaced"} if phase in ("Succeeded", "Failed") else {}
    status = rotation.status.model_copy(update={"phase": RotationPhase(phase), **ended})
    return rotation.model_copy(update={"status": status})


@MORE
@given(world=drawing.worlds(most=10), data=st.data())
def test_budgets_floors_and_rates_hold_for_any_sequence(world: World, data: st.DataObject) -> None:
    """Plans are applied one after the other while machines fall ill, vanish and come back, operations go on and end,
    ended ones are removed (the ledger remembers their start) and the process is restarted all the time."""
    for _ in range(data.draw(st.integers(2, 7))):
        made = world.plan()
        assert oracle.breaches(world, made) == []
        world.apply(made)
        _live_on(world, data)
        world.now += data.draw(st.sampled_from([1, 5, 25])) * MINUTE


def _live_on(world: World, data: st.DataObject) -> None:
    if world.subjects and data.draw(st.booleans()):
        index = data.draw(st.integers(0, len(world.subjects) - 1))
        uid = world.subjects[index].uid
        new = data.draw(drawing.subjects(int(uid[:4])))
        world.subjects[index] = replace(new, selecting=world.subjects[index].selecting, wish=world.subjects[index].wish)
    if world.rotations and data.draw(st.booleans()):
        index = data.draw(st.integers(0, len(world.rotations) - 1))
        one = world.rotations[index]
        if one.open and one.status.settings is not None:
            world.rotations[index] = moved_on(
                world, one, data.draw(st.sampled_from(["Draining", "Succeeded", "Failed"]))
            )
        elif not one.open:
            started = one.status.started_at
            del world.rotations[index]
            world.starts += [Start(operation=one.uid, kind="Rotation", at=started)] if started else []


@MORE
@given(world=drawing.worlds(), leases=st.tuples(st.integers(0, 4), st.integers(0, 12)), stormed=st.booleans())
def test_what_holds_an_operation_is_what_the_whole_picture_says(
    world: World, leases: tuple[int, int], stormed: bool
) -> None:
    """The picture is painted only where it may say something; it never would have said anything else."""
    world.leases = leases
    if stormed and world.guard is not None:
        storm = StormStatus(since=world.now - MINUTE, calm_since=world.now)
        world.guard = world.guard.model_copy(update={"status": FleetGuardStatus(storm=storm)})
    planner, moment = world.planner(), world.moment()
    for one in (*world.rotations, *world.quarantines):
        picture = planner._picture(moment, world.now)
        operation = one if one.open else planner_module._operation(one.uid, moment)
        machine = operation.spec.instance.uid if operation is not None else one.uid
        assert planner.holds_for(one.uid, moment, world.now) == Holds(
            hold=standing_hold(operation, moment, world.now),
            eviction_hold=eviction_hold(operation, picture),
            removal_hold=removal_hold(machine, operation, picture),
        )
