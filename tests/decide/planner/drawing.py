"""Fleets, policies and operations of all kinds, for the property tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import strategies as st

from exuvia.model.instances import Instance
from exuvia.model.planning import PolicyFacts, Subject
from exuvia.model.specs.fleet_guard import FleetGuard
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.model.specs.security_policy import Action, Severity
from tests.decide.planner.world import (
    HOUR,
    MINUTE,
    NOW,
    World,
    control_plane,
    guard,
    machine,
    policy,
    quarantine,
    rotation,
    subject,
    tainted,
    wish,
)

AMOUNTS = st.sampled_from(["0", "0%", "1", "2", "5", "1%", "10%", "30%", "50%", "100%"])
POLICIES = ("alpha", "beta", "gamma")
SECONDS = st.sampled_from([0, 3, 4, 5, 6, 60, 4000])


@st.composite
def machines(draw: st.DrawFn, number: int) -> Instance:
    """A machine in any condition."""
    make = control_plane if draw(st.integers(0, 7)) == 0 else machine
    ready = draw(st.integers(0, 4)) > 0
    since = NOW - timedelta(seconds=draw(SECONDS))
    made = make(number, ready=ready, since=since, zone=draw(st.sampled_from("abc")), pool=draw(st.sampled_from("pq")))
    if draw(st.integers(0, 9)) == 0:
        made = replace(made, deleting=True)
    if draw(st.integers(0, 9)) == 0:
        made = tainted(made)
    if draw(st.integers(0, 9)) == 0:
        made = replace(made, annotations={"exuvia.dev/do-not-disrupt": "true"})
    return made


@st.composite
def subjects(draw: st.DrawFn, number: int) -> Subject:
    """A machine, the policies that select it, and what they want of it."""
    instance = draw(machines(number))
    selecting = tuple(sorted(draw(st.sets(st.sampled_from(POLICIES)))))
    wanted = None
    if selecting and draw(st.booleans()):
        wanted = wish(
            instance,
            draw(st.sampled_from([Action.ROTATE, Action.ROTATE, Action.QUARANTINE])),
            policy=draw(st.sampled_from(selecting)),
            severity=draw(st.sampled_from(list(Severity))),
            hard=draw(st.booleans()),
        )
    return subject(instance, wanted, ready_once=draw(st.integers(0, 9)) > 0, selecting=selecting)


@st.composite
def policies(draw: st.DrawFn) -> list[PolicyFacts]:
    """Policies with budgets of all kinds; not all of them enforce."""
    found = []
    for name in draw(st.sets(st.sampled_from(POLICIES), min_size=1)):
        budgets = []
        for number in range(draw(st.integers(0, 2))):
            budget: dict[str, object] = {"name": f"b{number}", "nodes": draw(AMOUNTS)}
            if draw(st.booleans()):
                budget["topologyKey"] = "topology.kubernetes.io/zone"
            if draw(st.booleans()):
                budget["actions"] = draw(st.sampled_from([["Rotate"], ["Quarantine"], ["Rotate", "Quarantine"]]))
            budgets.append(budget)
        interval = draw(st.sampled_from(["0s", "0s", "5m"]))
        found.append(policy(name, budgets=budgets, enforces=draw(st.integers(0, 4)) > 0, minInterval=interval))
    return sorted(found, key=lambda one: one.name)


@st.composite
def guards(draw: st.DrawFn) -> FleetGuard:
    """Brakes above all policies, from tight to loose."""
    return guard(
        maxUnavailable=draw(AMOUNTS),
        maxPerHour=draw(st.sampled_from([None, "2", "10%", "1000"])),
        oneZoneAtATime=draw(st.booleans()),
        minHealthy=draw(st.sampled_from(["0", "60%", "90%", "3"])),
        quarantine={"maxAtOnce": draw(AMOUNTS), "maxPerHour": draw(st.sampled_from(["1", "10"]))},
    )


@st.composite
def rotations(draw: st.DrawFn, instance: Instance, selecting: tuple[str, ...]) -> Rotation:
    """A Rotation of that machine in any phase."""
    phase = draw(st.sampled_from(["Pending", "Replacing", "Draining", "Terminating", "Failed", "Succeeded", "Aborted"]))
    ago = draw(st.sampled_from([1, 20, 59, 61, 300]))
    reason = draw(st.sampled_from(["ReplacementFailed", "NoReplacement", "DrainTimeout", "CalledOff", "Replaced"]))
    ended = {"finished_at": NOW - ago * MINUTE / 2, "reason": reason}
    return rotation(
        instance,
        phase,
        created=NOW - ago * MINUTE,
        by_policy=draw(st.booleans()),
        policies=selecting,
        strategy=draw(st.sampled_from(["ReplaceFirst", "DrainFirst"])),
        **(ended if phase in ("Failed", "Succeeded", "Aborted") else {}),
    )


@st.composite
def quarantines(draw: st.DrawFn, instance: Instance, selecting: tuple[str, ...]) -> Quarantine:
    """A Quarantine of that machine in any phase."""
    phase = draw(st.sampled_from(["Pending", "Isolating", "Sealed", "Held", "Released"]))
    created = NOW - draw(st.sampled_from([1, 30, 90])) * MINUTE
    ended = {"finished_at": NOW - MINUTE, "reason": "Released"} if phase == "Released" else {}
    return quarantine(
        instance, phase, created=created, by_policy=draw(st.booleans()), policies=selecting, number=2, **ended
    )


@st.composite
def worlds(draw: st.DrawFn, most: int = 12) -> World:
    """A fleet in any condition, with operations in any phase, some of machines that are gone."""
    everyone = [draw(subjects(number)) for number in range(draw(st.integers(1, most)))]
    made = World(everyone, policies=draw(policies()), guard=draw(guards()))
    made.strategy = draw(st.sampled_from(["ReplaceFirst", "DrainFirst"]))
    for one in everyone:
        assert one.instance is not None
        what = draw(st.integers(0, 9))
        if what in (0, 1):
            made.rotations.append(draw(rotations(one.instance, one.selecting)))
        if what in (1, 2):
            made.quarantines.append(draw(quarantines(one.instance, one.selecting)))
    for number in range(draw(st.integers(0, 2))):
        gone = machine(90 + number, zone=draw(st.sampled_from("abc")))
        made.rotations.append(rotation(gone, "Terminating", policies=("alpha",), created=NOW - 3 * HOUR))
    return made
