"""`exuvia explain`: the answer names what holds a machine and which field to change, on a real API server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from exuvia.app import naming
from exuvia.decide.brakes import table
from exuvia.model import resources
from tests.cli.people import Person, guard, lease, one, policy, set_status
from tests.cluster import Cluster

OLD_IMAGE = {"name": "image", "type": "Image", "image": {"allowed": ["Another Linux .*"]}}
YOUNG = {"name": "age", "type": "MaxAge", "maxAge": {"limit": "720h"}}
NO_DEBUG = {
    "name": "no-debug",
    "type": "Expression",
    "expression": {"expression": "!has(object.metadata.labels.debug)", "messageExpression": "'has debug on it'"},
}
ROTATES = {"mode": "Enforce", "action": "Rotate", "rotation": {"provider": "Simulated"}}


def test_every_brake_has_words_and_a_way_out() -> None:
    brakes = {*table.ROTATION_BRAKES, *table.QUARANTINE_BRAKES, *table.RELEASE_BRAKES}
    assert brakes == set(naming.BRAKES)
    assert all(naming.name_of(brake).title and naming.name_of(brake).change for brake in brakes)


def holding(found: Any) -> set[str]:
    return {brake["brake"] for brake in found["brakes"] if brake["holds"]}


@pytest.mark.cluster
async def test_a_compliant_machine(cluster: Cluster, admin: Person) -> None:
    (node,) = await cluster.nodes()
    name = node["metadata"]["name"]
    found = await admin.answer("explain", name)
    assert found["verdict"] is None and "no policy selects it" in found["conclusion"]
    await policy(cluster, "young", rules=[YOUNG, NO_DEBUG])
    found = await admin.answer("explain", name)
    assert found["verdict"] == "compliant"
    assert [rule["result"] for rule in found["policies"][0]["rules"]] == ["pass", "pass"]
    assert found["conclusion"] == "it complies with every policy that selects it: nothing is done."


@pytest.mark.cluster
async def test_the_winner_of_several_policies(cluster: Cluster, admin: Person) -> None:
    (node,) = await cluster.nodes()
    name = node["metadata"]["name"]
    await policy(cluster, "alerting", rules=[OLD_IMAGE])
    said = (await admin.answer("explain", name, code=1))["conclusion"]
    assert "nothing but an alert is asked for (spec.action)" in said
    await policy(cluster, "auditing", rules=[OLD_IMAGE], action="Quarantine")
    found = await admin.answer("explain", name, code=1)
    assert (found["winner"], found["wouldWin"]["policy"]) == (None, "auditing")
    assert "set its spec.mode to Enforce" in found["conclusion"]
    await policy(cluster, "rotating", rules=[OLD_IMAGE], **ROTATES, drain={"unmanagedPods": "Evict"})
    found = await admin.answer("explain", name, code=1)
    assert (found["winner"]["policy"], found["winner"]["action"]) == ("rotating", "Rotate")
    assert found["provider"]["name"] == "Simulated"
    assert found["settings"]["drain"]["unmanagedPods"] == "Block", "the strictest knob of all policies counts"
    table_ = (await admin.call("explain", name, code=1)).stdout
    assert "do not hold it and are not shown (--all shows them)." in table_ and "opt-out of a pod" not in table_
    assert "opt-out of a pod " in (await admin.call("explain", name, "--all", code=1)).stdout
    assert "BRAKES ON THE START OF A ROTATION" in table_ and "SETTINGS IT WOULD GET" in table_


@pytest.mark.cluster
async def test_every_brake_is_shown_and_what_holds_is_named(cluster: Cluster, admin: Person) -> None:
    (node, *_) = await cluster.nodes(4)
    name = node["metadata"]["name"]
    frozen = {"budgets": [{"name": "freeze", "nodes": "0"}], "windows": {"allow": [NEVER]}}
    await policy(cluster, "rotating", rules=[OLD_IMAGE], **ROTATES, disruption=frozen)
    found = await admin.answer("explain", name, code=1)
    assert "fleet guard readable" in holding(found)
    await guard(cluster, pauseRequests=[{"by": "alice", "reason": "incident 42"}])
    mark = {"metadata": {"annotations": {"exuvia.dev/do-not-disrupt": "true"}}}
    await cluster.client.merge_patch(resources.NODES, name, mark)
    found = await admin.answer("explain", name, code=1)
    assert {brake["brake"] for brake in found["brakes"]} == {
        naming.name_of(brake).title for brake in table.ROTATION_BRAKES
    }
    assert holding(found) == {"pause", "opt-out of the node", "budgets", "windows"}
    assert "paused by alice: incident 42" in found["conclusion"] and "exuvia resume" in found["conclusion"]
    assert found["nextTry"] is not None
    by_name = {brake["brake"]: brake for brake in found["brakes"]}
    assert "freeze" in by_name["budgets"]["message"]
    assert by_name["budgets"]["change"].endswith("disruption.budgets")


NEVER = {"schedule": "0 0 1 1 *", "duration": "1m"}


@pytest.mark.cluster
async def test_nobody_leads_is_said(cluster: Cluster, admin: Person) -> None:
    (node, *_) = await cluster.nodes(4)
    name = node["metadata"]["name"]
    await policy(cluster, "rotating", rules=[OLD_IMAGE], **ROTATES)
    await guard(cluster)
    await lease(cluster, "", datetime.now(UTC))
    found = await admin.answer("explain", name, code=1)
    assert holding(found) == set(), found["brakes"]
    assert "no operator works (nobody leads)" in found["conclusion"]
    await lease(cluster, "pod-1", datetime.now(UTC))
    assert "it starts with the next sweep" in (await admin.answer("explain", name, code=1))["conclusion"]


@pytest.mark.cluster
async def test_pods_and_budgets_in_the_way(cluster: Cluster, admin: Person) -> None:
    (node, *_) = await cluster.nodes(4)
    name = node["metadata"]["name"]
    await policy(cluster, "rotating", rules=[OLD_IMAGE], **ROTATES)
    await guard(cluster)
    await cluster.pods(1, node_name=name, name="cart", labels={"app": "cart"})
    kind = resources.POD_DISRUPTION_BUDGETS
    budget = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": "cart", "namespace": cluster.namespace},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "cart"}}},
    }
    await cluster.client.create(kind, budget, namespace=cluster.namespace)
    (pod,) = (await admin.answer("explain", name, code=1))["pods"]
    assert (pod["lot"], pod["reason"]) == ("Held", "UnmanagedPod")
    assert "spec.drain.unmanagedPods" in pod["heldBy"]
    body = await one(cluster, resources.SECURITY_POLICIES)
    evict = {"spec": {"drain": {"unmanagedPods": "Evict"}}}
    await cluster.client.merge_patch(resources.SECURITY_POLICIES, body["metadata"]["name"], evict)
    (pod,) = (await admin.answer("explain", name, code=1))["pods"]
    assert pod["lot"] == "Evict"
    assert pod["heldBy"].startswith(f"PDB {cluster.namespace}/cart allows 0 disruptions")


@pytest.mark.cluster
async def test_operations_under_way_and_waiting(cluster: Cluster, admin: Person) -> None:
    (node, *_) = await cluster.nodes(4)
    name = node["metadata"]["name"]
    await guard(cluster, pauseRequests=[{"by": "alice", "reason": "incident 42"}])
    await admin.call("rotate", name)
    rotation = (await one(cluster, resources.ROTATIONS))["metadata"]["name"]
    said = (await admin.answer("explain", name, code=1))["conclusion"]
    assert f"Rotation {rotation} waits to be started, and is held: paused by alice" in said
    blocked = {"reason": "PDB", "message": "PDB shop/cart allows 0 disruptions", "next": "2026-11-24T12:00:30Z"}
    await set_status(cluster, resources.ROTATIONS, rotation, phase="Draining", blocked=blocked)
    found = await admin.answer("explain", name, code=1)
    assert "is Draining and held (PDB): PDB shop/cart allows 0 disruptions" in found["conclusion"]
    assert holding(found) == {"every disruptive write"}


@pytest.mark.cluster
async def test_what_cannot_be_judged_and_what_cannot_be_used(cluster: Cluster, admin: Person) -> None:
    (node,) = await cluster.nodes()
    name = node["metadata"]["name"]
    errs = {"name": "errs", "type": "Expression", "expression": {"expression": "object.status.nothing == 1"}}
    await policy(cluster, "erring", rules=[errs], **ROTATES)
    await policy(
        cluster, "later", rules=[{"name": "r", "type": "Reports", "reports": {"source": "kube-bench"}}], **ROTATES
    )
    found = await admin.answer("explain", name, code=1)
    assert found["verdict"] == "unknown" and found["winner"] is None
    assert "cannot be judged: erring/errs" in found["conclusion"]
    assert [each["policy"] for each in found["unusable"]] == ["later"]


@pytest.mark.cluster
async def test_without_some_rights_the_rest_is_said(cluster: Cluster, admin: Person, nobody: Person) -> None:
    (node,) = await cluster.nodes()
    name = node["metadata"]["name"]
    assert "forbidden" in (await nobody.call("explain", name, code=2)).stderr
    cluster.plane.kubectl("create", "clusterrole", "cli-some", "--verb=get,list", "--resource=nodes")
    cluster.plane.kubectl(
        "create", "clusterrole", "cli-ours", "--verb=get,list",
        "--resource=securitypolicies.exuvia.dev,rotations.exuvia.dev,quarantines.exuvia.dev,fleetguards.exuvia.dev",
    )  # fmt: skip
    for role in ("cli-some", "cli-ours"):
        cluster.plane.kubectl("create", "clusterrolebinding", role, f"--clusterrole={role}", "--user=nobody")
    try:
        found = await nobody.answer("explain", name)
        assert found["pods"] is None
        assert any(note.startswith("pods may not be read") for note in found["notes"])
    finally:
        for role in ("cli-some", "cli-ours"):
            cluster.plane.kubectl("delete", "clusterrolebinding,clusterrole", role)


@pytest.mark.cluster
async def test_a_machine_that_is_not_there(admin: Person) -> None:
    said = (await admin.call("explain", "no-such-node", code=2)).stderr
    assert said.startswith("error: There is no Node no-such-node.")
    assert "`exuvia ledger who --name no-such-node --at TIME`" in said
