"""Hands: in order, neighbours together, Fenced never swallowed, providers' answers told honestly."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, get_args

import pytest

from exuvia import errors, ports
from exuvia.act import hands as hands_module
from exuvia.act.hands import TOGETHER, Hands
from exuvia.model import actions as model_actions
from exuvia.model import marks, resources
from exuvia.model.actions import (
    Action,
    AllowNetwork,
    Before,
    CreateOperation,
    DeletePod,
    DenyNetwork,
    EvictPod,
    LabelPod,
    MarkInstance,
    MarkSet,
    OutcomeKind,
    PodTarget,
    RemoveMachine,
    RequestMachine,
    RestoreInstance,
)
from exuvia.model.instances import Reference
from exuvia.model.reasons import BlockedReason
from exuvia.model.specs import operation as specs
from exuvia.model.specs.common import InstanceReference
from exuvia.model.specs.rotation import RotationSpec
from exuvia.sandbox import builders
from exuvia.sandbox.cluster import World
from exuvia.sandbox.faults import Crash, FaultyCluster, Fuse, Trouble
from exuvia.sandbox.provider import Cloud, Fault


@pytest.fixture
def world() -> World:
    made = World()
    made.add(resources.NODES, builders.node("a"))
    for index in range(20):
        made.add(resources.PODS, builders.pod(f"cart-{index:02}", namespace="shop", node="a"))
    return made


def cloud(world: World) -> Cloud:
    made = Cloud(storage=world.storage)
    world.actors.append(made)
    return made


def machine(world: World) -> Reference:
    node = world.find(resources.NODES, "a")
    assert node is not None
    return Reference(name="a", uid=node["metadata"]["uid"], provider_id=node["spec"]["providerID"])


def pods(world: World) -> list[PodTarget]:
    return [
        PodTarget(namespace="shop", name=one["metadata"]["name"], uid=one["metadata"]["uid"])
        for one in world.all(resources.PODS)
    ]


def one_of_each(world: World) -> list[Action]:
    instance, pod = machine(world), pods(world)[0]
    body = specs.body("r-1", RotationSpec(instance=InstanceReference(name="a", uid=instance.uid)), marks.FINALIZER)
    deny = DenyNetwork(namespace="shop", name="exuvia-q", quarantine_uid="q-uid", quarantine_name="q")
    return [
        CreateOperation(kind="Rotation", name="r-1", body=body),
        MarkInstance(instance=instance, marks=MarkSet.ROTATING, operation="r-1"),
        LabelPod(pod=pod, labels={"exuvia.dev/quarantine": "q-uid"}),
        deny,
        EvictPod(pod=pod),
        DeletePod(pod=pod, grace=timedelta(seconds=1)),
        AllowNetwork(namespace="shop", name="exuvia-q"),
        RequestMachine(provider="Simulated", pool="workers", key="r-uid-0", like=instance),
        RestoreInstance(instance=instance, marks=MarkSet.ROTATING, before=Before()),
        RemoveMachine(provider="Simulated", pool="workers", instance=instance),
    ]


async def test_every_action_is_done_in_its_order(world: World) -> None:
    wanted = one_of_each(world)

    outcomes = await Hands(world, {"Simulated": cloud(world)}).execute_all(wanted)

    assert {type(one) for one in wanted} == set(get_args(model_actions.Action))
    assert [one.action for one in outcomes] == wanted
    assert {one.kind for one in outcomes} == {OutcomeKind.DONE}
    assert [one.verb for one in world.writes] == [
        "create", "patch", "patch", "create", "evict", "delete", "delete", "patch",
    ]  # fmt: skip


async def test_a_dry_run_changes_nothing(world: World) -> None:
    provider = cloud(world)

    outcomes = await Hands(world, {"Simulated": provider}, dry_run=True).execute_all(one_of_each(world))

    assert len(outcomes) == 10
    assert world.writes == []
    assert provider.asked == 0


class Counting(FaultyCluster):
    """Notes how many evictions were under way at once."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.now = 0
        self.most = 0

    async def evict(self, namespace: str, name: str, **given: Any) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        await super().evict(namespace, name, **given)
        self.now -= 1


async def test_a_wave_goes_out_together_a_few_at_a_time(world: World) -> None:
    counting = Counting(world)
    wanted = [EvictPod(pod=one) for one in pods(world)]

    outcomes = await Hands(counting, {}).execute_all(wanted)

    assert [one.action for one in outcomes] == wanted
    assert counting.most == TOGETHER


async def test_one_pod_that_is_held_does_not_hold_its_peers(world: World) -> None:
    held = pods(world)[3]
    world.change(resources.PODS, held.name, {"metadata": {"labels": {"app": "held"}}}, "shop")
    world.add(resources.POD_DISRUPTION_BUDGETS, builders.budget("held", namespace="shop", min_available=1))
    world.settle()

    outcomes = await Hands(world, {}).execute_all([EvictPod(pod=one) for one in pods(world)])

    assert [one.kind for one in outcomes].count(OutcomeKind.DONE) == 19
    assert outcomes[3].reason == BlockedReason.PDB


async def test_the_codes_of_evictions_are_told(world: World) -> None:
    codes: list[int] = []
    hands = Hands(world, {})
    hands.on_eviction = codes.append

    await hands.execute_all([EvictPod(pod=pods(world)[0]), EvictPod(pod=PodTarget(namespace="x", name="y", uid="z"))])

    assert sorted(codes) == [201, 404]


@pytest.mark.parametrize("index", [0, 9])
async def test_fenced_ends_a_wave_and_is_not_swallowed(world: World, index: int) -> None:
    faulty = FaultyCluster(world)
    name = pods(world)[index].name
    fenced: Any = errors.Fenced("we do not lead")
    faulty.troubles.append(Trouble(error=fenced, verb="evict", name=name))

    with pytest.raises(errors.Fenced):
        await Hands(faulty, {}).execute_all([EvictPod(pod=one) for one in pods(world)])

    assert len(world.writes) <= index + TOGETHER


async def test_nothing_goes_on_after_a_crash(world: World) -> None:
    faulty = FaultyCluster(world, Fuse(after=3))

    with pytest.raises(Crash):
        await Hands(faulty, {}).execute_all([EvictPod(pod=one) for one in pods(world)])

    assert len(world.writes) == 3


def ask(world: World, provider: str = "Simulated") -> RequestMachine:
    return RequestMachine(provider=provider, pool="workers", key="r-uid-0", like=machine(world))


async def test_a_request_tells_what_the_provider_said(world: World) -> None:
    outcome = await Hands(world, {"Simulated": cloud(world)}).execute(ask(world))

    assert outcome.kind is OutcomeKind.DONE
    assert outcome.detail == {
        "requestID": "r-uid-0",
        "providerID": "simulated://workers/workers-new-1",
        "nodeName": "workers-new-1",
        "state": "Launching",
    }


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.REFUSED, OutcomeKind.FAILED),
        (Fault.NO_ANSWER, OutcomeKind.UNKNOWN),
        (Fault.LOST_ANSWER, OutcomeKind.UNKNOWN),
    ],
)
async def test_only_a_definite_failure_is_failed(world: World, fault: Fault, kind: OutcomeKind) -> None:
    provider = cloud(world)
    provider.faults = [fault]
    provider.removal_faults = [fault]
    hands = Hands(world, {"Simulated": provider})

    assert (await hands.execute(ask(world))).kind is kind
    removal = RemoveMachine(provider="Simulated", pool="workers", instance=machine(world))
    assert (await hands.execute(removal)).kind is kind


async def test_a_machine_that_is_reported_failed_is_failed(world: World) -> None:
    class Failing(Cloud):
        async def request(self, *, pool: str, key: str, like: Reference) -> ports.Machine:
            return ports.Machine(state=ports.MachineState.FAILED, message="no capacity")

    outcome = await Hands(world, {"Simulated": Failing(storage=world.storage)}).execute(ask(world))

    assert (outcome.kind, outcome.message) == (OutcomeKind.FAILED, "no capacity")


async def test_a_provider_that_is_not_served_is_named(world: World) -> None:
    providers: Mapping[str, ports.Provider] = {}

    for action in (ask(world, "Moon"), RemoveMachine(provider="Moon", pool="p", instance=machine(world))):
        outcome = await Hands(world, providers).execute(action)

        assert (outcome.kind, outcome.reason) == (OutcomeKind.REFUSED, BlockedReason.PROVIDER_UNKNOWN)
        assert "Moon" in outcome.message


def test_the_rights_of_all_actions_are_declared() -> None:
    declared = {(one.group, one.resource, verb) for one in hands_module.PERMISSIONS for verb in one.verbs}

    assert {
        ("", "nodes", "patch"),
        ("", "nodes", "delete"),
        ("", "pods/eviction", "create"),
        ("", "pods", "delete"),
        ("", "pods", "patch"),
        ("networking.k8s.io", "networkpolicies", "create"),
        ("exuvia.dev", "rotations", "create"),
        ("exuvia.dev", "quarantines", "create"),
    } <= declared
    assert not any("*" in (one.resource, *one.verbs) for one in hands_module.PERMISSIONS)
