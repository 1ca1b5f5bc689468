"""What must hold for any cluster and any crash: the same end, one replacement, nothing lost, marks restored exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.decide.rotation import note, step
from exuvia.decide.rotation.patching import merged
from exuvia.model import marks
from exuvia.model.actions import DeletePod, EvictPod, MarkInstance, RemoveMachine, RequestMachine
from exuvia.model.pods import Pod
from exuvia.model.specs.rotation import RotationPhase
from exuvia.model.steps import Look
from tests.decide.rotation.world import (
    DAEMON_SET,
    NODE_DELETE,
    PAUSE,
    REPLICA_SET,
    SIMULATED,
    UID,
    World,
    budget,
    frozen,
    pod,
)

P = RotationPhase
HOURS = timedelta(hours=6)


@dataclass(frozen=True)
class Case:
    """One cluster to rotate a machine of."""

    strategy: str
    node_delete: bool
    pods: tuple[Pod, ...]
    held: frozenset[str]  # pods that a PodDisruptionBudget holds
    on_timeout: str
    never_ready: bool
    cordoned: bool  # by a person, before

    def world(self) -> World:
        """A fresh one."""
        drain = {"timeout": "20m", "on_timeout": self.on_timeout}
        world = World(
            settings=frozen(strategy=self.strategy, drain=drain),
            provider=NODE_DELETE if self.node_delete else SIMULATED,
            refill=self.node_delete,
            never_ready=self.never_ready,
        )
        world.add(*self.pods)
        world.budgets = tuple(budget(name, name) for name in sorted(self.held))
        if self.cordoned:
            world.nodes[UID]["spec"]["unschedulable"] = True
        return world


_pods = st.builds(
    lambda name, owner, empty, opted, grace, critical: pod(
        name,
        owner=owner,
        empty_dir=empty,
        annotations={marks.DO_NOT_DISRUPT: "true"} if opted else {},
        grace_seconds=grace,
        priority_class="system-node-critical" if critical else "",
    ),
    name=st.sampled_from(["a", "b", "c", "d", "e", "f"]),
    owner=st.sampled_from([REPLICA_SET, REPLICA_SET, REPLICA_SET, DAEMON_SET, None]),
    empty=st.booleans(),
    opted=st.sampled_from([False, False, False, True]),
    grace=st.integers(1, 60),
    critical=st.booleans(),
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any cluster."""
    strategy = draw(st.sampled_from(["ReplaceFirst", "DrainFirst"]))
    return Case(
        strategy=strategy,
        node_delete=strategy == "DrainFirst" and draw(st.booleans()),
        pods=tuple(draw(st.lists(_pods, max_size=5, unique_by=lambda one: one.name))),
        held=frozenset(draw(st.sets(st.sampled_from(["a", "b"]), max_size=1))),
        on_timeout=draw(st.sampled_from(["Abort", "Force"])),
        never_ready=draw(st.sampled_from([False, False, True])),
        cordoned=draw(st.booleans()),
    )


def _end(world: World) -> dict[str, Any]:
    """What is left, as far as time plays no part."""
    return {
        "phase": world.status.phase,
        "reason": world.status.reason,
        "nodes": sorted(world.nodes),
        "cordoned": {uid: bool(one["spec"].get("unschedulable")) for uid, one in world.nodes.items()},
        "taints": {uid: one["spec"].get("taints") or [] for uid, one in world.nodes.items()},
        "labels": {uid: one["metadata"]["labels"] for uid, one in world.nodes.items()},
        "pods": sorted(world.pods),
    }


@settings(max_examples=20, deadline=None)
@given(case=cases(), data=st.data())
def test_a_crash_after_any_write_leads_to_the_same_end(case: Case, data: st.DataObject) -> None:
    calm = case.world().grant().run(HOURS)
    assert calm.status.phase.ended
    crash = data.draw(st.integers(2, max(2, calm.writes)), label="crash after write")
    shaken = case.world().grant()
    shaken.crash_at = crash
    shaken.run(HOURS)
    assert _end(shaken) == _end(calm)
    assert len(shaken.launches) == len(calm.launches) <= 1


@settings(max_examples=20, deadline=None)
@given(case=cases(), data=st.data())
def test_nothing_that_must_leave_goes_down_with_the_machine(case: Case, data: st.DataObject) -> None:
    world = case.world().grant()
    world.crash_at = data.draw(st.integers(2, 20))
    for _ in range(400):
        if world.status.phase.ended:
            break
        world.run(timedelta(seconds=30))
        if data.draw(st.integers(0, 9)) == 0:
            name = f"late-{world.writes}"
            world.add(pod(name, created=world.now, labels={"app": "late"}))
        if UID in world.nodes and data.draw(st.integers(0, 9)) == 0:
            world.nodes[UID]["spec"].pop("unschedulable", None)
    assert not world.lost


@settings(max_examples=20, deadline=None)
@given(case=cases(), data=st.data())
def test_an_abort_at_any_moment_restores_exactly(case: Case, data: st.DataObject) -> None:
    world = case.world()
    fresh = world.node()
    world.grant().run(timedelta(seconds=data.draw(st.integers(0, 1500))))
    late = world.status.phase.rank >= P.TERMINATING.rank
    spec = world.rotation.spec.model_copy(update={"abort": True})
    world.rotation = world.rotation.model_copy(update={"spec": spec})
    world.run(HOURS)
    node = world.node()
    assert world.status.phase.ended
    if world.status.phase is P.SUCCEEDED:
        assert late
        return
    assert fresh is not None
    if not world.actions(RemoveMachine) or node is not None:
        assert node is not None
        assert (node.unschedulable, node.taints, node.labels, node.annotations) == (
            fresh.unschedulable,
            fresh.taints,
            fresh.labels,
            fresh.annotations,
        )


@settings(max_examples=20, deadline=None)
@given(case=cases(), data=st.data())
def test_phases_only_go_forward_and_evictions_need_no_hold(case: Case, data: st.DataObject) -> None:
    world = case.world().grant()
    while not world.status.phase.ended and world.now < world.status.started_at + HOURS:
        held = data.draw(st.booleans(), label="paused")
        world.view = {"hold": PAUSE} if held else {}
        done = len(world.done)
        world.run(timedelta(minutes=data.draw(st.integers(1, 40))))
        new = [one for _, one in world.done[done:]]
        if held:
            assert not [one for one in new if isinstance(one, EvictPod | DeletePod)]
            assert not [one for one in new if isinstance(one, RemoveMachine) and one.instance.uid == UID]
            assert not [one for one in new if isinstance(one, MarkInstance) and one.instance.uid == UID]
            assert not [one for one in new if isinstance(one, RequestMachine)]
    ranks = [one.rank for one in world.phases]
    assert ranks == sorted(set(ranks))


@settings(max_examples=20, deadline=None)
@given(case=cases(), look=st.sampled_from(list(Look)), minutes=st.integers(0, 30))
def test_a_failed_read_never_causes_a_disruptive_write(case: Case, look: Look, minutes: int) -> None:
    world = case.world().grant().run(timedelta(minutes=minutes))
    if world.status.phase.ended:
        return
    world.unreadable = dict.fromkeys(Look, "timed out")
    done = len(world.done)
    world.run(timedelta(minutes=30))
    new = [one for _, one in world.done[done:]]
    assert not [one for one in new if isinstance(one, EvictPod | DeletePod | RemoveMachine | MarkInstance)]
    world.unreadable = {look: "timed out"}
    before = len(world.done)
    world.run(timedelta(minutes=10))
    if look in (Look.NODE, Look.PODS):
        new = [one for _, one in world.done[before:]]
        assert not [one for one in new if isinstance(one, EvictPod | DeletePod)]


@settings(max_examples=15, deadline=None)
@given(case=cases(), minutes=st.integers(0, 40))
def test_the_answer_does_not_depend_on_listing_order(case: Case, minutes: int) -> None:
    world = case.world().grant().run(timedelta(minutes=minutes))
    view, first = world.ask()
    turned = world.gather(view.fresh)
    turned = replace(
        turned,
        pods=tuple(reversed(turned.pods or ())),
        candidates=tuple(reversed(turned.candidates)),
        budgets=tuple(reversed(turned.budgets)),
    )
    assert step(turned, world.now) == first
    assert step(view, world.now) == first
    picked = replace(view, newcomers=lambda born: [one for one in view.candidates if one.born >= born])
    assert step(picked, world.now) == first, "who picks the newcomers makes no difference"


@settings(max_examples=15, deadline=None)
@given(case=cases())
def test_noting_the_same_outcomes_on_the_status_before_or_after_the_win_is_the_same(case: Case) -> None:
    world = case.world().grant()
    for _ in range(40):
        if world.status.phase.ended:
            break
        view, found = world.ask()
        if found.actions:
            won = replace(view, rotation=merged(view.rotation, found.status))
            world._win(found.status)
            outcomes = tuple(world.execute(one) for one in found.actions)
            noted = note(view, found, outcomes, world.now)
            assert noted == note(won, found, outcomes, world.now)
            world._win(noted.status)
        elif found.status:
            world._win(found.status)
        else:
            world.tick(found.recheck_after or timedelta(seconds=5))
