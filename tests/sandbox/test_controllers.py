"""The rest of Kubernetes in the world: pods end and come again elsewhere, budgets count, machines come and go."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from exuvia import errors, ports
from exuvia.model import resources
from exuvia.model.instances import Reference
from exuvia.sandbox import builders, kinds, objects
from exuvia.sandbox.cluster import World
from exuvia.sandbox.provider import Cloud, Fault, PoolOwner

SECONDS = timedelta(seconds=1)


@pytest.fixture
def world() -> World:
    made = World()
    for name in ("a", "b"):
        made.add(resources.NODES, builders.node(name))
    return made


def cordon(world: World, name: str) -> None:
    world.change(resources.NODES, name, {"spec": {"unschedulable": True}})
    world.settle()


def pods(world: World, app: str) -> list[dict[str, Any]]:
    return [one for one in world.all(resources.PODS) if objects.labels_of(one).get("app") == app]


def places(world: World, app: str) -> list[str]:
    return sorted(one["spec"].get("nodeName", "") for one in pods(world, app))


async def evict(world: World, pod: dict[str, Any], **given: Any) -> None:
    meta = pod["metadata"]
    await world.evict(meta["namespace"], meta["name"], uid=meta["uid"], **given)


async def test_an_evicted_pod_ends_and_comes_again_elsewhere(world: World) -> None:
    cordon(world, "b")
    world.add(kinds.REPLICA_SETS, builders.replica_set("cart", 2))
    world.settle()
    assert places(world, "cart") == ["a", "a"]
    world.change(resources.NODES, "b", {"spec": {"unschedulable": None}})
    cordon(world, "a")

    for pod in pods(world, "cart"):
        await evict(world, pod)
    world.pass_time(2 * SECONDS)

    assert places(world, "cart") == ["b", "b"]
    assert all(objects.is_ready(one) for one in pods(world, "cart"))


async def test_a_pod_that_is_stuck_stays_until_its_machine_is_gone(world: World) -> None:
    stuck = builders.pod("stuck", node="a", annotations={"simulated.exuvia.dev/deletion-delay": "never"})
    pod = world.add(resources.PODS, stuck)

    await evict(world, pod)
    world.pass_time(timedelta(minutes=5), step=timedelta(seconds=30))
    assert world.find(resources.PODS, "stuck", "default") is not None

    node = world.find(resources.NODES, "a")
    assert node is not None
    await world.delete(resources.NODES, "a", uid=node["metadata"]["uid"])
    world.settle()
    assert world.find(resources.PODS, "stuck", "default") is None


async def test_a_slow_pod_takes_its_time_but_no_more_than_its_grace(world: World) -> None:
    slow = builders.pod("slow", node="a", grace=10, annotations={"simulated.exuvia.dev/deletion-delay": "1m"})
    await evict(world, world.add(resources.PODS, slow))

    world.pass_time(9 * SECONDS)
    assert world.find(resources.PODS, "slow", "default") is not None
    world.pass_time(1 * SECONDS)
    assert world.find(resources.PODS, "slow", "default") is None


async def test_a_pod_whose_labels_are_taken_is_released_and_replaced(world: World) -> None:
    world.add(kinds.REPLICA_SETS, builders.replica_set("cart", 1))
    world.settle()
    (frozen,) = pods(world, "cart")

    await world.merge_patch(
        resources.PODS, frozen["metadata"]["name"], {"metadata": {"labels": {"app": None}}}, namespace="default"
    )
    world.settle()

    kept = world.find(resources.PODS, frozen["metadata"]["name"], "default")
    assert kept is not None
    assert objects.controller_of(kept) is None
    assert len(pods(world, "cart")) == 1


async def test_a_stateful_pod_comes_again_under_its_name_only_when_the_old_one_is_gone(world: World) -> None:
    world.add(kinds.STATEFUL_SETS, builders.stateful_set("db", 1))
    world.settle()
    (first,) = pods(world, "db")

    await evict(world, first)
    world.settle()
    assert [one["metadata"]["uid"] for one in pods(world, "db")] == [first["metadata"]["uid"]]
    world.pass_time(2 * SECONDS)

    (second,) = pods(world, "db")
    assert second["metadata"]["name"] == first["metadata"]["name"]
    assert second["metadata"]["uid"] != first["metadata"]["uid"]


async def test_daemon_pods_come_back_even_on_a_cordoned_machine(world: World) -> None:
    world.add(resources.DAEMON_SETS, builders.daemon_set("agent"))
    world.settle()
    cordon(world, "a")
    on_a = next(one for one in pods(world, "agent") if one["spec"]["nodeName"] == "a")

    await evict(world, on_a)
    world.pass_time(2 * SECONDS)

    assert places(world, "agent") == ["a", "b"]


async def test_a_budget_lets_one_go_at_a_time_and_names_itself(world: World) -> None:
    world.add(kinds.REPLICA_SETS, builders.replica_set("cart", 2))
    world.add(resources.POD_DISRUPTION_BUDGETS, builders.budget("cart", max_unavailable=1))
    world.settle()
    first, second = pods(world, "cart")

    await evict(world, first)
    with pytest.raises(errors.TooManyRequests) as caught:
        await evict(world, second)

    causes: Any = caught.value.body["details"]
    assert causes["causes"][0]["message"] == "The disruption budget cart needs 1 healthy pods and has 2 currently"
    world.pass_time(3 * SECONDS)
    await evict(world, second)
    assert (await world.get(resources.PODS, second["metadata"]["name"], namespace="default") or {})["metadata"][
        "deletionTimestamp"
    ]


async def test_a_dry_run_of_an_eviction_asks_the_budget_and_takes_nothing(world: World) -> None:
    world.add(kinds.REPLICA_SETS, builders.replica_set("cart", 1))
    world.add(resources.POD_DISRUPTION_BUDGETS, builders.budget("cart", min_available="100%"))
    world.settle()
    (pod,) = pods(world, "cart")

    with pytest.raises(errors.TooManyRequests):
        await evict(world, pod, dry_run=True)
    assert pods(world, "cart") == [pod]


async def test_a_pod_that_is_not_ready_may_go_while_the_others_are_enough(world: World) -> None:
    for index in range(2):
        world.add(resources.PODS, builders.pod(f"p{index}", node="a", labels={"app": "p"}, ready=index == 0))
    world.add(resources.POD_DISRUPTION_BUDGETS, builders.budget("p", min_available=1))
    world.settle()

    await evict(world, world.find(resources.PODS, "p1", "default") or {})
    with pytest.raises(errors.TooManyRequests):
        await evict(world, world.find(resources.PODS, "p0", "default") or {})


async def test_volumes_are_detached_when_nothing_uses_them(world: World) -> None:
    pod = world.add(resources.PODS, builders.pod("db-0", node="a", claim="data-db-0"))
    world.add(resources.VOLUME_ATTACHMENTS, builders.attachment("pv-1", "a"))
    world.settle()
    assert len(world.all(resources.VOLUME_ATTACHMENTS)) == 1

    await evict(world, pod)
    world.pass_time(2 * SECONDS)

    assert world.all(resources.VOLUME_ATTACHMENTS) == []


def test_a_job_that_completes_is_finished_and_stays(world: World) -> None:
    body = builders.pod("batch", node="a", annotations={"simulated.exuvia.dev/complete-after": "5s"})
    world.add(resources.PODS, {**body, "status": {"phase": "Pending"}})

    world.pass_time(10 * SECONDS)

    found = world.find(resources.PODS, "batch", "default")
    assert found is not None
    assert found["status"]["phase"] == "Succeeded"


def test_nodes_bear_the_taints_of_their_state(world: World) -> None:
    world.add(resources.NODES, builders.node("c", ready=False, unschedulable=True))
    world.settle()

    node = world.find(resources.NODES, "c")
    assert node is not None
    keys = [one["key"] for one in node["spec"]["taints"]]
    assert keys == ["node.kubernetes.io/unschedulable", "node.kubernetes.io/not-ready"]


def cloud(world: World, **given: Any) -> Cloud:
    made = Cloud(storage=world.storage, **given)
    world.actors.append(made)
    return made


OLD = Reference(name="a", uid="uid-a", provider_id="simulated://workers/a")


async def test_a_machine_comes_after_a_while_and_once_a_key(world: World) -> None:
    provider = cloud(world)

    first = await provider.request(pool="workers", key="k", like=OLD)
    again = await provider.request(pool="workers", key="k", like=OLD)
    assert first == again
    assert first.state is ports.MachineState.LAUNCHING

    world.pass_time(6 * SECONDS)
    node = world.find(resources.NODES, first.node_name)
    assert node is not None
    assert not objects.is_ready(node)
    world.pass_time(6 * SECONDS)
    assert objects.is_ready(world.find(resources.NODES, first.node_name) or node)
    assert (await provider.find(pool="workers", key="k")).state is ports.MachineState.RUNNING
    assert len(world.all(resources.NODES)) == 3


@pytest.mark.parametrize(
    ("fault", "state", "nodes", "ready"),
    [
        (Fault.CAPACITY, ports.MachineState.FAILED, 2, 2),
        (Fault.NO_NODE, ports.MachineState.RUNNING, 2, 2),
        (Fault.NEVER_READY, ports.MachineState.RUNNING, 3, 2),
        (Fault.OLD_IMAGE, ports.MachineState.RUNNING, 3, 3),
    ],
)
async def test_faults_of_a_launch(
    world: World, fault: Fault, state: ports.MachineState, nodes: int, ready: int
) -> None:
    provider = cloud(world, faults=[fault])
    await provider.request(pool="workers", key="k", like=OLD)

    world.pass_time(30 * SECONDS)

    found = world.all(resources.NODES)
    assert (await provider.find(pool="workers", key="k")).state is state
    assert (len(found), sum(objects.is_ready(one) for one in found)) == (nodes, ready)


async def test_a_lost_answer_launches_and_a_missing_one_does_not(world: World) -> None:
    provider = cloud(world, faults=[Fault.LOST_ANSWER, Fault.NO_ANSWER])

    for key in ("lost", "missing"):
        with pytest.raises(errors.ProviderError) as caught:
            await provider.request(pool="workers", key=key, like=OLD)
        assert not caught.value.definite

    assert (await provider.find(pool="workers", key="lost")).state is ports.MachineState.LAUNCHING
    assert (await provider.find(pool="workers", key="missing")).state is ports.MachineState.UNKNOWN


async def test_a_removed_machine_takes_its_node_and_pods_along_after_a_while(world: World) -> None:
    provider = cloud(world)
    world.add(resources.PODS, builders.pod("left", node="a"))

    await provider.remove(pool="workers", instance=OLD)
    world.pass_time(2 * SECONDS)
    assert world.find(resources.NODES, "a") is not None
    world.pass_time(2 * SECONDS)

    assert world.find(resources.NODES, "a") is None
    assert world.all(resources.PODS) == []
    assert provider.removals[OLD.provider_id].pods == ("default/left",)


async def test_a_pool_that_is_owned_refills_itself(world: World) -> None:
    world.actors.append(PoolOwner(pool="workers", size=2))
    node = world.find(resources.NODES, "a")
    assert node is not None

    await world.delete(resources.NODES, "a", uid=node["metadata"]["uid"])
    world.pass_time(20 * SECONDS)

    assert [one["metadata"]["name"] for one in world.all(resources.NODES)] == ["b", "workers-refill-1"]
