"""Rotations on a real API server, judged from objects and the audit log."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from exuvia.localcluster import fleet
from exuvia.model import marks, resources
from exuvia.model.specs.rotation import Rotation, RotationPhase
from tests.cluster import until
from tests.e2e.operated import Operated, by_hand, guard, policy, settle

pytestmark = pytest.mark.cluster

OLD_IMAGE = fleet.Image(kubelet="v1.34.0")
OLD = {"name": "kubelet", "type": "Versions", "versions": {"kubelet": ">=1.36.0"}}
FIRST = {"provider": "Simulated", "strategy": "ReplaceFirst", "soakTime": "1s", "replacementTimeout": "2m"}
EVICT = {"unmanagedPods": "Evict"}


async def define(world: Operated) -> None:
    """The pool in the cloud: new machines come quickly and with today's versions."""
    url, group = f"{world.cloud}/v1/pools/{world.cluster.pool}", {"zones": ["a"], "bootSeconds": 0.2}
    async with aiohttp.ClientSession() as session, session.put(url, json=group) as answer:
        assert answer.status == 200


async def one_rotation(world: Operated, phase: RotationPhase, seconds: float = 40) -> Rotation:
    """The only Rotation, once it is in this phase."""

    async def look() -> list[Rotation]:
        return [one for one in await world.rotations() if one.status.phase is phase]

    return (await until(look, what=f"a rotation in {phase}", seconds=seconds))[0]


async def test_outdated_machines_go_within_the_budget(world: Operated) -> None:
    """Five machines under a budget of two: all replaced, never more than two at a time, others untouched."""
    await define(world)
    old = await world.cluster.nodes(5, image=OLD_IMAGE)
    new = await world.cluster.nodes(3)
    since = world.audit_position()
    budget = {"budgets": [{"name": "two", "nodes": "2"}]}
    world.apply(guard(), policy("budget", world.cluster.pool, OLD, rotation=FIRST, disruption=budget))
    await world.start()

    async def replaced() -> bool:
        return sum(one.status.phase is RotationPhase.SUCCEEDED for one in await world.rotations()) == len(old)

    await until(replaced, what="five rotations", seconds=120)

    found = await world.rotations()
    assert len(found) == len(old)
    assert max(_open_at_once(world, since)) <= 2
    untouched = {one["metadata"]["name"] for one in new}
    assert not untouched & {one["objectRef"].get("name") for one in world.audit(since=since)}
    left = await world.cluster.list(resources.NODES, label_selector=f"{marks.POOL_LABEL}={world.cluster.pool}")
    assert {one["status"]["nodeInfo"]["kubeletVersion"] for one in left} == {"v1.36.3"}
    assert len(left) == len(old) + len(new)


def _open_at_once(world: Operated, since: int) -> list[int]:
    """After each status write of a Rotation: how many were past Pending and not over, by the server's own order."""
    open_: set[str] = set()
    counts = [0]
    for one in world.audit(since=since):
        if one["objectRef"]["resource"] != "rotations" or one["responseStatus"]["code"] != 200:
            continue
        phase = ((one.get("responseObject") or {}).get("status") or {}).get("phase", "Pending")
        name = one["objectRef"]["name"]
        (open_.discard if phase in ("Pending", "Succeeded", "Failed", "Aborted") else open_.add)(name)
        counts.append(len(open_))
    return counts


async def test_a_budget_of_pods_holds_a_drain_and_is_named(world: Operated) -> None:
    """The pod stays while its PDB allows nothing; the status names the PDB; then it goes on."""
    await define(world)
    (old,) = await world.cluster.nodes(1, image=OLD_IMAGE)
    name, namespace = old["metadata"]["name"], world.cluster.namespace
    await world.cluster.pods(1, node_name=name, labels={"app": "cart"}, grace_seconds=1)
    pdb = fleet.disruption_budget("cart", namespace, "cart", minAvailable=1)
    await world.cluster.client.create(resources.POD_DISRUPTION_BUDGETS, pdb, namespace=namespace)
    world.apply(guard(), policy("pdb", world.cluster.pool, OLD, rotation=FIRST, drain=EVICT))
    await world.start()

    async def held() -> list[Rotation]:
        return [one for one in await world.rotations() if one.status.blocked and one.status.blocked.reason == "PDB"]

    blocked = (await until(held, what="the drain to be held", seconds=40))[0]
    assert blocked.status.blocked is not None
    assert f"{namespace}/cart" in blocked.status.blocked.message
    assert blocked.status.drain is not None
    assert blocked.status.drain.blocked_by[0].pdb == f"{namespace}/cart"
    await settle(3)
    assert (await world.cluster.get(resources.PODS, "pod-0", namespace=namespace))["metadata"].get(
        "deletionTimestamp"
    ) is None

    world.plane.kubectl("delete", "pdb", "cart", "-n", namespace)

    await one_rotation(world, RotationPhase.SUCCEEDED, seconds=60)
    assert await world.node(name) is None


async def test_a_reused_name_is_another_machine(world: Operated) -> None:
    """The machine is replaced by a namesake in mid-rotation: nothing is done to the new one."""
    await define(world)
    (old,) = await world.cluster.nodes(1, image=OLD_IMAGE)
    name = old["metadata"]["name"]
    await world.cluster.pods(
        1, node_name=name, grace_seconds=1, annotations={marks.DO_NOT_DISRUPT: "later: not parsable, so it protects"}
    )
    since = world.audit_position()
    world.apply(guard(), policy("reuse", world.cluster.pool, OLD, rotation=FIRST, drain=EVICT))
    await world.start()
    rotate = {
        "apiVersion": "exuvia.dev/v1alpha1",
        "kind": "Rotation",
        "metadata": {"name": f"{name}-by-hand"},
        "spec": {"instance": {"kind": "Node", "name": name, "uid": old["metadata"]["uid"]}},
    }
    world.apply(rotate)
    world.plane.kubectl("delete", "node", name)
    fresh = fleet.Machine(name=name, pool=world.cluster.pool, zone="a", provider_id="simulated://elsewhere/1")
    (again,) = await fleet.create_nodes(world.cluster.client, [fresh], _now())

    async def over() -> bool:
        return all(not one.open for one in await world.rotations())

    await until(over, what="the rotation to end", seconds=60)
    await settle(2)
    node = await world.node(name)
    assert node is not None
    assert node["metadata"]["uid"] == again["metadata"]["uid"]
    assert not node["spec"].get("unschedulable")
    ours = [one for one in world.audit(since=since) if one["objectRef"]["resource"] == "nodes"]
    assert [one for one in ours if one["objectRef"].get("name") == name and _uid(one) == again["metadata"]["uid"]] == []


async def test_a_persons_own_cordon_stays_after_an_abort(world: Operated) -> None:
    """Marks come off exactly as they went on: what was cordoned before is cordoned after."""
    await define(world)
    (old,) = await world.cluster.nodes(1, image=OLD_IMAGE, labels={"team": "a"})
    name, namespace = old["metadata"]["name"], world.cluster.namespace
    world.plane.kubectl("cordon", name)
    world.plane.kubectl("taint", "node", name, "team=a:NoSchedule")
    before = await world.node(name)
    await world.cluster.client.create(
        resources.PODS,
        fleet.pod("pod-0", namespace, node_name=name, labels={"app": "cart"}, grace_seconds=1),
        namespace=namespace,
    )
    pdb = fleet.disruption_budget("cart", namespace, "cart", minAvailable=1)
    await world.cluster.client.create(resources.POD_DISRUPTION_BUDGETS, pdb, namespace=namespace)
    world.apply(guard(), policy("abort", world.cluster.pool, OLD, rotation=FIRST, drain=EVICT))
    await world.start()
    rotation = await one_rotation(world, RotationPhase.DRAINING)
    marked = await world.node(name)
    assert marked is not None
    assert marks.ROTATING_TAINT in {one["key"] for one in marked["spec"]["taints"]}

    world.plane.kubectl("patch", "rotations.exuvia.dev", rotation.name, "--type=merge", "-p", '{"spec":{"abort":true}}')

    await one_rotation(world, RotationPhase.ABORTED)
    after = await world.node(name)
    assert before is not None
    assert after is not None
    assert after["spec"].get("unschedulable") is True
    assert _foreign_taints(after) == _foreign_taints(before) == {"team"}
    assert own_words(after["metadata"]["labels"]) == own_words(before["metadata"]["labels"])
    assert own_words(after["metadata"]["annotations"]) == own_words(before["metadata"]["annotations"])


async def test_a_pause_stops_disruptive_writes(world: Operated) -> None:
    """From 5 s after the pause on: no write to a Node or pod. After it is lifted the rotation goes on."""
    await define(world)
    await world.cluster.nodes(4, image=OLD_IMAGE)
    world.apply(guard(), policy("pause", world.cluster.pool, OLD, rotation=FIRST))
    await world.start()
    await one_rotation(world, RotationPhase.REPLACING)

    paused = guard(pauseRequests=[{"by": "alice", "reason": "incident 42"}])
    world.apply(paused)
    await settle(5)
    since = world.audit_position()
    await settle(6)
    assert [one for one in world.audit(since=since) if one["objectRef"]["resource"] in ("nodes", "pods")] == []
    assert [one for one in await world.rotations() if one.open]

    async def says_paused() -> bool:
        return any(one.status.blocked and one.status.blocked.reason == "Paused" for one in await world.rotations())

    await until(says_paused, what="a rotation to say Paused")
    world.apply(guard(pauseRequests=[]))

    async def replaced() -> bool:
        return sum(one.status.phase is RotationPhase.SUCCEEDED for one in await world.rotations()) == 4

    await until(replaced, what="four rotations", seconds=90)


def own_words(marked: dict[str, str]) -> dict[str, str]:
    """Labels or annotations without those that the node controllers add by themselves."""
    theirs = ("beta.kubernetes.io/", "node.alpha.kubernetes.io/", "volumes.kubernetes.io/")
    return {key: value for key, value in marked.items() if not key.startswith(theirs)}


def _foreign_taints(node: dict[str, Any]) -> set[str]:
    """Keys of taints, without those that the node lifecycle controller comes and goes with."""
    return {one["key"] for one in node["spec"]["taints"] if not one["key"].startswith("node.kubernetes.io/")}


def _uid(entry: dict[str, Any]) -> str:
    return str(((entry.get("responseObject") or {}).get("metadata") or {}).get("uid", ""))


def _now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)


async def test_a_rotation_by_hand_says_what_it_waits_for(world: Operated) -> None:
    """A manual Rotation under a pause stays Pending and names the pause; lifted, it starts in Audit too."""
    await define(world)
    nodes = await world.cluster.nodes(3, image=OLD_IMAGE)
    name = nodes[0]["metadata"]["name"]
    world.apply(
        policy("hand", world.cluster.pool, OLD, mode="Audit", rotation=FIRST)
    )  # lends its settings, acts on none
    world.apply(guard(pauseRequests=[{"by": "alice", "reason": "incident 42"}]))
    await world.start()
    world.apply(by_hand("Rotation", nodes[0]))

    async def waits() -> bool:
        found = await world.rotations()
        return bool(found) and found[0].status.blocked is not None and found[0].status.blocked.reason == "Paused"

    await until(waits, what="the rotation to say what it waits for")
    world.apply(guard())
    await one_rotation(world, RotationPhase.SUCCEEDED, seconds=60)
    assert await world.node(name) is None
