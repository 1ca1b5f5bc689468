"""What others tell a running operator: a scanner's reports, which may come and go, and sessions by HTTP."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from exuvia.app.audit_events import MOST
from exuvia.decide.quarantine import asking
from exuvia.localcluster import fleet
from exuvia.localcluster.certificates import Authority
from exuvia.model import resources
from exuvia.model.facts import text
from exuvia.record.moments import moment
from tests.cluster import until
from tests.e2e.operated import Operated, audit_lines, entries, exuvia, free_port, guard, policy, settle
from tests.e2e.test_crash import QUICK_LEASE, sound
from tests.e2e.test_quarantine import RULE, SUSPICIOUS, frozen

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

CRD = Path(__file__).with_name("vulnerabilityreports.yaml")
INTAKE_RIGHTS = Path(__file__).parents[2] / "deploy/components/intake/rbac.yaml"
DIGEST = "sha256:" + "1".zfill(64)  # of every image that KWOK runs
REPLICA_SETS = resources.Resource(group="apps", plural="replicasets", kind="ReplicaSet", namespaced=True)


@pytest.fixture
def scanner(world: Operated) -> Iterator[Operated]:
    """A cluster where the scanner's kind may be installed; it is gone afterwards."""
    yield world
    world.plane.kubectl("delete", "--ignore-not-found", "-f", str(CRD))


def report(world: Operated, owner: dict[str, Any], *found: str) -> None:
    """What the scanner says now of the image of a ReplicaSet."""
    meta = owner["metadata"]
    labels = {"kind": "ReplicaSet", "name": meta["name"], "namespace": world.cluster.namespace}
    listed = [
        {"vulnerabilityID": one, "severity": "HIGH", "score": 9.8, "publishedDate": "2026-03-01T00:00:00Z"}
        for one in found
    ]
    world.apply(
        {
            "apiVersion": resources.VULNERABILITY_REPORTS.api_version,
            "kind": "VulnerabilityReport",
            "metadata": {
                "name": "cart",
                "namespace": world.cluster.namespace,
                "labels": {
                    **{f"trivy-operator.resource.{key}": value for key, value in labels.items()},
                    "trivy-operator.container.name": "app",
                },
            },
            "report": {
                "updateTimestamp": text(datetime.now(UTC)),
                "artifact": {"repository": "app", "digest": DIGEST},
                "vulnerabilities": listed,
            },
        }
    )


def presences(world: Operated) -> list[dict[str, Any]]:
    return [one["body"] for one in entries(world.ledger) if one["type"] == "presence"]


def imaged(world: Operated) -> set[str]:
    """UIDs of pods of which it is told which images they run."""
    told = (one["body"] for one in entries(world.ledger) if one["type"] == "placement")
    here = (one for one in told if one.get("namespace") == world.cluster.namespace and one.get("images"))
    return {one.get("podUid") or one["uid"] for one in here}


def placements(world: Operated) -> dict[str, str]:
    """UID of a machine -> when the first pod of the test was placed on it."""
    told = [one for one in entries(world.ledger) if one["type"] == "placement" and one["body"].get("event") == "from"]
    here = [one for one in told if one["body"]["namespace"] == world.cluster.namespace]
    found: dict[str, int] = {}
    for one in here:
        uid = one["body"]["instance"]
        found[uid] = min(one["at"], found.get(uid, one["at"]))
    return {uid: text(moment(at)) for uid, at in found.items()}


@pytest.mark.proof
async def test_a_scanner_that_comes_later_is_taken_on_and_its_findings_are_on_the_machines(scanner: Operated) -> None:
    world = scanner
    world.apply(guard())
    replica = await world.start(*QUICK_LEASE)
    await world.cluster.nodes(2)
    cart = fleet.deployment("cart", world.cluster.namespace, 2, nodeSelector={"exuvia.dev/pool": world.cluster.pool})
    await world.cluster.client.create(fleet.DEPLOYMENTS, cart, namespace=world.cluster.namespace)
    (owner,) = await until(
        lambda: world.cluster.list(REPLICA_SETS, namespace=world.cluster.namespace), what="the ReplicaSet"
    )
    await until(lambda: len(imaged(world)) == 2, what="both pods to run, with their images", seconds=40)
    await until(lambda: "there is no trivy-operator" in replica.log.read_text(), what="the missing scanner to be said")

    world.plane.kubectl("apply", "-f", str(CRD))
    world.plane.kubectl("wait", "--for=condition=Established", f"crd/{resources.VULNERABILITY_REPORTS.full_name}")
    report(world, owner, "CVE-2026-1", "CVE-2026-2")
    began = placements(world)
    assert len(began) == 1 or len(began) == 2  # the scheduler may put both pods on one machine
    await until(lambda: len(presences(world)) == 2 * len(began), what="the findings to be told", seconds=60)
    assert {one["uid"]: one["from"] for one in presences(world)} == began
    assert {(one["to"], one["image"]) for one in presences(world)} == {(None, DIGEST)}
    scores = [one["body"] for one in entries(world.ledger) if one["type"] == "score"]
    assert {(one["vulnerability"], one["source"], one["value"]) for one in scores} == {
        ("CVE-2026-1", "trivy", "9.8"),
        ("CVE-2026-2", "trivy", "9.8"),
    }

    told = len(presences(world))
    world.plane.kubectl("delete", "vulnerabilityreport", "cart", "-n", world.cluster.namespace)
    replica.kill()
    replica.start()
    await until(replica.leads, what="the operator to lead again", seconds=40)
    report(world, owner, "CVE-2026-2")
    await until(lambda: len(presences(world)) > told, what="the fix to be told", seconds=60)
    await until(lambda: len(presences(world)) >= told + len(began), what="the fix on each machine")
    later = presences(world)[told:]
    assert {(one["vulnerability"], one["closed"]) for one in later} == {("CVE-2026-1", "patched")}
    assert len(later) == len(began)
    assert sound(world.ledger)
    assert replica.log.read_text().count("there is no trivy-operator") == 1


@pytest.mark.proof
async def test_a_freeze_begins_with_the_marks_and_ends_with_the_machine_whoever_leads(world: Operated) -> None:
    name = (await world.cluster.nodes(3))[0]["metadata"]["name"]
    world.apply(guard(), policy("freezing", world.cluster.pool, RULE))
    replica = await world.start(*QUICK_LEASE)
    world.plane.kubectl("label", "node", name, f"{SUSPICIOUS}=true")
    held = await frozen(world, name)
    marked = next(one.finished_at for one in held.status.steps if one.name == asking.MARK)
    assert marked is not None
    begun = {"uid": held.spec.instance.uid, "from": text(marked), "to": None}
    await until(lambda: freezes(world) == [begun], what="the freeze to be told")

    replica.kill()
    replica.start()
    await until(replica.leads, what="the operator to lead again", seconds=40)
    await settle(3)
    assert freezes(world) == [begun]
    before = text(datetime.now(UTC))
    world.plane.kubectl("delete", "node", name)
    await until(lambda: len(freezes(world)) == 2, what="its end to be told")
    ended = freezes(world)[1]
    assert (ended["uid"], ended["from"]) == (begun["uid"], begun["from"])
    assert before <= ended["to"] <= text(datetime.now(UTC))


def freezes(world: Operated) -> list[dict[str, Any]]:
    return [one["body"] for one in entries(world.ledger) if one["type"] == "frozen"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Somebody who tells the operator something, and may so far not."""

    world: Operated
    port: int
    token: str
    trusted: ssl.SSLContext

    async def post(self, path: str, body: str) -> int:
        """The code of the answer."""
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {self.token}"}) as session,
            session.post(f"https://127.0.0.1:{self.port}{path}", data=body, ssl=self.trusted) as answer,
        ):
            return answer.status

    @contextmanager
    def let_in(self, path: str) -> Iterator[None]:
        """As a ClusterRole lets it."""
        kubectl, namespace = self.world.plane.kubectl, self.world.cluster.namespace
        role = f"tells-{namespace}"
        kubectl("create", "clusterrole", role, "--verb=post", f"--non-resource-url={path}")
        kubectl("create", "clusterrolebinding", role, f"--clusterrole={role}", f"--serviceaccount={namespace}:broker")
        try:
            yield
        finally:
            kubectl("delete", f"clusterrolebinding/{role}", f"clusterrole/{role}")

    async def tell(self, path: str, body: str) -> None:
        """Once it is let in."""

        async def taken() -> bool:
            return await self.post(path, body) == 200

        await until(taken, what=f"{path} to be taken")


@pytest.fixture
async def broker(world: Operated, tmp_path: Path) -> AsyncIterator[Broker]:
    """With an operator that runs with the intake, and the rights of its component."""
    authority = Authority(tmp_path / "ca", "intake-ca")
    pair, port = authority.issue("server", "intake", server=True), free_port()
    world.plane.kubectl("apply", "-f", str(INTAKE_RIGHTS))
    try:
        await world.start(
            *("--intake-cert", str(pair.certificate), "--intake-key", str(pair.key), "--intake-port", str(port))
        )
        world.plane.kubectl("create", "serviceaccount", "broker", "-n", world.cluster.namespace)
        token = world.plane.kubectl("create", "token", "broker", "-n", world.cluster.namespace).strip()
        trusted = ssl.create_default_context(cafile=str(authority.pair.certificate))
        yield Broker(world=world, port=port, token=token, trusted=trusted)
    finally:
        world.plane.kubectl("delete", "-f", str(INTAKE_RIGHTS))


def answered(world: Operated, *arguments: str) -> Any:
    """What `ledger who` says."""
    return exuvia(world, "ledger", "who", *arguments, "--ledger", str(world.ledger), "-o", "json").json()


async def test_sessions_are_taken_from_whom_the_cluster_lets_in(broker: Broker) -> None:
    world = broker.world
    (machine,) = await world.cluster.nodes(1)
    uid, name = machine["metadata"]["uid"], machine["metadata"]["name"]
    line = {"type": "session", "uid": uid, "user": "alice", "from": text(datetime.now(UTC)), "to": None}
    assert await broker.post("/sessions", json.dumps(line)) == 403
    with broker.let_in("/sessions"):
        await broker.tell("/sessions", json.dumps(line))
        assert await broker.post("/sessions", json.dumps(line)) == 200
        assert await broker.post("/signals/audit", "") == 403
    assert len([one for one in entries(world.ledger) if one["type"] == "session"]) == 1
    found = answered(world, "--name", name)
    assert [one["user"] for one in found["instances"][0]["sessions"]] == ["alice"]


async def test_a_person_who_deleted_a_machine_is_named_by_the_audit_log(broker: Broker) -> None:
    """The very lines that the API server wrote: all of them, one in many concerns a machine. Who only tried it, just
    before, is not named."""
    world = broker.world
    since = world.audit_position()
    (machine,) = await world.cluster.nodes(1)
    name = machine["metadata"]["name"]
    carol, dave = (world.plane.issue_kubeconfig(who, ["system:masters"]) for who in ("carol", "dave"))
    await settle(1.5)  # a birth is told in whole seconds
    world.plane.kubectl("delete", "node", name, "--dry-run=server", "--kubeconfig", str(dave))
    world.plane.kubectl("delete", "node", name, "--kubeconfig", str(carol))

    async def told() -> list[dict[str, Any]]:
        return [one for one in entries(world.ledger) if one["type"] == "death"]

    await until(told, what="a death to be told")
    every = [f"{json.dumps(one)}\n" for one in audit_lines(world.plane, since)]
    assert len([one for one in every if "dryRun" in one and "dave" in one]) == 1
    with broker.let_in("/signals/audit"):
        for first in (*range(0, len(every), MOST), 0):
            await broker.tell("/signals/audit", "".join(every[first : first + MOST]))

    unknown, corrected = [one["body"] for one in await told()]
    assert (unknown["reason"], corrected["reason"], corrected["by"]) == ("unknown", "person", "carol")
    born = answered(world, "--name", name)["former"]["from"]
    assert [one["reason"] for one in answered(world, "--name", name, "--at", born)["instances"]] == ["person"]
