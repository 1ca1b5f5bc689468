"""A suspicious node is frozen, its evidence sealed, and it stays so until a person decides."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from exuvia.localcluster import fleet
from exuvia.model import marks, resources
from exuvia.model.specs.quarantine import Quarantine, QuarantinePhase
from exuvia.model.specs.rotation import RotationPhase
from tests.cluster import until
from tests.e2e.operated import Operated, guard, policy, settle
from tests.e2e.test_rotation import EVICT, FIRST, OLD, OLD_IMAGE, define, one_rotation, own_words

pytestmark = pytest.mark.cluster

SUSPICIOUS = "security.example.org/suspicious"
RULE = {"name": "suspicious", "type": "Marks", "action": "Quarantine", "marks": {"forbiddenLabels": [SUSPICIOUS]}}


async def test_a_marked_node_is_held_with_sealed_evidence(world: Operated) -> None:
    """From the label to Held: cordoned, tainted, evidence sealed."""
    nodes = await world.cluster.nodes(3)
    name = nodes[0]["metadata"]["name"]
    await world.cluster.pods(2, node_name=name)
    world.apply(guard(), policy("quarantining", world.cluster.pool, RULE))
    await world.start()

    world.plane.kubectl("label", "node", name, f"{SUSPICIOUS}=true")

    async def held() -> bool:
        found = await world.quarantines()
        return bool(found) and found[0].status.phase is QuarantinePhase.HELD

    await until(held, what="the quarantine to be held", seconds=40)
    (quarantine,) = await world.quarantines()
    node = await world.node(name)
    assert node is not None
    assert node["spec"]["unschedulable"] is True
    assert marks.QUARANTINED_TAINT in {one["key"] for one in node["spec"]["taints"]}
    assert quarantine.status.evidence is not None
    assert quarantine.status.evidence.digest
    manifest = world.evidence / quarantine.status.evidence.manifest
    assert manifest.is_file()


async def frozen(world: Operated, name: str, seconds: float = 40) -> Quarantine:
    """The Quarantine of that node, once it is Held."""

    async def look() -> list[Quarantine]:
        found = [one for one in await world.quarantines() if one.spec.instance.name == name]
        return [one for one in found if one.status.phase is QuarantinePhase.HELD]

    try:
        return (await until(look, what=f"{name} to be held", seconds=seconds))[0]
    except AssertionError as trouble:
        said = [one.status.model_dump_json(exclude_none=True) for one in await world.quarantines()]
        policies = [one["status"] for one in await world.cluster.list(resources.SECURITY_POLICIES)]
        raise AssertionError(f"{trouble}; quarantines: {said}; policies: {policies}") from None


async def test_a_quarantine_displaces_an_open_rotation(world: Operated) -> None:
    """The rotation ends SupersededByQuarantine, nothing is restored, nothing more is evicted."""
    await define(world)
    (old,) = await world.cluster.nodes(1, image=OLD_IMAGE)
    await world.cluster.nodes(2)  # of a fleet of one no percentage allows a quarantine
    name, namespace = old["metadata"]["name"], world.cluster.namespace
    await world.cluster.pods(1, node_name=name, labels={"app": "cart"}, grace_seconds=1)
    pdb = fleet.disruption_budget("cart", namespace, "cart", minAvailable=1)
    await world.cluster.client.create(resources.POD_DISRUPTION_BUDGETS, pdb, namespace=namespace)
    world.apply(guard(), policy("displace", world.cluster.pool, OLD, RULE, rotation=FIRST, drain=EVICT))
    await world.start()
    rotation = await one_rotation(world, RotationPhase.DRAINING)
    before = rotation.status.before

    world.plane.kubectl("label", "node", name, f"{SUSPICIOUS}=true")
    held = await frozen(world, name)

    ended = await one_rotation(world, RotationPhase.ABORTED)
    assert ended.status.reason == "SupersededByQuarantine"
    assert held.status.before == before
    node = await world.node(name)
    assert node is not None
    keys = {one["key"] for one in node["spec"]["taints"]}
    assert node["spec"]["unschedulable"] is True
    assert marks.QUARANTINED_TAINT in keys
    world.plane.kubectl("delete", "pdb", "cart", "-n", namespace)
    await settle(6)
    pod = await world.cluster.get(resources.PODS, "pod-0", namespace=namespace)
    assert "deletionTimestamp" not in pod["metadata"]


async def test_a_network_policy_that_somebody_deletes_is_back_within_seconds(world: Operated) -> None:
    """Deleted while the machine is Held and nothing else happens: it is back, evented, and Isolated told the gap."""
    nodes = await world.cluster.nodes(2)
    name, namespace = nodes[0]["metadata"]["name"], world.cluster.namespace
    await world.cluster.pods(1, node_name=name)
    world.apply(guard(), policy("network", world.cluster.pool, RULE))
    await world.start()
    world.plane.kubectl("label", "node", name, f"{SUSPICIOUS}=true")
    held = await frozen(world, name)
    ours = f"exuvia-{held.uid}"

    async def denies() -> bool:
        there = await world.cluster.client.get(resources.NETWORK_POLICIES, ours, namespace=namespace)
        (now,) = await world.quarantines()
        said = {one.type: (one.status, one.reason) for one in now.status.conditions}
        return there is not None and said.get("Isolated") == ("True", "Isolated")

    await until(denies, what="the machine to be isolated", seconds=20)
    await settle(4)
    world.plane.kubectl("delete", "networkpolicy", ours, "-n", namespace)

    await until(denies, what="the network policy to be back and said", seconds=10)
    (after,) = await world.quarantines()
    assert any("undid the isolation of namespace" in one.what for one in after.status.custody)
    events = await world.cluster.list(resources.EVENTS, namespace="default")
    assert any(one["reason"] == "QuarantineTampered" and one["regarding"]["name"] == name for one in events)


async def test_marks_that_somebody_takes_off_are_put_back(world: Operated) -> None:
    """Uncordoned, untainted, unlabelled by an admin: it is put back, and said."""
    nodes = await world.cluster.nodes(2)
    name = nodes[0]["metadata"]["name"]
    world.apply(guard(), policy("tamper", world.cluster.pool, RULE))
    await world.start()
    world.plane.kubectl("label", "node", name, f"{SUSPICIOUS}=true")
    await frozen(world, name)

    world.plane.kubectl("uncordon", name)
    world.plane.kubectl("taint", "node", name, f"{marks.QUARANTINED_TAINT}-")

    async def marked() -> bool:
        node = await world.node(name)
        assert node is not None
        keys = {one["key"] for one in node["spec"].get("taints") or ()}
        return bool(node["spec"].get("unschedulable")) and marks.QUARANTINED_TAINT in keys

    async def said() -> bool:
        found = await world.cluster.list(resources.EVENTS, namespace="default")
        return any(one["reason"] == "QuarantineTampered" and one["regarding"]["name"] == name for one in found)

    await until(marked, what="the marks to be back")
    await until(said, what="the event QuarantineTampered")


async def test_a_release_returns_the_machine_as_it_was(world: Operated) -> None:
    """A person's Return: marks off, labels as before, the quarantine ends; the user is recorded."""
    nodes = await world.cluster.nodes(2)
    name = nodes[0]["metadata"]["name"]
    before = await world.node(name)
    world.apply(guard(), policy("return", world.cluster.pool, RULE))
    await world.start()
    world.plane.kubectl("label", "node", name, f"{SUSPICIOUS}=true")
    held = await frozen(world, name)
    world.plane.kubectl("label", "node", name, f"{SUSPICIOUS}-")

    release(world, held, "Return")

    async def released() -> bool:
        return (await world.quarantines())[0].status.phase is QuarantinePhase.RELEASED

    await until(released, what="the quarantine to end", seconds=30)
    after = await world.node(name)
    assert before is not None
    assert after is not None
    assert not after["spec"].get("unschedulable")
    assert own_words(after["metadata"]["labels"]) == own_words(before["metadata"]["labels"])
    assert own_words(after["metadata"]["annotations"]) == own_words(before["metadata"]["annotations"])
    (quarantine,) = await world.quarantines()
    assert any(one.by == "admin" for one in quarantine.status.custody)
    assert quarantine.status.isolation is not None and quarantine.status.isolation.state == "Ended"
    (isolated,) = [one for one in quarantine.status.conditions if one.type == "Isolated"]
    assert (isolated.status, isolated.reason) == ("False", "Released")


async def test_a_release_by_rotation_removes_the_machine_once_sealed(world: Operated) -> None:
    """A person's Rotate: a Rotation with releasedFrom removes it, and the quarantine ends."""
    await define(world)
    nodes = await world.cluster.nodes(2)
    name = nodes[0]["metadata"]["name"]
    await world.cluster.pods(1, node_name=name, grace_seconds=1)
    world.apply(guard(), policy("rotate", world.cluster.pool, RULE, rotation=FIRST))
    await world.start()
    world.plane.kubectl("label", "node", name, f"{SUSPICIOUS}=true")
    held = await frozen(world, name)

    release(world, held, "Rotate")

    async def ended() -> bool:
        return (await world.quarantines())[0].status.phase is QuarantinePhase.RELEASED

    await until(ended, what="the quarantine to end", seconds=60)
    assert await world.node(name) is None
    (rotation,) = await world.rotations()
    assert rotation.spec.released_from == held.name
    assert rotation.status.phase is RotationPhase.SUCCEEDED


async def test_the_same_machine_under_a_new_object_inherits(world: Operated) -> None:
    """The Node is deleted and comes back with the same providerID: the new one is marked too, the old one passes on."""
    nodes = await world.cluster.nodes(2)
    node = nodes[0]
    name = node["metadata"]["name"]
    world.apply(guard(), policy("inherit", world.cluster.pool, RULE))
    await world.start()
    world.plane.kubectl("label", "node", name, f"{SUSPICIOUS}=true")
    await frozen(world, name)

    world.plane.kubectl("delete", "node", name, "--wait")
    again = fleet.Machine(name=name, pool=world.cluster.pool, zone="a", provider_id=node["spec"]["providerID"])
    (fresh,) = await fleet.create_nodes(world.cluster.client, [again], datetime.now(UTC))

    async def passed_on() -> bool:
        found = await world.quarantines()
        heirs = [one for one in found if one.spec.inherited_from and one.spec.instance.uid == fresh["metadata"]["uid"]]
        former = [one for one in found if not one.spec.inherited_from]
        return bool(heirs) and former[0].status.reason == "PassedOn"

    await until(passed_on, what="the quarantine to pass on", seconds=40)
    marked = await world.node(name)
    assert marked is not None
    assert marks.QUARANTINED_TAINT in {one["key"] for one in marked["spec"]["taints"]}


async def test_a_forged_release_is_refused(world: Operated) -> None:
    """Nobody releases in another's name."""
    nodes = await world.cluster.nodes(2)
    name = nodes[0]["metadata"]["name"]
    world.apply(guard(), policy("forged", world.cluster.pool, RULE))
    await world.start()
    world.plane.kubectl("label", "node", name, f"{SUSPICIOUS}=true")
    held = await frozen(world, name)

    forged = json.dumps({"spec": {"release": {"by": "alice", "verdict": "Return"}}})
    done = world.plane.kubectl_run("patch", "quarantines.exuvia.dev", held.name, "--type=merge", "-p", forged)

    assert done.returncode != 0
    assert "release.by" in done.stderr


def release(world: Operated, held: Quarantine, verdict: str) -> None:
    """As the admin, in the admin's own name."""
    said = json.dumps({"spec": {"release": {"by": "admin", "reason": "looked at", "verdict": verdict}}})
    world.plane.kubectl("patch", "quarantines.exuvia.dev", held.name, "--type=merge", "-p", said)
