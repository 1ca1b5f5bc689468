"""Evictions: every answer of the API server is told apart, and nothing is done to another pod of that name."""

from __future__ import annotations

from datetime import timedelta

import pytest

from exuvia import errors
from exuvia.act.evictions import NAMESPACE_TERMINATING, delete_pod, evict_pod
from exuvia.model import resources
from exuvia.model.actions import DeletePod, EvictPod, OutcomeKind, PodTarget
from exuvia.model.reasons import BlockedReason
from exuvia.sandbox import builders, replies
from exuvia.sandbox.cluster import World
from exuvia.sandbox.faults import FaultyCluster, Trouble


def target(world: World, name: str = "cart") -> PodTarget:
    found = world.find(resources.PODS, name, "shop")
    assert found is not None
    return PodTarget(namespace="shop", name=name, uid=found["metadata"]["uid"])


@pytest.fixture
def world() -> World:
    made = World()
    made.add(resources.NODES, builders.node("a"))
    made.add(resources.PODS, builders.pod("cart", namespace="shop", node="a", labels={"app": "cart"}))
    return made


def troubled(world: World, error: errors.ClusterError, *, verb: str = "evict", lost: bool = False) -> FaultyCluster:
    faulty = FaultyCluster(world)
    faulty.troubles.append(Trouble(error=error, verb=verb, lost=lost))
    return faulty


async def test_an_eviction_carries_the_uid_and_the_grace(world: World) -> None:
    outcome = await evict_pod(world, EvictPod(pod=target(world), grace=timedelta(seconds=7)))

    assert (outcome.kind, outcome.code) == (OutcomeKind.DONE, 201)
    (write,) = world.writes
    assert (write.verb, write.body) == ("evict", {"gracePeriodSeconds": 7})


async def test_grace_is_never_below_a_second(world: World) -> None:
    await evict_pod(world, EvictPod(pod=target(world), grace=timedelta(0)))
    pod = target(world)
    await delete_pod(world, DeletePod(pod=pod, grace=timedelta(0)))

    assert [one.body for one in world.writes] == [{"gracePeriodSeconds": 1}, {"gracePeriodSeconds": 1}]


async def test_another_pod_of_that_name_means_gone(world: World) -> None:
    stranger = PodTarget(namespace="shop", name="cart", uid="another")

    for outcome in (
        await evict_pod(world, EvictPod(pod=stranger)),
        await delete_pod(world, DeletePod(pod=stranger, grace=timedelta(seconds=5))),
    ):
        assert (outcome.kind, outcome.code) == (OutcomeKind.ALREADY, 409)
    assert world.writes == []


async def test_a_pod_that_is_not_there_means_gone(world: World) -> None:
    outcome = await evict_pod(world, EvictPod(pod=PodTarget(namespace="shop", name="none", uid="u")))

    assert (outcome.kind, outcome.code) == (OutcomeKind.ALREADY, 404)


async def test_a_conflict_that_is_not_about_the_uid_does_not_mean_gone(world: World) -> None:
    faulty = troubled(world, replies.changed_meanwhile(resources.PODS, "cart"))

    outcome = await evict_pod(faulty, EvictPod(pod=target(world)))

    assert (outcome.kind, outcome.code) == (OutcomeKind.FAILED, 409)


async def test_a_budget_is_named_with_needs_and_has(world: World) -> None:
    world.add(resources.POD_DISRUPTION_BUDGETS, builders.budget("cart", namespace="shop", min_available=1))
    world.settle()

    outcome = await evict_pod(world, EvictPod(pod=target(world)))

    assert (outcome.kind, outcome.reason, outcome.code) == (OutcomeKind.REFUSED, BlockedReason.PDB, 429)
    assert outcome.detail == {"pdb": "shop/cart", "needs": "1", "has": "1"}
    assert "pod shop/cart" in outcome.message
    assert world.writes == []


async def test_a_budget_in_the_making_is_named_with_the_servers_wish(world: World) -> None:
    world.add(resources.POD_DISRUPTION_BUDGETS, builders.budget("cart", namespace="shop", min_available=1))

    outcome = await evict_pod(world, EvictPod(pod=target(world)))

    assert outcome.reason == BlockedReason.PDB
    assert outcome.detail == {"pdb": "shop/cart"}
    assert outcome.retry_after == timedelta(seconds=10)


async def test_429_without_a_budget_is_throttling(world: World) -> None:
    faulty = troubled(world, replies.throttled(3))

    outcome = await evict_pod(faulty, EvictPod(pod=target(world)))

    assert (outcome.kind, outcome.reason) == (OutcomeKind.REFUSED, BlockedReason.THROTTLED)
    assert outcome.retry_after == timedelta(seconds=3)
    assert outcome.detail == {}


async def test_several_budgets_are_a_misconfiguration_that_is_named(world: World) -> None:
    for name in ("one", "two"):
        body = builders.budget(name, namespace="shop", app="cart", min_available=0)
        world.add(resources.POD_DISRUPTION_BUDGETS, body)
    world.settle()

    outcome = await evict_pod(world, EvictPod(pod=target(world)))

    assert (outcome.kind, outcome.reason, outcome.code) == (OutcomeKind.REFUSED, BlockedReason.PDB, 500)
    assert "misconfiguration" in outcome.message
    assert world.writes == []


async def test_another_500_is_a_failure(world: World) -> None:
    faulty = troubled(world, errors.ServerTrouble("etcdserver: request timed out", status=500))

    outcome = await evict_pod(faulty, EvictPod(pod=target(world)))

    assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "")


async def test_a_namespace_that_ends_is_waited_for(world: World) -> None:
    world.change(resources.NAMESPACES, "shop", {"status": {"phase": "Terminating"}})

    outcome = await evict_pod(world, EvictPod(pod=target(world)))

    assert (outcome.kind, outcome.reason) == (OutcomeKind.REFUSED, NAMESPACE_TERMINATING)
    assert outcome.retry_after is not None


async def test_a_missing_right_is_forbidden(world: World) -> None:
    faulty = troubled(world, errors.Forbidden("pods/eviction is forbidden", status=403, reason="Forbidden"))

    outcome = await evict_pod(faulty, EvictPod(pod=target(world)))

    assert (outcome.kind, outcome.reason) == (OutcomeKind.REFUSED, BlockedReason.FORBIDDEN)


@pytest.mark.parametrize("verb", ["evict", "delete"])
async def test_no_answer_is_unknown(world: World, verb: str) -> None:
    faulty = troubled(world, replies.unreachable("POST"), verb=verb, lost=True)
    pod = target(world)

    if verb == "evict":
        outcome = await evict_pod(faulty, EvictPod(pod=pod))
    else:
        outcome = await delete_pod(faulty, DeletePod(pod=pod, grace=timedelta(seconds=1)))

    assert (outcome.kind, outcome.code) == (OutcomeKind.UNKNOWN, 0)


async def test_a_dry_run_evicts_nothing(world: World) -> None:
    outcome = await evict_pod(world, EvictPod(pod=target(world)), dry_run=True)

    assert outcome.kind is OutcomeKind.DONE
    world.pass_time(timedelta(minutes=1))
    assert world.find(resources.PODS, "cart", "shop") is not None
