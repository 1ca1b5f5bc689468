"""`exuvia rotate | quarantine | release | abort | pause | resume | status | uninstall` on a real API server.

No operator runs: what commands write is looked at, and statuses that an operator would write are written here.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exuvia import ports
from exuvia.localcluster.controlplane import ControlPlane
from exuvia.model import marks, resources
from tests.cli.people import Person, guard, lease, one, only_watches, set_status
from tests.cluster import Cluster

pytestmark = pytest.mark.cluster

POLICY = {
    "apiVersion": "exuvia.dev/v1alpha1",
    "kind": "SecurityPolicy",
    "metadata": {"name": "cli-workers"},
    "spec": {
        "target": {"selector": {}},
        "rules": [{"name": "age", "type": "MaxAge", "maxAge": {"limit": "1h"}}],
    },
}


async def test_rotate_writes_who_asked_and_asks_once(cluster: Cluster, admin: Person) -> None:
    (node,) = await cluster.nodes()
    name, uid = node["metadata"]["name"], node["metadata"]["uid"]
    said = await admin.call("rotate", name, "--reason", "a leak")
    made = await one(cluster, resources.ROTATIONS)
    assert made["metadata"]["name"] == f"{name}-{uid[:8]}-1"
    assert made["metadata"]["finalizers"] == [marks.FINALIZER]
    assert made["spec"]["instance"]["uid"] == uid
    assert made["spec"]["instance"]["providerID"] == node["spec"]["providerID"]
    assert "policy" not in made["spec"]
    assert (made["spec"]["reason"], bool(made["spec"]["requestedBy"])) == ("a leak", True)
    assert "asked for" in said.stdout
    assert "open already (Pending); nothing to do" in (await admin.call("rotate", name)).stdout
    await set_status(cluster, resources.ROTATIONS, made["metadata"]["name"], phase="Failed", reason="DrainTimeout")
    await admin.call("rotate", name)
    names = {body["metadata"]["name"] for body in await cluster.list(resources.ROTATIONS)}
    assert names == {f"{name}-{uid[:8]}-1", f"{name}-{uid[:8]}-2"}


async def test_rotating_a_quarantined_machine_says_that_it_waits(cluster: Cluster, admin: Person) -> None:
    (node,) = await cluster.nodes()
    name = node["metadata"]["name"]
    await admin.call("quarantine", name, "--reason", "odd")
    held = await one(cluster, resources.QUARANTINES)
    assert held["spec"]["reason"] == "odd"
    assert f"exuvia release {held['metadata']['name']}" in (await admin.call("rotate", name)).stdout


async def test_a_machine_that_is_not_there(cluster: Cluster, admin: Person) -> None:
    said = await admin.call("rotate", "no-such-node", code=2)
    assert said.stderr.startswith("error: There is no Node no-such-node. See `kubectl get nodes`")
    assert await cluster.list(resources.ROTATIONS) == []


async def test_a_rotation_that_waits_for_the_ledger_says_so_and_a_quarantine_does_not_wait(
    cluster: Cluster, admin: Person
) -> None:
    first, second, third = [one["metadata"]["name"] for one in await cluster.nodes(3)]
    await lease(cluster, "pod-1", datetime.now(UTC))
    await guard(cluster)
    brake = {"name": "ledger", "state": "Engaged", "reason": "the ledger misses entry 9"}
    await set_status(cluster, resources.FLEET_GUARDS, "default", brakes=[brake])
    assert "it waits: the ledger misses entry 9" in (await admin.call("rotate", first)).stdout
    assert "it waits" not in (await admin.call("quarantine", second)).stdout
    await set_status(cluster, resources.FLEET_GUARDS, "default", brakes=[{**brake, "state": "Released"}])
    assert "it waits" not in (await admin.call("rotate", third)).stdout


async def test_abort_counts_until_terminating(cluster: Cluster, admin: Person) -> None:
    (node,) = await cluster.nodes()
    await admin.call("rotate", node["metadata"]["name"])
    name = (await one(cluster, resources.ROTATIONS))["metadata"]["name"]
    await admin.call("abort", name)
    assert (await one(cluster, resources.ROTATIONS))["spec"]["abort"] is True
    assert "being called off already" in (await admin.call("abort", name)).stdout
    await set_status(cluster, resources.ROTATIONS, name, phase="Terminating")
    assert "cannot be called off any more" in (await admin.call("abort", name, code=2)).stderr
    await set_status(cluster, resources.ROTATIONS, name, phase="Aborted", reason="CalledOff")
    assert "is over already (Aborted, CalledOff)" in (await admin.call("abort", name)).stdout
    assert "There is no Rotation nothing" in (await admin.call("abort", "nothing", code=2)).stderr


async def test_release_writes_the_decision(cluster: Cluster, admin: Person) -> None:
    (node,) = await cluster.nodes()
    await admin.call("quarantine", node["metadata"]["name"])
    name = (await one(cluster, resources.QUARANTINES))["metadata"]["name"]
    release = ("release", name, "--reason", "a false alarm")
    said = await admin.call(*release, "--verdict", "Rotate")
    assert "EvidenceMissing" in said.stdout
    await admin.call(*release, "--verdict", "Rotate", "--destroy-unsealed")
    assert (await one(cluster, resources.QUARANTINES))["spec"]["release"]["destroyUnsealed"] is True
    await admin.call(*release, "--verdict", "Return")
    written = (await one(cluster, resources.QUARANTINES))["spec"]["release"]
    assert (written["verdict"], written["reason"], bool(written["by"])) == ("Return", "a false alarm", True)
    assert "destroyUnsealed" not in written
    await set_status(cluster, resources.QUARANTINES, name, releaseAccepted=written)
    assert "was accepted already" in (await admin.call(*release, "--verdict", "Rotate", code=2)).stderr
    assert (
        "goes with --verdict Rotate only"
        in (await admin.call(*release, "--verdict", "Return", "--destroy-unsealed", code=2)).stderr
    )


async def test_what_is_called_off_or_released_says_what_it_waits_for(cluster: Cluster, admin: Person) -> None:
    """The wish is written in any case: whoever acts next puts the machine back."""
    rotating, held = await cluster.nodes(2)
    await lease(cluster, "pod-1", datetime.now(UTC))
    await admin.call("rotate", rotating["metadata"]["name"])
    await admin.call("quarantine", held["metadata"]["name"])
    rotation = (await one(cluster, resources.ROTATIONS))["metadata"]["name"]
    quarantine = (await one(cluster, resources.QUARANTINES))["metadata"]["name"]
    release = ("release", quarantine, "--verdict", "Return", "--reason", "a false alarm")
    assert "it waits" not in (await admin.call(*release)).stdout
    await lease(cluster, "pod-1", datetime.now(UTC) - timedelta(seconds=27))
    dead = "it waits: no operator works (nobody leads: pod-1 was the last, epoch 3, and its Lease of 15 s was renewed 2"
    assert dead in (await admin.call(*release)).stdout
    said = (await admin.call("abort", rotation)).stdout
    assert dead in said and "put back as they were" not in said
    assert "is to be called off; its marks stay as they are meanwhile" in said
    assert (await one(cluster, resources.ROTATIONS))["spec"]["abort"] is True
    assert dead in (await admin.call("abort", rotation)).stdout
    assert dead in (await admin.call("quarantine", rotating["metadata"]["name"])).stdout
    await lease(cluster, "pod-1", datetime.now(UTC))
    await guard(cluster)
    await only_watches(cluster)
    for command in (release, ("abort", rotation)):
        assert "it waits: the operator only watches (--read-only)" in (await admin.call(*command)).stdout


async def test_pause_makes_the_guard_and_resume_takes_only_ones_own_out(cluster: Cluster, admin: Person) -> None:
    await admin.call("pause", "--reason", "incident 41")
    await admin.call("pause", "--reason", "incident 42", "--until", "2h")
    written = await one(cluster, resources.FLEET_GUARDS)
    (request,) = written["spec"]["pauseRequests"]
    assert request["reason"] == "incident 42"
    again = (await admin.call("pause", "--reason", "incident 42", "--until", "2h")).stdout
    assert "your former pause until 20" in again and "(incident 42) is replaced by this one" in again
    until = datetime.fromisoformat(request["until"])
    assert timedelta(minutes=119) < until - datetime.now(UTC) < timedelta(minutes=121)
    others = [request, {"by": "bob", "reason": "my own"}, {"by": marks.SERVICE_ACCOUNT_USER, "reason": "deleted"}]
    await cluster.client.merge_patch(resources.FLEET_GUARDS, "default", {"spec": {"pauseRequests": others}})
    said = await admin.call("resume", code=1)
    assert "took out 2 of 3 pauses" in said.stdout and "still paused by bob: my own" in said.stdout
    await admin.call("resume", "--all")
    assert not (await one(cluster, resources.FLEET_GUARDS))["spec"].get("pauseRequests")
    assert (await admin.call("resume")).stdout == "nothing is paused\n"
    over = ("pause", "--reason", "x", "--until", "2001-01-01T00:00:00Z")
    assert "is over already" in (await admin.call(*over, code=2)).stderr


async def test_resume_of_a_pool(cluster: Cluster, admin: Person) -> None:
    await admin.call("resume", "--pool", "blue")
    await admin.call("resume", "--pool", "red")
    await admin.call("resume", "--pool", "blue")
    resumes = (await one(cluster, resources.FLEET_GUARDS))["spec"]["poolResumes"]
    assert [entry["pool"] for entry in resumes] == ["red", "blue"]
    assert all(entry["by"] and entry["at"] for entry in resumes)


async def test_status_tells_what_is_known(cluster: Cluster, admin: Person) -> None:
    await lease(cluster, "", datetime.now(UTC))
    nobody = (await admin.call("status", code=1)).stdout
    assert "No policy and no operation" in nobody
    assert "No operator works: nobody leads. See `exuvia doctor`." in nobody
    await lease(cluster, "pod-1", datetime.now(UTC))
    (node,) = await cluster.nodes()
    await cluster.client.create(resources.SECURITY_POLICIES, POLICY)
    await admin.call("rotate", node["metadata"]["name"])
    rotation = await one(cluster, resources.ROTATIONS)
    quiet = await admin.answer("status")
    assert [entry["policy"] for entry in quiet["policies"]] == ["cli-workers"]
    assert [entry["phase"] for entry in quiet["operations"]] == ["Pending"]
    age = quiet["operations"][0]["age"]
    assert age.endswith("Z") and datetime.fromisoformat(age).tzinfo is not None and "T" in age
    blocked = {"reason": "PDB", "message": "PDB shop/cart allows 0 disruptions", "since": "2026-11-24T12:00:00Z"}
    await set_status(cluster, resources.ROTATIONS, rotation["metadata"]["name"], phase="Draining", blocked=blocked)
    counts = {"matched": 3, "compliant": 1, "violating": 2, "unknown": 0, "exempt": 0}
    await set_status(cluster, resources.SECURITY_POLICIES, "cli-workers", instances=counts)
    said = (await admin.call("status", code=1)).stdout
    assert "PDB shop/cart allows 0 disruptions" in said
    loud = await admin.answer("status", code=1)
    assert loud["policies"][0]["violating"] == 2
    assert loud["operations"][0]["blocked"] == "PDB"


async def test_without_rights_it_is_one_sentence(admin: Person, nobody: Person) -> None:
    for arguments in (("status",), ("rotate", "x"), ("pause", "--reason", "x"), ("uninstall", "--dry-run")):
        said = (await nobody.call(*arguments, code=2)).stderr
        assert said.count("\n") == 1 and "forbidden" in said and "Ask an admin for the right" in said


async def test_without_a_cluster_it_is_one_sentence(tmp_path: Path, plane: ControlPlane) -> None:
    dead = tmp_path / "dead.yaml"
    dead.write_text(plane.kubeconfig.read_text().replace(plane.server, "https://127.0.0.1:1"))
    for file, words in ((dead, "does not answer"), (tmp_path / "none", "There is no kubeconfig")):
        said = (await Person(file).call("status", code=2)).stderr
        assert said.count("\n") == 1 and words in said


async def test_uninstall_asks_twice_and_needs_an_operator(cluster: Cluster, admin: Person) -> None:
    (node,) = await cluster.nodes()
    await admin.call("rotate", node["metadata"]["name"])
    await lease(cluster, "", datetime.now(UTC))
    assert "is Pending" in (await admin.call("uninstall", "--dry-run", code=1)).stdout
    assert "Nothing was done" in (await admin.call("uninstall", code=1)).stdout
    said = await admin.call("uninstall", "--discard-history", code=2)
    assert "No operator answers: nobody leads. Start it again, or give --force" in said.stderr
    await lease(cluster, "pod-1", datetime.now(UTC))
    assert "An operator works" in (await admin.call("uninstall", "--discard-history", "--force", code=2)).stderr
    left = await admin.call("uninstall", "--discard-history", "--timeout", "2s", code=1)
    assert "Not done after 2s. Still there:\n  Rotation" in left.stdout
    asked = (await one(cluster, resources.FLEET_GUARDS))["spec"]["uninstall"]
    assert asked["by"] and asked["at"] and asked["discardHistory"] is True


async def test_uninstall_by_force_restores_what_was_there(cluster: Cluster, admin: Person) -> None:
    """Two machines are marked, one was cordoned before by somebody else; one is held. Only exuvia's marks go."""
    rotating, held = await cluster.nodes(2)
    await lease(cluster, "", datetime.now(UTC))
    await admin.call("rotate", rotating["metadata"]["name"])
    await admin.call("quarantine", held["metadata"]["name"])
    rotation, quarantine = await one(cluster, resources.ROTATIONS), await one(cluster, resources.QUARANTINES)
    await mark(cluster, rotating, marks.ROTATING_TAINT, marks.STATE_ROTATING)
    await mark(cluster, held, marks.QUARANTINED_TAINT, marks.STATE_QUARANTINED)
    before = {"unschedulable": True}
    await set_status(cluster, resources.ROTATIONS, rotation["metadata"]["name"], phase="Draining", before=before)
    await set_status(cluster, resources.QUARANTINES, quarantine["metadata"]["name"], phase="Held", before={})

    await note_head(cluster)
    said = await admin.call("uninstall", "--force", "--discard-history")
    assert await cluster.client.get(resources.CONFIG_MAPS, marks.LEDGER_HEAD, namespace=marks.SYSTEM_NAMESPACE) is None
    assert f"{held['metadata']['name']} stays marked and cut off" in said.stdout
    node = await cluster.get(resources.NODES, rotating["metadata"]["name"])
    assert taints(node) == ["somebody.else/taint"]
    assert node["spec"]["unschedulable"] is True
    assert marks.STATE_LABEL not in node["metadata"]["labels"]
    assert marks.QUARANTINED_TAINT in taints(await cluster.get(resources.NODES, held["metadata"]["name"]))
    assert not (await one(cluster, resources.ROTATIONS))["metadata"].get("finalizers")
    assert not (await one(cluster, resources.QUARANTINES))["metadata"].get("finalizers")
    asked = (await one(cluster, resources.FLEET_GUARDS))["spec"]["uninstall"]
    assert asked["by"] and asked["at"] and asked["discardHistory"] is True
    assert "Nothing starts any more, also when an operator is started" in said.stdout

    await admin.call("uninstall", "--force", "--discard-history", "--release-quarantines")
    assert (await one(cluster, resources.QUARANTINES))["spec"]["release"]["verdict"] == "Return", "for who starts later"
    node = await cluster.get(resources.NODES, held["metadata"]["name"])
    assert taints(node) == ["somebody.else/taint"]
    assert not node["spec"].get("unschedulable")


async def note_head(cluster: Cluster) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": marks.LEDGER_HEAD}, "data": {"seq": "7"}}
    await cluster.client.create(resources.CONFIG_MAPS, body, namespace=marks.SYSTEM_NAMESPACE)


async def mark(cluster: Cluster, node: ports.Body, taint: str, state: str) -> None:
    theirs = {"key": "somebody.else/taint", "effect": "NoSchedule"}
    body = {
        "metadata": {"labels": {marks.STATE_LABEL: state}},
        "spec": {"unschedulable": True, "taints": [theirs, {"key": taint, "effect": "NoSchedule"}]},
    }
    await cluster.client.merge_patch(resources.NODES, node["metadata"]["name"], body)


def taints(node: ports.Body) -> list[str]:
    own = ("node.kubernetes.io/unschedulable", "node.kubernetes.io/not-ready")
    return [taint["key"] for taint in node["spec"].get("taints") or () if taint["key"] not in own]


async def test_uninstall_waits_for_the_operator_and_says_what_is_left(cluster: Cluster, admin: Person) -> None:
    """Somebody plays the operator: once asked it calls the Rotation off, and ends the Quarantine that was released."""
    rotating, held = await cluster.nodes(2)
    await lease(cluster, "pod-1", datetime.now(UTC))
    await admin.call("rotate", rotating["metadata"]["name"])
    await admin.call("quarantine", held["metadata"]["name"])
    operator = asyncio.create_task(play_operator(cluster))
    try:
        said = await admin.call("uninstall", "--discard-history", "--release-quarantines", "--timeout", "30s")
    finally:
        operator.cancel()
    first, *_, last = said.stdout.splitlines()
    assert first.endswith("is Pending: is called off, and its machine put back as it was")
    assert "is Pending: is released, and its machine goes back to work" in said.stdout
    assert "The operator (pod-1) is asked to do that; waiting for up to 30s." in said.stdout
    over = [line for line in said.stdout.splitlines() if line.endswith(" is over")]
    assert sorted(line.split()[0] for line in over) == ["Quarantine", "Rotation"]
    assert last == "Done: everything of exuvia may be deleted now. Go on with `kubectl delete -k deploy/`."
    release = (await one(cluster, resources.QUARANTINES))["spec"]["release"]
    assert (release["verdict"], release["reason"]) == ("Return", "exuvia is uninstalled")


async def test_an_uninstall_is_named_and_taken_back(cluster: Cluster, admin: Person) -> None:
    """What would end by itself at once is not even asked for, and the way back works."""
    (node,) = await cluster.nodes()
    await lease(cluster, "pod-1", datetime.now(UTC))
    asked = {"by": "alice", "at": "2026-11-24T12:00:00Z"}
    await guard(cluster, uninstall=asked)
    for command in ("rotate", "quarantine"):
        said = (await admin.call(command, node["metadata"]["name"], code=2)).stderr
        assert "exuvia is uninstalled, as alice asked" in said and "Take that back by `exuvia resume`" in said
    assert await cluster.list(resources.ROTATIONS) == [] == await cluster.list(resources.QUARANTINES)
    assert "uninstalled, as alice asked: nothing starts" in (await admin.call("status", code=1)).stdout
    assert "still uninstalled, as alice asked" in (await admin.call("resume", code=1)).stdout
    assert "the uninstall is taken back" in (await admin.call("resume", "--all")).stdout
    assert "asked for" in (await admin.call("rotate", node["metadata"]["name"])).stdout


async def test_an_operator_that_only_watches_is_asked_for_nothing(
    cluster: Cluster, admin: Person, tmp_path: Path
) -> None:
    rotating, held = await cluster.nodes(2)
    await lease(cluster, "pod-1", datetime.now(UTC))
    await admin.call("rotate", rotating["metadata"]["name"])
    await guard(cluster)
    await only_watches(cluster)
    for command in ("rotate", "quarantine"):
        said = (await admin.call(command, held["metadata"]["name"], code=2)).stderr
        assert "The operator only watches (--read-only)" in said and "start it without --read-only" in said
    assert "The operator only watches" in (await admin.call("status", code=1)).stdout
    assert (
        "the operator only watches (--read-only)"
        in (await admin.call("doctor", "--as-me", "--evidence-dir", tmp_path)).stdout
    )
    assert "the operator only watches" in (await admin.call("explain", rotating["metadata"]["name"], code=1)).stdout
    refused = (await admin.call("uninstall", "--discard-history", code=2)).stderr
    assert "it calls nothing off" in refused and "Give --force" in refused
    assert not (await one(cluster, resources.FLEET_GUARDS))["spec"].get("uninstall")
    await admin.call("uninstall", "--discard-history", "--force")
    assert not (await one(cluster, resources.ROTATIONS))["metadata"].get("finalizers")


async def play_operator(cluster: Cluster) -> None:
    while True:
        await asyncio.sleep(0.3)
        asked = any(body["spec"].get("uninstall") for body in await cluster.list(resources.FLEET_GUARDS))
        released = any(body["spec"].get("release") for body in await cluster.list(resources.QUARANTINES))
        if asked and released:
            break
    for kind, phase in ((resources.ROTATIONS, "Aborted"), (resources.QUARANTINES, "Released")):
        name = (await one(cluster, kind))["metadata"]["name"]
        await asyncio.sleep(1.5)
        await set_status(cluster, kind, name, phase=phase)
        await cluster.client.merge_patch(kind, name, {"metadata": {"finalizers": None}})


async def test_released_by_force_the_pods_are_free_again(cluster: Cluster, admin: Person) -> None:
    """Our network policy goes, our label comes off, and a frozen copy leaves: its owner has another one by now."""
    (node,) = await cluster.nodes()
    await lease(cluster, "", datetime.now(UTC))
    await admin.call("quarantine", node["metadata"]["name"])
    held = (await one(cluster, resources.QUARANTINES))["metadata"]
    label = {marks.QUARANTINE_POD_LABEL: held["uid"]}
    kept, frozen = await cluster.pods(2, node_name=node["metadata"]["name"], labels=label)
    kind = resources.NETWORK_POLICIES
    head = {"apiVersion": kind.api_version, "kind": kind.kind}
    policy = {"metadata": {"name": "ours", "labels": label}, "spec": {"podSelector": {"matchLabels": label}}}
    await cluster.client.create(kind, head | policy, namespace=cluster.namespace)
    workload = {"pod": f"{cluster.namespace}/{frozen['metadata']['name']}", "uid": frozen["metadata"]["uid"]}
    await set_status(
        cluster, resources.QUARANTINES, held["name"], phase="Held", workloads=[workload | {"treatment": "Frozen"}]
    )
    await admin.call("uninstall", "--force", "--discard-history", "--release-quarantines")
    assert await cluster.list(kind, namespace=cluster.namespace) == []
    pods = {body["metadata"]["name"]: body for body in await cluster.list(resources.PODS, namespace=cluster.namespace)}
    assert marks.QUARANTINE_POD_LABEL not in pods[kept["metadata"]["name"]]["metadata"].get("labels", {})
    left = pods.get(frozen["metadata"]["name"])
    assert left is None or left["metadata"].get("deletionTimestamp")
