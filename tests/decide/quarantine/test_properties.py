"""What never happens and what always does, whatever the world does and wherever the process dies."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.decide.quarantine import evicting
from exuvia.model import marks
from exuvia.model.actions import (
    Action,
    AllowNetwork,
    CreateOperation,
    DenyNetwork,
    EvictPod,
    LabelPod,
    MarkInstance,
    Outcome,
    OutcomeKind,
    RequestMachine,
    RestoreInstance,
)
from exuvia.model.evidence import DiskState, EvidenceOnDisk
from exuvia.model.pods import Pod
from exuvia.model.quarantine_views import OwnPlace
from exuvia.model.reasons import EventReason
from exuvia.model.specs.quarantine import QuarantinePhase
from exuvia.model.specs.rotation import Rotation
from exuvia.model.steps import Look

from . import world as worlds
from .world import PAUSED, STORM, Crash, World, instance, marked, pod, release

OWNERS = ("ReplicaSet", "StatefulSet", "Job", "DaemonSet", "")
DISRUPTIVE = (MarkInstance, EvictPod, LabelPod, DenyNetwork, RequestMachine)
ENDINGS = ("Held", "Return", "Rotate")

pods = st.lists(
    st.builds(
        lambda n, owner, namespace, host: pod(f"pod-{n}", owner, namespace, host_network=host),
        st.integers(0, 5),
        st.sampled_from(OWNERS),
        st.sampled_from(("shop", "batch")),
        st.booleans(),
    ),
    max_size=5,
    unique_by=lambda one: one.uid,
)
frozen = st.builds(
    lambda workloads, requirement, expired: worlds.settings(
        workloads=workloads, evidence={"requirement": requirement}, onHoldExpired=expired
    ),
    st.sampled_from(("Freeze", "Evict")),
    st.sampled_from(("Required", "BestEffort")),
    st.sampled_from(("Keep", "Rotate")),
)


def _survive(world: World, ending: str, fuse: int | None) -> World:
    """A whole life; if the process dies on the way, the next one goes on."""
    world.fuse = fuse
    for _ in range(3):
        try:
            return _whole(world, ending)
        except Crash:
            world.tick(timedelta(seconds=30))
    raise AssertionError("it died more than once")


def _whole(world: World, ending: str) -> World:
    if world.quarantine.spec.release is None:
        world.live(_settled)
    if ending == "Held":
        return world
    if world.quarantine.spec.release is None:
        world.write(release=release(ending))
    if ending == "Return":
        return world.live()
    world.live(lambda one: bool(one.rotations) or not one.quarantine.open)
    world.node, world.pods = None, {}
    return world.live()


def _settled(world: World) -> bool:
    """Held, everybody who may leave has left, and the capacity is replaced."""
    capacity = world.status.capacity
    replaced = capacity is not None and capacity.state == "Replaced"
    return world.status.held_since is not None and not evicting.leavers(world.view()) and replaced


def _end(world: World) -> dict[str, Any]:
    """What must not depend on where the process died."""
    status = world.status
    isolation = status.isolation.state if status.isolation else ""
    return {
        "phase": str(status.phase),
        "reason": status.reason,
        "before": status.before,
        "node": world.node,
        "pods": {one.key: dict(one.labels) for one in world.pods.values()},
        "network": sorted(one.namespace for one in world.policies),
        "isolation": isolation,
        "sealed": status.evidence.digest if status.evidence else "",
        "workloads": sorted((one.pod, one.treatment, tuple(one.labels.items())) for one in status.workloads),
        "machines": sorted(world.machines),
        "rotations": [one.name for one in world.rotations],
        "lost": world.lost,
        "tampered": [one.text for one in world.notes if one.reason is EventReason.QUARANTINE_TAMPERED],
    }


def _crowd() -> list[Pod]:
    return [pod(f"pod-{owner.lower() or 'x'}", owner) for owner in OWNERS]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("workloads", ["Freeze", "Evict"])
def test_a_crash_anywhere_leads_to_the_same_end(ending: str, workloads: str) -> None:
    def fresh() -> World:
        return World().add(*_crowd()).grant(worlds.settings(workloads=workloads))

    undisturbed = _end(_survive(fresh(), ending, None))
    assert not undisturbed["lost"]
    for fuse in range(60):
        assert _end(_survive(fresh(), ending, fuse)) == undisturbed, f"died at event {fuse}"


@settings(max_examples=60, deadline=None)
@given(
    crowd=pods,
    how=frozen,
    ending=st.sampled_from(ENDINGS),
    fuse=st.integers(0, 50),
    lag=st.booleans(),
    cordoned=st.booleans(),
)
def test_any_life_with_any_crash_ends_like_an_undisturbed_one(
    crowd: list[Pod], how: Any, ending: str, fuse: int, lag: bool, cordoned: bool
) -> None:
    def fresh(old: bool) -> World:
        return World(node=instance(unschedulable=cordoned), lag=old).add(*crowd).grant(how)

    one, other = _survive(fresh(False), ending, None), _survive(fresh(lag), ending, fuse)
    assert _end(one) == _end(other)
    assert not _end(one)["tampered"]
    assert not one.lost
    assert not other.lost


def _no(action: Action, kind: OutcomeKind) -> Outcome:
    return Outcome(action=action, kind=kind, reason="Forbidden" if kind is OutcomeKind.REFUSED else "", message="no")


class _Fate:
    """What somebody else does to the world between two steps."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.kinds = st.sampled_from((None, OutcomeKind.REFUSED, OutcomeKind.FAILED, OutcomeKind.UNKNOWN))

    def strike(self, world: World) -> None:
        happening = getattr(self, self.draw(st.sampled_from(sorted(one for one in dir(self) if one.startswith("do_")))))
        happening(world)

    def do_pause(self, world: World) -> None:
        world.hold = self.draw(st.sampled_from((None, PAUSED)))

    def do_storm(self, world: World) -> None:
        world.eviction_hold = self.draw(st.sampled_from((None, STORM)))

    def do_blind(self, world: World) -> None:
        world.failed = dict.fromkeys(self.draw(st.sets(st.sampled_from(sorted(Look)), max_size=2)), "timed out")

    def do_evidence(self, world: World) -> None:
        world.missing = self.draw(st.sampled_from(("", "logs: refused")))

    def do_damage(self, world: World) -> None:
        if world.disk.state is DiskState.SOUND:
            world.disk = EvidenceOnDisk(state=DiskState.DAMAGED, digest=world.disk.digest)

    def do_tamper(self, world: World) -> None:
        if world.node is not None:
            world.node = replace(world.node, unschedulable=False, taints=(), labels={})
        world.pods = {
            uid: replace(one, labels={k: v for k, v in one.labels.items() if k != marks.QUARANTINE_POD_LABEL})
            for uid, one in world.pods.items()
        }

    def do_refuse(self, world: World) -> None:
        kind = self.draw(self.kinds)
        world.refuse = (lambda action: None) if kind is None else (lambda action: _no(action, kind))

    def do_release(self, world: World) -> None:
        verdict, unsealed = self.draw(st.sampled_from(("Return", "Rotate"))), self.draw(st.sampled_from((None, True)))
        if world.quarantine.open:
            world.write(release={**release(verdict), "destroyUnsealed": unsealed})

    def do_vanish(self, world: World) -> None:
        if self.draw(st.integers(0, 3)) == 0:
            world.node, world.pods = None, {}

    def do_arrive(self, world: World) -> None:
        if world.node is not None:
            number = self.draw(st.integers(10, 12))
            world.add(pod(f"pod-{number}", self.draw(st.sampled_from(OWNERS)), created=world.now))

    def do_rotation(self, world: World) -> None:
        phase = self.draw(st.sampled_from(("Failed", "Aborted", "Draining")))
        world.rotations = [_ended(one, phase) if one.open else one for one in world.rotations]

    def do_time(self, world: World) -> None:
        world.tick(timedelta(hours=self.draw(st.sampled_from((1, 24, 168)))))


def _ended(one: Rotation, phase: str) -> Rotation:
    body: dict[str, Any] = {"metadata": one.metadata.model_dump(mode="json", by_alias=True), "spec": one.spec.wire()}
    return Rotation.parse({**body, "status": {"phase": phase, "reason": "CalledOff"}})


@settings(max_examples=120, deadline=None)
@given(data=st.data(), crowd=pods, how=frozen, enforces=st.booleans(), lag=st.booleans())
def test_whatever_happens(data: Any, crowd: list[Pod], how: Any, enforces: bool, lag: bool) -> None:
    """Nothing is lost unsealed, phases go forward, a pause holds, it rests, and what waits says why."""
    world = World(policy_enforces=enforces, lag=lag).add(*crowd).grant(how)
    fate = _Fate(data.draw)
    for _ in range(data.draw(st.integers(1, 12))):
        fate.strike(world)
        steps, recorded = len(world.steps), {one.uid for one in world.status.workloads}
        done = len(world.done)
        last = world.settle()
        _check_steps(world, steps)
        _check_pause(world, world.done[done:], recorded)
        assert last.finished or last.recheck_after is not None
        world.tick()
    _check_life(world)


def _check_steps(world: World, start: int) -> None:
    for step in world.steps[start:]:
        evicts = [one for one in step.actions if isinstance(one, EvictPod)]
        assert not evicts or step.disruptive
        assert not (step.disruptive and world.hold), "a step that disrupts, under a brake"
        assert not (evicts and world.eviction_hold), "an eviction in a storm"


def _check_pause(world: World, done: list[Action], recorded: set[str]) -> None:
    """Under a brake only what gives back, guards, or passes on is written."""
    if world.hold is None:
        return
    for action in done:
        assert not isinstance(action, EvictPod | RequestMachine)
        if isinstance(action, LabelPod) and world.status.release_accepted is None:
            assert action.pod.uid in recorded
        assert isinstance(
            action, MarkInstance | LabelPod | DenyNetwork | RestoreInstance | AllowNetwork | CreateOperation
        )


def _check_life(world: World) -> None:
    assert not world.lost
    ranks = [QuarantinePhase(one).rank for one in world.phases]
    assert ranks == sorted(set(ranks))
    assert len({one.name for one in world.rotations}) == len(world.rotations)
    carriers = [one for one in world.rotations if one.open and one.spec.released_from]
    assert len(carriers) <= 1


@settings(max_examples=60, deadline=None)
@given(crowd=pods, how=frozen, hold=st.sampled_from((None, PAUSED, STORM)), blind=st.booleans())
def test_marks_are_put_back_whatever_holds(crowd: list[Pod], how: Any, hold: Any, blind: bool) -> None:
    world = World().add(*crowd).grant(how).held()
    world.tick().settle()
    assert world.node is not None
    world.hold = world.eviction_hold = hold
    world.failed = {Look.PODS: "timed out", Look.NETWORK_POLICIES: "timed out"} if blind else {}
    world.node = replace(world.node, unschedulable=False, taints=(), labels={}, annotations={})
    world.tick().settle()
    assert marked(world)


@settings(max_examples=60, deadline=None)
@given(crowd=pods, how=frozen, data=st.data())
def test_asking_again_changes_nothing(crowd: list[Pod], how: Any, data: Any) -> None:
    world = World(own=OwnPlace()).add(*crowd).grant(how)
    for _ in range(data.draw(st.integers(0, 4))):
        world.settle()
        world.tick()
    world.settle()
    before, done = world.quarantine, len(world.done)
    world.settle()
    assert (world.quarantine, len(world.done)) == (before, done)


@settings(max_examples=60, deadline=None)
@given(crowd=pods, how=frozen)
def test_the_answer_does_not_depend_on_the_order_of_pods(crowd: list[Pod], how: Any) -> None:
    one, other = World().add(*crowd).grant(how), World().add(*reversed(crowd)).grant(how)
    assert _end(_survive(one, "Return", None)) == _end(_survive(other, "Return", None))


@settings(max_examples=60, deadline=None)
@given(crowd=pods, how=frozen, cordoned=st.booleans(), excluded=st.booleans())
def test_a_return_leaves_the_machine_exactly_as_it_was(
    crowd: list[Pod], how: Any, cordoned: bool, excluded: bool
) -> None:
    labels = {marks.EXCLUDE_LOAD_BALANCERS_LABEL: "theirs"} if excluded else {"team": "shop"}
    node = instance(unschedulable=cordoned, labels=labels, annotations={"karpenter.sh/do-not-disrupt": "false"})
    world = _survive(World(node=node).add(*crowd).grant(how), "Return", None)
    assert world.node == node
    assert not world.policies
    assert not any(marks.QUARANTINE_POD_LABEL in one.labels for one in world.pods.values())
