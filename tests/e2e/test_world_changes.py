"""When the world changes under an open operation, and when the fleet is in no state for one (operations.md)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from exuvia.localcluster import fleet
from exuvia.model import marks, resources
from exuvia.model.specs.quarantine import Quarantine, QuarantinePhase
from exuvia.model.specs.rotation import Rotation, RotationPhase
from tests.cluster import until
from tests.e2e.operated import Operated, entries, exuvia, guard, held_for, policy, settle
from tests.e2e.test_ledger import a_held_drain, rotated
from tests.e2e.test_quarantine import RULE, SUSPICIOUS, frozen, release
from tests.e2e.test_rotation import EVICT, FIRST, OLD, OLD_IMAGE, define, one_rotation

pytestmark = [pytest.mark.cluster, pytest.mark.proof]

CONTROL_PLANE = {"node-role.kubernetes.io/control-plane": ""}
BY_NODE = {"provider": "NodeDelete", "strategy": "DrainFirst", "soakTime": "1s", "maxFailedReplacements": 1}


async def tell_cloud(world: Operated, method: str, path: str, **body: Any) -> dict[str, Any]:
    """A request to the simulated cloud about the pool of this test."""
    url = f"{world.cloud}/v1/pools/{world.cluster.pool}{path}"
    async with aiohttp.ClientSession() as session, session.request(method, url, json=body or None) as answer:
        assert answer.status < 300, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found


async def all_rotations(world: Operated, count: int, phase: RotationPhase, seconds: float = 60) -> list[Rotation]:
    """So many Rotations, once they all are in a phase."""

    async def look() -> list[Rotation]:
        found = [one for one in await world.rotations() if one.status.phase is phase]
        return found if len(found) == count else []

    return await until(look, what=f"{count} rotations in {phase}", seconds=seconds)


async def assert_as_before(world: Operated, name: str) -> None:
    """No cordon, and no mark of ours."""
    node = await world.node(name)
    assert node is not None
    assert not node["spec"].get("unschedulable")
    words = (*node["metadata"]["labels"], *node["metadata"]["annotations"], *taints(node))
    assert {one for one in words if one.startswith("exuvia.dev/")} == {marks.POOL_LABEL}


def taints(node: dict[str, Any]) -> set[str]:
    """Keys of the taints of a Node."""
    return {one["key"] for one in node["spec"].get("taints") or ()}


async def pod_stays(world: Operated) -> bool:
    """Whether nobody asked the pod of the held drain to go."""
    pod = await world.cluster.get(resources.PODS, "pod-0", namespace=world.cluster.namespace)
    return "deletionTimestamp" not in pod["metadata"]


async def test_a_policy_that_comes_back_within_a_minute_changes_nothing(world: Operated) -> None:
    """Deleted: nothing disruptive from then on. Created anew: the same Rotation goes on to its end."""
    await define(world)
    asked = policy("again", world.cluster.pool, OLD, rotation=FIRST, drain=EVICT)
    world.apply(guard(), asked)
    await world.start()
    open_ = await a_held_drain(world)

    world.plane.kubectl("delete", "securitypolicies.exuvia.dev", "again")

    async def noted() -> bool:
        return (await world.rotations())[0].status.unwanted_since is not None

    await until(noted, what="the rotation to note that nobody wants it")
    world.plane.kubectl("delete", "pdb", "cart", "-n", world.cluster.namespace)
    await settle(3)
    assert await pod_stays(world)
    world.apply(asked)
    ended = await one_rotation(world, RotationPhase.SUCCEEDED, seconds=60)
    assert ended.uid == open_.uid


SUSPENDED = pytest.param({"suspend": True}, id="suspended", marks=pytest.mark.slow)


@pytest.mark.parametrize("change", [pytest.param({"mode": "Audit"}, id="audit"), SUSPENDED])
async def test_a_policy_that_does_not_enforce_any_more_calls_it_off(world: Operated, change: dict[str, Any]) -> None:
    """Not yet drained: aborted, the machine as it was, the pod still there."""
    await define(world)
    world.apply(guard(), policy("off", world.cluster.pool, OLD, rotation=FIRST, drain=EVICT))
    await world.start()
    open_ = await a_held_drain(world)

    world.apply(policy("off", world.cluster.pool, OLD, rotation=FIRST, drain=EVICT, **change))

    ended = await one_rotation(world, RotationPhase.ABORTED)
    assert ended.status.reason == "NoLongerWanted"
    await assert_as_before(world, open_.spec.instance.name)
    assert await pod_stays(world)


async def test_a_rotation_that_a_person_deletes_is_undone_first(world: Operated) -> None:
    """The finalizer holds it until the machine is as it was, taints of others kept; the policy opens none for a day."""
    await define(world)
    world.apply(guard(), policy("deleted", world.cluster.pool, OLD, rotation=FIRST, drain=EVICT))
    await world.start()
    open_ = await a_held_drain(world)
    name = open_.spec.instance.name
    world.plane.kubectl("taint", "node", name, "team=b:NoSchedule")

    world.plane.kubectl("delete", "rotations.exuvia.dev", open_.name, "--wait", "--timeout=30s")

    node = await world.node(name)
    assert node is not None
    assert "team" in taints(node)
    await assert_as_before(world, name)
    said = await held_for(world, "deleted", "BackingOff")
    assert name in said
    assert await world.rotations() == []


async def test_a_quarantine_is_not_deleted_before_it_is_released(world: Operated) -> None:
    """The server refuses it; where its policy is missing our finalizer does, and says so. A release lets it go."""
    node, _ = await world.cluster.nodes(2)
    name = node["metadata"]["name"]
    world.apply(guard(), policy("kept", world.cluster.pool, RULE))
    await world.start()
    world.plane.kubectl("label", "node", name, f"{SUSPICIOUS}=true")
    held = await frozen(world, name)

    refused = world.plane.kubectl_run("delete", "quarantines.exuvia.dev", held.name, "--wait=false")
    assert refused.returncode != 0
    assert "release" in refused.stderr
    world.plane.kubectl("delete", "validatingadmissionpolicybindings", "--all")
    await until(lambda: deleted(world, held), what="the deletion to be taken")

    async def said() -> bool:
        found = (await world.quarantines())[0]
        return any("delet" in one.what for one in found.status.custody)

    await until(said, what="the quarantine to say that it stays")
    marked = await world.node(name)
    assert marked is not None
    assert marks.QUARANTINED_TAINT in taints(marked)
    world.plane.kubectl("label", "node", name, f"{SUSPICIOUS}-")
    release(world, held, "Return")

    async def gone() -> bool:
        return await world.quarantines() == []

    await until(gone, what="the quarantine to be gone", seconds=30)
    await assert_as_before(world, name)


async def deleted(world: Operated, held: Quarantine) -> bool:
    """Ask for its deletion, as often as the server still refuses."""
    done = world.plane.kubectl_run("delete", "quarantines.exuvia.dev", held.name, "--wait=false")
    return done.returncode == 0


async def test_a_deleted_fleet_guard_comes_back_paused(world: Operated) -> None:
    """Nothing starts until a person says `exuvia resume`."""
    await define(world)
    await world.cluster.nodes(2)
    world.apply(guard(), policy("guarded", world.cluster.pool, OLD, rotation=FIRST))
    await world.start()
    await settle(2)

    world.plane.kubectl("delete", "fleetguards.exuvia.dev", "default")

    async def paused() -> bool:
        body = await world.cluster.client.get(resources.FLEET_GUARDS, "default")
        requests = ((body or {}).get("spec") or {}).get("pauseRequests") or []
        return [one["reason"] for one in requests] == ["FleetGuardDeleted"]

    await until(paused, what="the FleetGuard to be back, paused")
    await world.cluster.nodes(1, image=OLD_IMAGE)
    await held_for(world, "guarded", "FleetGuardDeleted")
    events = await world.cluster.list(resources.EVENTS, namespace="default")
    assert any(one["reason"] == "FleetGuardDeleted" for one in events)
    assert await world.rotations() == []
    assert exuvia(world, "resume").returncode == 0
    await one_rotation(world, RotationPhase.SUCCEEDED, seconds=60)


async def test_a_pool_whose_replacements_never_come_good_is_halted(world: Operated) -> None:
    """Two fail and are undone, what came is given back, the third waits; `resume --pool` lets the pool go on."""
    await define(world)
    await tell_cloud(world, "POST", "/faults", neverReady=-1)
    old = await world.cluster.nodes(2, image=OLD_IMAGE)
    await world.cluster.nodes(2)
    quick = {**FIRST, "replacementTimeout": "3s", "maxFailedReplacements": 2}
    world.apply(guard(), policy("halted", world.cluster.pool, OLD, rotation=quick))
    await world.start()

    failed = await all_rotations(world, 2, RotationPhase.FAILED)

    assert {one.status.reason for one in failed} == {"ReplacementFailed"}
    for one in old:
        await assert_as_before(world, one["metadata"]["name"])
    (third,) = await world.cluster.nodes(1, image=OLD_IMAGE)
    assert world.cluster.pool in await held_for(world, "halted", "PoolHalted")
    assert len(await world.rotations()) == 2
    left = await tell_cloud(world, "GET", "/machines")
    asked = {one.uid for one in failed}
    assert [one for one in left["machines"] if one["key"].split("/")[0] in asked and one["state"] == "Running"] == []
    await tell_cloud(world, "DELETE", "/faults")
    assert exuvia(world, "resume", "--pool", world.cluster.pool).returncode == 0
    ended = await one_rotation(world, RotationPhase.SUCCEEDED, seconds=60)
    assert ended.spec.instance.uid == third["metadata"]["uid"]


@pytest.mark.slow
async def test_a_pool_that_brings_the_old_image_back_is_said(world: Operated) -> None:
    """Ready, but with what we want to get rid of: ReplacementFailed names the rule, the machine is restored."""
    await define(world)
    await tell_cloud(world, "PATCH", "", image={"kubelet": "v1.34.0"})
    (old,) = await world.cluster.nodes(1, image=OLD_IMAGE)
    await world.cluster.nodes(2)
    quick = {**FIRST, "replacementTimeout": "4s", "maxFailedReplacements": 1}
    world.apply(guard(), policy("image", world.cluster.pool, OLD, rotation=quick))
    await world.start()

    ended = await one_rotation(world, RotationPhase.FAILED)

    assert ended.status.reason == "ReplacementFailed"
    assert "image/kubelet" in ended.status.message
    await assert_as_before(world, old["metadata"]["name"])
    halted = (await world.cluster.get(resources.FLEET_GUARDS, "default"))["status"]
    assert [one["pool"] for one in halted.get("haltedPools") or ()] in ([], [world.cluster.pool])


async def test_a_machine_that_goes_by_anothers_hand(world: Operated) -> None:
    """Its Rotation succeeds as InstanceGone; its Quarantine stays open and says that the machine is not there."""
    await define(world)
    suspect, _, _ = await world.cluster.nodes(3)
    name = suspect["metadata"]["name"]
    world.apply(guard(), policy("gone", world.cluster.pool, OLD, RULE, rotation=FIRST, drain=EVICT))
    await world.start()
    world.plane.kubectl("label", "node", name, f"{SUSPICIOUS}=true")
    await frozen(world, name)
    open_ = await a_held_drain(world)

    world.plane.kubectl("delete", "node", name, open_.spec.instance.name, "--wait", "--timeout=10s")

    ended = await one_rotation(world, RotationPhase.SUCCEEDED)
    assert ended.status.reason == "InstanceGone"

    async def absent() -> bool:
        found = (await world.quarantines())[0]
        return any(one.type == "InstancePresent" and one.status == "False" for one in found.status.conditions)

    await until(absent, what="the quarantine to say that its machine is gone")
    (held,) = await world.quarantines()
    assert held.status.phase is QuarantinePhase.HELD


async def test_a_storm_holds_starts_and_passes(world: Operated) -> None:
    """Too many NotReady at once: nothing starts, until the cool-down after the storm is over."""
    await define(world)
    names = [one["metadata"]["name"] for one in await world.cluster.nodes(4)]
    world.apply(guard(minHealthy="60%", stormCooldown="3s"), policy("storm", world.cluster.pool, OLD, rotation=FIRST))
    await world.start()
    await until(lambda: seen_ready(world) == len(names), what="every machine to be seen Ready once")
    for name in names[:3]:
        world.plane.kubectl("annotate", "node", name, f"{fleet.NOT_READY}=yes")
    await until(lambda: engaged(world, "storm"), what="the storm to be seen", seconds=30)
    (old,) = await world.cluster.nodes(1, image=OLD_IMAGE)

    await held_for(world, "storm", "Storm")

    status = (await world.cluster.get(resources.FLEET_GUARDS, "default"))["status"]
    assert status["storm"]["since"]
    assert await world.rotations() == []
    for name in names[:3]:
        world.plane.kubectl("annotate", "node", name, f"{fleet.NOT_READY}-")
    await one_rotation(world, RotationPhase.SUCCEEDED, seconds=60)
    assert await world.node(old["metadata"]["name"]) is None


def seen_ready(world: Operated) -> int:
    """How many machines the ledger knows to have been Ready: one that never was counts in no storm."""
    told = (one["body"] for one in entries(world.ledger) if one["type"] == "identity")
    return len({one["uid"] for one in told if one["attribute"] == "readyOnce"})


async def engaged(world: Operated, brake: str) -> bool:
    """Whether the FleetGuard says so of a brake."""
    return await world.brake(brake) == "Engaged"


async def test_the_control_plane_goes_one_at_a_time_and_never_below_three(world: Operated) -> None:
    """Two machines: none is touched. Three: one after the other, whatever the budgets allow."""
    await define(world)
    await tell_cloud(world, "PATCH", "", labels=CONTROL_PLANE)
    await world.cluster.nodes(2, image=OLD_IMAGE, labels=CONTROL_PLANE)
    world.apply(guard(), policy("quorum", world.cluster.pool, OLD, rotation=FIRST))
    await world.start()

    said = await held_for(world, "quorum", "ControlPlane")

    assert "below 3" in said
    assert await world.rotations() == []
    await world.cluster.nodes(1, image=OLD_IMAGE, labels=CONTROL_PLANE)
    await until(lambda: succeeded(world, 2), what="two rotations to succeed", seconds=90)
    begun = [(one.status.started_at, one.status.finished_at or now()) for one in await world.rotations()]
    spans = sorted((started, ended) for started, ended in begun if started is not None)
    assert all(former[1] <= latter[0] for former, latter in pairwise(spans)), "two at once"


def now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


async def succeeded(world: Operated, count: int) -> bool:
    """Whether so many Rotations succeeded."""
    return sum(one.status.phase is RotationPhase.SUCCEEDED for one in await world.rotations()) >= count


async def test_a_node_is_deleted_and_its_pool_refills(world: Operated) -> None:
    """NodeDelete, DrainFirst: the Node is deleted after its drain, and what the owner brings is its replacement."""
    group = {"zones": ["a"], "bootSeconds": 0.2, "size": 2, "refill": True}
    await tell_cloud(world, "PUT", "", **group, image={"kubelet": "v1.34.0"})
    await until(lambda: grown(world, 2), what="the pool to fill")
    await tell_cloud(world, "PATCH", "", image={"kubelet": "v1.36.3"})
    rotation = {**BY_NODE, "replacementTimeout": "1m"}
    budget = {"budgets": [{"name": "one", "nodes": "1"}]}
    world.apply(guard(), policy("refill", world.cluster.pool, OLD, rotation=rotation, disruption=budget))
    since = world.audit_position()
    await world.start()

    ended = await all_rotations(world, 2, RotationPhase.SUCCEEDED, seconds=90)

    await tell_cloud(world, "PATCH", "", refill=False, size=0)
    assert {one.status.reason for one in ended} == {"Replaced"}
    removed = [one for one in world.audit(since=since) if one["verb"] == "delete"]
    removed = [one for one in removed if one["objectRef"]["resource"] == "nodes"]
    assert {one["requestObject"]["preconditions"]["uid"] for one in removed} == {one.spec.instance.uid for one in ended}
    left = await grown(world, 2)
    assert {one["status"]["nodeInfo"]["kubeletVersion"] for one in left} == {"v1.36.3"}


async def grown(world: Operated, count: int) -> list[dict[str, Any]]:
    """The Nodes of the pool, once there are so many."""
    found = await world.cluster.list(resources.NODES, label_selector=f"{marks.POOL_LABEL}={world.cluster.pool}")
    return found if len(found) == count else []


@pytest.mark.slow
async def test_a_pool_that_nobody_refills_is_not_emptied(world: Operated) -> None:
    """One Node is deleted, nothing comes: NoReplacement, and the pool is halted with the others untouched."""
    await world.cluster.nodes(3, image=OLD_IMAGE)
    rotation = {**BY_NODE, "replacementTimeout": "3s"}
    budget = {"budgets": [{"name": "one", "nodes": "1"}]}
    world.apply(guard(), policy("empty", world.cluster.pool, OLD, rotation=rotation, disruption=budget))
    await world.start()

    ended = await one_rotation(world, RotationPhase.FAILED)

    assert ended.status.reason == "NoReplacement"
    assert world.cluster.pool in await held_for(world, "empty", "PoolHalted")
    await settle(2)
    assert len(await grown(world, 2)) == 2


async def test_a_rotation_of_a_quarantined_machine_waits(world: Operated) -> None:
    """By hand: Pending, Blocked, Quarantined, naming the Quarantine; nothing is done to the machine."""
    await define(world)
    node, _ = await world.cluster.nodes(2)
    name, uid = node["metadata"]["name"], node["metadata"]["uid"]
    world.apply(guard(), policy("both", world.cluster.pool, RULE, rotation=FIRST))
    await world.start()
    world.plane.kubectl("label", "node", name, f"{SUSPICIOUS}=true")
    held = await frozen(world, name)

    body = {
        "apiVersion": "exuvia.dev/v1alpha1",
        "kind": "Rotation",
        "metadata": {"name": f"{name}-{uid[:8]}-1"},
        "spec": {"instance": {"kind": "Node", "name": name, "uid": uid}, "requestedBy": "admin"},
    }
    world.plane.kubectl("create", "-f", "-", stdin=json.dumps(body))

    async def waits() -> str:
        found = await rotated(world, name)
        blocked = found[0].status.blocked if found else None
        return blocked.message if blocked is not None and blocked.reason == "Quarantined" else ""

    assert held.name in await until(waits, what="the rotation to say Quarantined")
    await settle(2)
    (rotation,) = await rotated(world, name)
    assert rotation.status.phase is RotationPhase.PENDING
