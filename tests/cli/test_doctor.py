"""`exuvia doctor` on a real API server: each line ok, unknown or a problem with the next step."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exuvia.app import anchoring
from exuvia.app.manifests import declared, rbac
from exuvia.cli import cluster as cli_cluster
from exuvia.cli import examining, reviewing
from exuvia.errors import NotFound
from exuvia.localcluster.controlplane import ControlPlane
from exuvia.model import marks, resources
from exuvia.model.permissions import Duty
from exuvia.model.resources import Resource
from exuvia.record import appending
from exuvia.record.reading import reading
from tests.cli.people import Person, ensure_namespace, guard, lease, policy, set_status
from tests.cli.test_ledger import HISTORY, write
from tests.cluster import Cluster


def by_subject(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one["subject"]: one for one in found}


def test_every_right_is_asked_once() -> None:
    asked = reviewing.rights(declared.permissions(), "exuvia-system")
    assert len(asked) == len(set(asked)) > 30
    assert "create pods.policy" not in {str(one) for one in asked}
    assert {"create pods/eviction", "watch securitypolicies.exuvia.dev"} <= {str(one) for one in asked}
    assert set(examining._TELLING) == set(rbac.INSTALLED) - {Duty.OBSERVE}
    assert {one for some in examining._TELLING.values() for one in some} <= {str(one) for one in asked}


def test_ledger_and_evidence_are_looked_at_where_they_are(tmp_path: Path) -> None:
    write(tmp_path / "ledger.db", *HISTORY)
    assert examining.ledger_health(tmp_path / "ledger.db", named=True).state is examining.State.OK
    assert examining.ledger_health(tmp_path / "none.db", named=True).state is examining.State.PROBLEM
    assert examining.ledger_health(tmp_path / "none.db", named=False).state is examining.State.UNKNOWN
    (tmp_path / "text.db").write_text("no ledger " * 500)
    assert examining.ledger_health(tmp_path / "text.db", named=True).state is examining.State.PROBLEM
    assert examining.evidence_directory(tmp_path, named=True).state is examining.State.OK
    assert "will be made" in examining.evidence_directory(tmp_path / "none", named=True).message
    assert examining.evidence_directory(tmp_path / "text.db", named=True).state is examining.State.PROBLEM
    assert examining.evidence_directory(tmp_path / "none", named=False).state is examining.State.UNKNOWN


@pytest.mark.cluster
async def test_all_is_well(cluster: Cluster, admin: Person, tmp_path: Path) -> None:
    await asyncio.to_thread(write, tmp_path / "ledger.db", *HISTORY)
    await guard(cluster)
    brake = {"name": "pause", "state": "Released", "since": "2026-11-24T12:00:00Z"}
    await set_status(cluster, resources.FLEET_GUARDS, "default", brakes=[brake])
    await lease(cluster, "pod-1", datetime.now(UTC))
    await note_head(cluster, tmp_path / "ledger.db")
    where = ("--ledger", tmp_path / "ledger.db", "--evidence-dir", tmp_path, "--as-me")
    found = by_subject(await admin.answer("doctor", *where))
    assert {one["state"] for one in found.values()} == {"ok"}, found
    assert {f"kind {one.kind}" for one in resources.OURS} <= set(found)
    assert "version v1.36" in found["API server"]["message"]
    assert "pod-1 leads (epoch 3" in found["leader"]["message"]
    assert "ok" in (await admin.call("doctor", *where)).stdout


@pytest.mark.cluster
async def test_a_ledger_that_lost_its_noted_head_is_a_problem(cluster: Cluster, admin: Person, tmp_path: Path) -> None:
    await asyncio.to_thread(write, tmp_path / "ledger.db", *HISTORY)
    await asyncio.to_thread(write, tmp_path / "old.db", *HISTORY[:3])
    await lease(cluster, "pod-1", datetime.now(UTC) - timedelta(minutes=5))  # one problem there is in any case
    await note_head(cluster, tmp_path / "ledger.db")
    whole, old = [
        by_subject(await admin.answer("doctor", "--ledger", tmp_path / name, code=1))["ledger's head"]
        for name in ("ledger.db", "old.db")
    ]
    assert (whole["state"], old["state"]) == ("ok", "problem")
    assert f"misses entries 4 to {len(HISTORY)}, the last of which" in old["message"]
    assert marks.LEDGER_HEAD in old["message"]
    assert "exuvia ledger accept" in old["next"]
    await anchoring.remove(cluster.client, marks.SYSTEM_NAMESPACE)
    found = by_subject(await admin.answer("doctor", "--ledger", tmp_path / "ledger.db", code=1))
    assert found["ledger's head"]["state"] == "unknown"


async def note_head(cluster: Cluster, ledger: Path) -> None:
    """As an operator on that ledger does."""
    with reading(ledger) as connection:
        head = appending.head(connection, "test")
    await ensure_namespace(cluster)
    await anchoring.remove(cluster.client, marks.SYSTEM_NAMESPACE)
    data = {"seq": str(head.seq), "hash": head.hash.hex()}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": marks.LEDGER_HEAD}, "data": data}
    await cluster.client.create(resources.CONFIG_MAPS, body, namespace=marks.SYSTEM_NAMESPACE)


@pytest.mark.cluster
async def test_problems_come_with_the_next_step(cluster: Cluster, admin: Person) -> None:
    await lease(cluster, "pod-1", datetime.now(UTC) - timedelta(minutes=5))
    await policy(cluster, "broken", rules=[{"name": "r", "type": "Reports", "reports": {"source": "kube-bench"}}])
    said = {"type": "Ready", "status": "False", "reason": "NotSupported", "message": "spec.rules[0] is not supported"}
    await set_status(
        cluster,
        resources.SECURITY_POLICIES,
        "broken",
        conditions=[said | {"lastTransitionTime": "2026-11-24T12:00:00Z"}],
    )
    brake = {"name": "ledger", "state": "Engaged", "reason": "the ledger is Down", "since": "2026-11-24T12:00:00Z"}
    await guard(cluster)
    await set_status(cluster, resources.FLEET_GUARDS, "default", brakes=[brake])
    found = by_subject(await admin.answer("doctor", code=1))
    problems = {name for name, one in found.items() if one["state"] == "problem"}
    assert problems == {"leader", "policies", "fleet guard"}, found
    assert all(found[name]["next"] for name in problems)
    assert "the ledger is Down" in found["fleet guard"]["message"]
    assert "exuvia lint" in found["policies"]["next"]
    assert found["ledger"]["state"] == "unknown"


@pytest.mark.cluster
async def test_a_kind_of_another_version_is_found(cluster: Cluster, admin: Person) -> None:
    crds = resources.CUSTOM_RESOURCE_DEFINITIONS
    name = f"quarantines.{marks.GROUP}"
    kept = await cluster.get(crds, name)
    versions = [dict(one) for one in kept["spec"]["versions"]]
    versions[0]["additionalPrinterColumns"] = versions[0]["additionalPrinterColumns"][:-1]
    await cluster.client.merge_patch(crds, name, {"spec": {"versions": versions}})
    try:
        found = by_subject(await admin.answer("doctor", code=1))
        assert "is of another version" in found["kind Quarantine"]["message"]
        assert found["kind Rotation"]["state"] == "ok"
    finally:
        await cluster.client.merge_patch(crds, name, {"spec": {"versions": kept["spec"]["versions"]}})


@pytest.mark.cluster
async def test_missing_rights_are_named(cluster: Cluster, admin: Person, nobody: Person) -> None:
    found = by_subject(await nobody.answer("doctor", code=1))
    assert found["API server"]["state"] == "ok"
    assert found["kind Rotation"]["state"] == "unknown"
    assert found["rights to observe"]["state"] == "problem"
    assert "you may not" in found["rights to observe"]["message"]
    assert found["rights to rotate"]["message"] == "you may not: this installation does not rotate"


@pytest.mark.cluster
async def test_no_server_is_the_one_problem(plane: ControlPlane, tmp_path: Path) -> None:
    dead = tmp_path / "dead.yaml"
    dead.write_text(plane.kubeconfig.read_text().replace(plane.server, "https://127.0.0.1:1"))
    found = by_subject(await Person(dead).answer("doctor", code=1))
    assert found["API server"]["state"] == "problem"
    assert set(found) == {"API server", "ledger", "evidence"}


@pytest.mark.cluster
async def test_a_kind_that_is_not_installed_is_said_with_the_way_out(cluster: Cluster) -> None:
    never = Resource(group=marks.GROUP, version="v1alpha1", plural="nevers", kind="Never")
    with pytest.raises(NotFound, match="kubectl apply --server-side -k crds/"):
        await cli_cluster.every(cluster.client, never)
    with pytest.raises(NotFound, match="kubectl apply --server-side -k crds/"):
        await cli_cluster.named(cluster.client, never, "any")


@pytest.mark.cluster
async def test_an_intake_that_may_not_ask_who_its_senders_are_is_a_problem(cluster: Cluster, admin: Person) -> None:
    await ensure_namespace(cluster)
    client, place = cluster.client, {"namespace": marks.SYSTEM_NAMESPACE}
    account = resources_of("serviceaccounts", "ServiceAccount")
    service, deployment = resources_of("services", "Service"), resources_of("deployments", "Deployment", "apps")

    async def said(*arguments: str) -> dict[str, Any] | None:
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "exuvia"}, "spec": spec(*arguments)}
        found = await client.get(deployment, "exuvia", **place)
        if found is not None:
            await client.delete(deployment, "exuvia", uid=found["metadata"]["uid"], **place)
        await client.create(deployment, body, **place)
        return by_subject(await admin.answer("doctor", code=1)).get("intake")

    assert "intake" not in by_subject(await admin.answer("doctor", code=1)), "no Deployment says anything of it"
    await client.create(account, {"metadata": {"name": "exuvia"}}, **place)
    open_, closed = await said("run", "--intake-cert=/tls/tls.crt"), await said("run")
    assert open_ is not None and closed is not None
    assert (open_["state"], closed["state"]) == ("problem", "ok")
    assert "create tokenreviews.authentication.k8s.io" in open_["message"] and "overlays/intake" in open_["next"]
    port = {"metadata": {"name": "exuvia-intake"}, "spec": {"ports": [{"port": 8443}]}}
    left = await client.create(service, port, **place)
    closed = await said("run")
    assert closed is not None and closed["state"] == "problem" and "nobody answers behind it" in closed["message"]
    mine = by_subject(await admin.answer("doctor", "--as-me", code=1))["intake"]
    assert mine["state"] == "problem"
    await client.delete(service, "exuvia-intake", uid=left["metadata"]["uid"], **place)
    await said("run", "--intake-cert", "/tls/tls.crt")
    mine = by_subject(await admin.answer("doctor", "--as-me", code=1))["intake"]
    assert (mine["state"], "you may ask" in mine["message"]) == ("ok", True)
    for kind in (deployment, account):
        found = await client.get(kind, "exuvia", **place)
        assert found is not None
        await client.delete(kind, "exuvia", uid=found["metadata"]["uid"], **place)


def resources_of(plural: str, kind: str, group: str = "") -> Resource:
    return Resource(group=group, version="v1", plural=plural, kind=kind, namespaced=True)


def spec(*arguments: str) -> dict[str, Any]:
    """Of a Deployment as small as can be."""
    labels = {"app": "exuvia"}
    container = {"name": "operator", "image": "exuvia", "args": list(arguments)}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
