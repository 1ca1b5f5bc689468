"""The operator as its own process on a real control plane, with the rights of deploy/; what tests do to it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import select

from exuvia import errors, ports
from exuvia.app.manifests import tree
from exuvia.localcluster.controlplane import ControlPlane
from exuvia.model import marks, resources
from exuvia.model.resources import Resource
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.record import opening, tables
from tests.cluster import Cluster, until

SERVICE_ACCOUNT_USER = marks.SERVICE_ACCOUNT_USER


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass(slots=True)
class Replica:
    """One process of `exuvia run`."""

    command: tuple[str, ...]
    environment: dict[str, str]
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it (again)."""
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(self.command, stdout=sink, stderr=sink, env=self.environment)

    def send(self, what: signal.Signals) -> None:
        """A signal to it."""
        assert self.process is not None
        self.process.send_signal(what)

    def kill(self) -> None:
        """SIGKILL, and gone."""
        self.send(signal.SIGKILL)
        assert self.process is not None
        self.process.wait(timeout=10)

    def stop(self) -> int:
        """SIGTERM; returns its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(timeout=25)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(timeout=5)
        return self.process.returncode

    def running(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    async def metrics(self) -> str:
        """What it exports; "" when it does not answer."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{self.port}/metrics") as answer,
            ):
                return await answer.text()
        except aiohttp.ClientError:
            return ""

    async def leads(self) -> bool:
        """Whether it acts."""
        return "exuvia_leader 1.0" in await self.metrics()


@dataclass(slots=True)
class Operated:
    """A cluster with an operator on it."""

    cluster: Cluster
    folder: Path
    cloud: str = ""
    options: tuple[str, ...] = ()
    replicas: list[Replica] = field(default_factory=list)

    @property
    def plane(self) -> ControlPlane:
        """The control plane."""
        return self.cluster.plane

    @property
    def ledger(self) -> Path:
        """The ledger's file."""
        return self.folder / "ledger.db"

    @property
    def evidence(self) -> Path:
        """Where evidence is kept."""
        return self.folder / "evidence"

    def replica(self, *more: str) -> Replica:
        """Another replica, not started yet."""
        port = free_port()
        kubeconfig = self.plane.service_account_kubeconfig(marks.SYSTEM_NAMESPACE, "exuvia")
        command = (
            *(sys.executable, "-m", "exuvia.cli.main", "run", "--kubeconfig", str(kubeconfig)),
            *("--ledger", str(self.ledger), "--evidence-dir", str(self.evidence)),
            *("--http-host", "127.0.0.1", "--http-port", str(port), "--log-format", "text"),
            *(("--simulated-cloud", self.cloud) if self.cloud else ()),
            *self.options,
            *more,
        )
        log = self.folder / f"exuvia-{len(self.replicas)}.log"
        made = Replica(command=command, environment=dict(os.environ), port=port, log=log)
        self.replicas.append(made)
        return made

    async def start(self, *more: str) -> Replica:
        """A replica that runs and leads."""
        made = self.replica(*more)
        made.start()
        await until(made.leads, what=f"the operator to lead ({made.log})", seconds=40)
        return made

    def apply(self, *bodies: dict[str, Any]) -> None:
        """Apply objects as an admin with kubectl."""
        self.plane.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": bodies}))

    async def rotations(self) -> list[Rotation]:
        """All Rotations, oldest first."""
        found = [Rotation.parse(one) for one in await self.cluster.list(resources.ROTATIONS)]
        return sorted(found, key=lambda one: (one.metadata.creation_timestamp, one.name))

    async def quarantines(self) -> list[Quarantine]:
        """All Quarantines."""
        return [Quarantine.parse(one) for one in await self.cluster.list(resources.QUARANTINES)]

    async def brake(self, name: str) -> str:
        """The state of a brake as the FleetGuard says it; "" when it says nothing of it."""
        said = (await self.cluster.get(resources.FLEET_GUARDS, "default")).get("status") or {}
        return next((one["state"] for one in said.get("brakes") or () if one["name"] == name), "")

    async def node(self, name: str) -> ports.Body | None:
        """A Node, or None."""
        return await self.cluster.client.get(resources.NODES, name)

    def audit(self, *, user: str = SERVICE_ACCOUNT_USER, since: int = 0) -> list[dict[str, Any]]:
        """Completed writes of a user from the API server's audit log, from that byte on."""
        return [
            one
            for one in audit_lines(self.plane, since)
            if one["user"]["username"] == user
            and one["verb"] in ("create", "update", "patch", "delete", "deletecollection")
            and one["stage"] == "ResponseComplete"
        ]

    def audit_position(self) -> int:
        """Where the audit log ends now, in bytes of all its files."""
        return sum(path.stat().st_size for path in audit_files(self.plane.audit_log))

    def stop(self) -> None:
        """Stop every replica."""
        for one in self.replicas:
            if one.process is not None:
                one.stop()


def audit_lines(plane: ControlPlane, since: int = 0) -> list[dict[str, Any]]:
    """Entries of the audit log from a byte on, counted over all its files."""
    found: list[dict[str, Any]] = []
    for path in audit_files(plane.audit_log):
        with path.open("rb") as file:
            file.seek(min(since, path.stat().st_size))
            since = max(0, since - file.tell())
            found += [json.loads(line) for line in file.read().splitlines() if line.endswith(b"}")]
    return found


def audit_files(log: Path) -> list[Path]:
    """In order: the server begins a new file every 100 MB, and names the full one by the time."""
    return [*sorted(log.parent.glob(f"{log.stem}-*{log.suffix}")), log]


@asynccontextmanager
async def operated(
    cluster: Cluster, folder: Path, *, cloud: str = "", options: Sequence[str] = (), unbound: str = ""
) -> AsyncIterator[Operated]:
    """Rights and admission policies of deploy/, and at the end nothing of ours left in the cluster. `unbound`: a
    ClusterRole that this installation is meant to be without."""
    items = json.dumps({"apiVersion": "v1", "kind": "List", "items": tree.without_workload()})
    cluster.plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=items)
    if unbound:
        cluster.plane.kubectl("delete", "clusterrolebinding", unbound)
    made = Operated(cluster=cluster, folder=folder, cloud=cloud, options=tuple(options))
    since = made.audit_position()
    try:
        yield made
        refused = [] if unbound else forbidden(cluster.plane, since)
        assert refused == [], "the operator asked for a right that deploy/ does not give it"
    finally:
        made.stop()
        await clear(cluster)


def forbidden(plane: ControlPlane, since: int) -> list[str]:
    """Requests of the operator that RBAC refused (an admission policy answers with 422 or names itself)."""
    return [
        f"{one['verb']} {one['requestURI']}"
        for one in audit_lines(plane, since)
        if one["user"]["username"] == SERVICE_ACCOUNT_USER
        and (one.get("responseStatus") or {}).get("code") == 403
        and (one.get("annotations") or {}).get("authorization.k8s.io/decision") == "forbid"
    ]


async def clear(cluster: Cluster) -> None:
    """Remove every object of ours, whatever its finalizers; the Lease, so that the next leader need not wait; and the
    note of the ledger's head, for the next one has a ledger of its own."""
    items = json.dumps({"apiVersion": "v1", "kind": "List", "items": _admission()})
    cluster.plane.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=items)
    for resource in resources.OURS:
        for body in await cluster.list(resource):
            await _remove(cluster, resource, body)
    for what in (f"lease/{marks.LEASE}", f"configmap/{marks.LEDGER_HEAD}"):
        cluster.plane.kubectl("delete", what, "-n", marks.SYSTEM_NAMESPACE, "--ignore-not-found")


def _admission() -> list[dict[str, Any]]:
    return [one for one in tree.without_workload() if one["kind"].startswith("ValidatingAdmissionPolicy")]


async def _remove(cluster: Cluster, resource: Resource, body: ports.Body) -> None:
    """The server goes on asking a deleted admission policy for a moment: then once more."""
    meta = body["metadata"]

    async def gone() -> bool:
        try:
            if meta.get("finalizers"):
                await cluster.client.merge_patch(resource, meta["name"], {"metadata": {"finalizers": None}})
            await cluster.client.delete(resource, meta["name"], uid=meta["uid"])
        except errors.NotFound:
            return True
        except errors.Forbidden:
            return False
        return await cluster.client.get(resource, meta["name"]) is None

    await until(gone, what=f"{resource.kind} {meta['name']} to be removed")


@dataclass(frozen=True, slots=True)
class Called:
    """What came of a command line."""

    returncode: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        """What it printed, as data."""
        return json.loads(self.stdout)


def exuvia(world: Operated, *arguments: str, timeout: float = 60) -> Called:
    """`exuvia` as the admin calls it."""
    done = subprocess.run(
        [sys.executable, "-m", "exuvia.cli.main", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        env={**os.environ, "KUBECONFIG": str(world.plane.kubeconfig), "NO_COLOR": "1"},
    )
    assert "Traceback" not in done.stdout + done.stderr
    return Called(done.returncode, done.stdout, done.stderr)


def entries(ledger: Path) -> list[dict[str, Any]]:
    """All entries of a ledger, in order, each with its number as `seq`; none while it cannot be read."""
    try:
        engine = opening.open_for_reading(ledger)
    except errors.LedgerError:
        return []
    table = tables.entries
    try:
        with engine.connect() as connection:
            rows = connection.execute(select(table.c.seq, table.c.body).order_by(table.c.seq))
            return [{"seq": row.seq, **json.loads(row.body)} for row in rows]
    finally:
        engine.dispose()


async def held_for(world: Operated, name: str, reason: str, seconds: float = 40) -> str:
    """The message with which a policy says that something waits for this reason, once it does."""
    said: list[dict[str, Any]] = []

    async def look() -> str:
        status = (await world.cluster.get(resources.SECURITY_POLICIES, name)).get("status") or {}
        said[:] = status.get("blocked") or ()
        return next((one["message"] for one in said if one["reason"] == reason), "")

    try:
        return await until(look, what=f"policy {name} to say {reason}", seconds=seconds)
    except AssertionError as trouble:
        operations = [(one.name, one.status.phase, one.status.blocked) for one in await world.rotations()]
        raise AssertionError(f"{trouble}; it says {said}; rotations: {operations}") from None


async def settle(seconds: float) -> None:
    """Let so many seconds pass: for claims that something does not happen."""
    await asyncio.sleep(seconds)


def policy(name: str, pool: str, *rules: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A SecurityPolicy in Enforce over one pool; fields of its spec by keyword."""
    return {
        "apiVersion": "exuvia.dev/v1alpha1",
        "kind": "SecurityPolicy",
        "metadata": {"name": name},
        "spec": {
            "mode": "Enforce",
            "target": {"selector": {"matchLabels": {marks.POOL_LABEL: pool}}},
            "action": "Rotate",
            "rules": list(rules),
            **spec,
        },
    }


def guard(**spec: Any) -> dict[str, Any]:
    """A FleetGuard whose caps let a small fleet move; fields of its spec by keyword."""
    wide = {"maxUnavailable": "100%", "maxPerHour": "1000", "minHealthy": "0", "oneZoneAtATime": False}
    wide |= {"quarantine": {"maxAtOnce": "100%", "maxPerHour": "1000"}}
    return {
        "apiVersion": "exuvia.dev/v1alpha1",
        "kind": "FleetGuard",
        "metadata": {"name": "default"},
        "spec": {**wide, **spec},
    }


def by_hand(kind: str, node: dict[str, Any]) -> dict[str, Any]:
    """The operation that a person asks for on a machine."""
    name, uid = node["metadata"]["name"], node["metadata"]["uid"]
    return {
        "apiVersion": "exuvia.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": f"{name}-{uid[:8]}-1"},
        "spec": {"instance": {"kind": "Node", "name": name, "uid": uid}, "requestedBy": "admin"},
    }
