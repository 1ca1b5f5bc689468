"""The world of a benchmark: a control plane, a simulated cloud, many machines with pods, and the operator on demand."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from bench import watching
from bench.progress import Ticker, say
from exuvia import errors, ports
from exuvia.app.manifests import crds, tree
from exuvia.kube.client import Client
from exuvia.localcluster import binaries, fleet, processes
from exuvia.localcluster.cloud import starting
from exuvia.localcluster.controlplane import ControlPlane
from exuvia.model import marks, resources

NAMESPACE = "bench"
POOL = "workers"
OPERATOR = "exuvia"
CHUNK = 250
PATIENCE = 300.0
LOOK_SECONDS = 2.0
CALM_LOOKS = 6
NO_LAG = "exuvia_ledger_lag_seconds 0.0\n"
RECORDS_KEPT = "validatingadmissionpolicybinding/exuvia-records"


@dataclass(slots=True, kw_only=True)
class World:
    """Everything that runs. `nodes`: names of machines that nothing was done to yet."""

    plane: ControlPlane
    client: Client
    folder: Path
    cloud: str
    pods_per_node: int = 0
    nodes: list[str] = field(default_factory=list)
    made: int = 0
    port: int = 0
    began: float = field(default_factory=time.monotonic)

    def log(self, name: str) -> Path:
        """Where a process writes."""
        return self.folder / "logs" / f"{name}.log"

    def apply(self, *bodies: dict[str, Any]) -> None:
        """Apply objects as an admin."""
        items = json.dumps({"apiVersion": "v1", "kind": "List", "items": bodies})
        self.plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=items)

    def audit(self, since: datetime) -> list[dict[str, Any]]:
        """What exuvia asked of the API server since then, in order. The server begins a new file every 100 MB."""
        mark, found = json.dumps(marks.SERVICE_ACCOUNT_USER).encode(), []
        for path in self.plane.audit_log.parent.glob("audit*.log"):
            with path.open("rb") as file:
                found += [json.loads(line) for line in file if mark in line and line.endswith(b"}\n")]
        mine = [one for one in found if one["user"]["username"] == marks.SERVICE_ACCOUNT_USER]
        began = since.isoformat(timespec="microseconds").replace("+00:00", "Z")
        return sorted((one for one in mine if stamp(one) >= began), key=stamp)

    async def grow(self, count: int, **machine: Any) -> None:
        """So many more Ready machines with running pods on them; fields of `fleet.Machine` by keyword."""
        facts = {"pool": POOL, "zone": "a", "kubelet_port": self.plane.kubelet_port, **machine}
        names = [f"m{number}" for number in range(self.made, self.made + count)]
        self.made += count
        ticker = Ticker("machines", count)
        for start in range(0, count, CHUNK):
            some = [fleet.Machine(name=one, **facts) for one in names[start : start + CHUNK]]
            await fleet.create_nodes(self.client, some, datetime.now(UTC))
            await self._pods(names[start : start + CHUNK])
            ticker.at(start + len(some))
        await self._running(count * self.pods_per_node)
        self.nodes += names

    async def _pods(self, names: Iterable[str]) -> None:
        bodies = [
            fleet.pod(f"{name}-{index}", NAMESPACE, node_name=name, labels={"app": f"app-{index}"}, grace_seconds=1)
            for name in names
            for index in range(self.pods_per_node)
        ]
        await fleet.create_all(self.client, resources.PODS, bodies)

    async def _running(self, count: int) -> None:
        """Until no pod waits any more. One that KWOK overlooked is shown to it once more."""
        if not count:
            return
        async with asyncio.timeout(PATIENCE):
            waiting = await self._waiting()
            while waiting:
                await asyncio.sleep(LOOK_SECONDS)
                overlooked = set(waiting) & set(waiting := await self._waiting())
                await asyncio.gather(*(self._nudge(one) for one in sorted(overlooked)[:CHUNK]))

    async def _waiting(self) -> list[str]:
        pages = self.client.pages(resources.PODS, namespace=NAMESPACE, field_selector="status.phase=Pending")
        return [body["metadata"]["name"] async for page in pages for body in page]

    async def _nudge(self, pod: str) -> None:
        body = {"metadata": {"annotations": {"bench": str(time.monotonic())}}}
        try:
            await self.client.merge_patch(resources.PODS, pod, body, namespace=NAMESPACE)
        except errors.ClusterError:
            return  # once more with the next look

    async def replace(self, used: Iterable[str]) -> None:
        """Take used machines away with all that was made around them, and bring as many new ones."""
        gone = set(used)
        say(f"replacing {len(gone)} used machines")
        self.plane.kubectl("delete", RECORDS_KEPT, "--ignore-not-found")  # it refuses that a Quarantine is thrown away
        for resource in (resources.ROTATIONS, resources.QUARANTINES):
            await self._remove_all(resource)
        self.apply(*tree.without_workload())
        await self._remove_all(resources.NETWORK_POLICIES, namespace=NAMESPACE)
        doomed = [
            body
            async for page in self.client.pages(resources.PODS, namespace=NAMESPACE)
            for body in page
            if body["spec"].get("nodeName") in gone
        ]
        await self._remove(resources.PODS, doomed)
        nodes = [body async for page in self.client.pages(resources.NODES) for body in page]
        await self._remove(resources.NODES, [one for one in nodes if one["metadata"]["name"] in gone])
        self.nodes = [one for one in self.nodes if one not in gone]
        await self.grow(len(gone))

    async def _remove_all(self, resource: resources.Resource, namespace: str = "") -> None:
        bodies = [body async for page in self.client.pages(resource, namespace=namespace) for body in page]
        await self._remove(resource, bodies)

    async def _remove(self, resource: resources.Resource, bodies: Iterable[ports.Body]) -> None:
        await asyncio.gather(*(self._remove_one(resource, one["metadata"]) for one in bodies))

    async def _remove_one(self, resource: resources.Resource, meta: dict[str, Any]) -> None:
        namespace = meta.get("namespace", "")
        try:
            if meta.get("finalizers"):
                patch = {"metadata": {"finalizers": None}}
                await self.client.merge_patch(resource, meta["name"], patch, namespace=namespace)
            await self.client.delete(resource, meta["name"], uid=meta["uid"], namespace=namespace)
        except errors.NotFound:
            return
        except errors.Forbidden:  # the server goes on asking a deleted admission policy for a moment
            await asyncio.sleep(0.5)
            await self._remove_one(resource, meta)

    def service_account(self) -> Path:
        """A kubeconfig with exuvia's own rights."""
        return self.plane.service_account_kubeconfig(marks.SYSTEM_NAMESPACE, "exuvia")

    async def operate(self, name: str) -> processes.Identity:
        """Start the operator with an empty ledger of its own. Returns when it leads, has made its first plan, and has
        written down every machine and pod that it found: what is measured then is not its start."""
        self.port = _free_port()
        command = (
            *(sys.executable, "-m", "exuvia.cli.main", "run", "--kubeconfig", str(self.service_account())),
            *(
                "--ledger",
                str(self.folder / name / "ledger.db"),
                "--evidence-dir",
                str(self.folder / name / "evidence"),
            ),
            *("--simulated-cloud", self.cloud, "--http-host", "127.0.0.1", "--http-port", str(self.port)),
            *("--log-format", "text"),
        )
        (self.folder / name).mkdir(parents=True, exist_ok=True)
        started = self.plane.spawn(processes.Spec(name=OPERATOR, command=command, log=self.log(name)))
        async with asyncio.timeout(PATIENCE):
            calm = 0
            while calm < CALM_LOOKS:
                if not started.alive():
                    raise errors.SettingsError(f"The operator ended at once: see {self.log(name)}.")
                calm = calm + 1 if await self._settled() else 0
                await asyncio.sleep(0.5)
        return started

    async def _settled(self) -> bool:
        said = await self.metrics()
        return bool(said) and "exuvia_sweep_duration_seconds_count 0.0" not in said and NO_LAG in said

    async def metrics(self) -> str:
        """What the operator exports while it leads; "" when it does not answer or lead."""
        try:
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}/metrics") as one:
                said = await one.text()
        except aiohttp.ClientError:
            return ""
        return said if "exuvia_leader 1.0" in said else ""

    def stop_operator(self) -> None:
        """Stop it and take away what it left for the next one: its Lease, which would be waited for, and the head of
        its ledger, without which no Rotation begins: the next one starts with an empty ledger of its own."""
        self.plane.stop_process(OPERATOR)
        left = (f"lease/{marks.LEASE}", f"configmap/{marks.LEDGER_HEAD}")
        self.plane.kubectl("delete", *left, "-n", marks.SYSTEM_NAMESPACE, "--ignore-not-found")


@asynccontextmanager
async def world(pods_per_node: int = 0) -> AsyncIterator[World]:
    """A control plane with our kinds, rights and admission policies, a cloud and a namespace; gone at the end."""
    executables = binaries.ensure()
    with tempfile.TemporaryDirectory(prefix="exuvia-bench-") as temporary:
        folder = Path(temporary)
        say("starting a control plane")
        with ControlPlane(folder / "plane", executables) as plane:
            _install(plane)
            cloud = starting.start(plane)
            async with await Client.connect(str(plane.kubeconfig), timeout=watching.PATIENT) as client:
                await fleet.create_namespace(client, NAMESPACE)
                yield World(plane=plane, client=client, folder=folder, cloud=cloud, pods_per_node=pods_per_node)


def _install(plane: ControlPlane) -> None:
    for items in ([crds.manifest(one) for one in crds.DEFINITIONS], tree.without_workload()):
        body = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        plane.kubectl("apply", "--server-side", "-f", "-", stdin=body)
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")


def guard() -> dict[str, Any]:
    """A FleetGuard whose caps are open: what is measured is the way of a fact, not the brakes."""
    wide = {"maxUnavailable": "100%", "maxPerHour": "100000", "minHealthy": "0", "oneZoneAtATime": False}
    wide |= {"quarantine": {"maxAtOnce": "100%", "maxPerHour": "100000"}}
    return {
        "apiVersion": "exuvia.dev/v1alpha1",
        "kind": "FleetGuard",
        "metadata": {"name": "default"},
        "spec": wide,
    }


def policy(name: str, **spec: Any) -> dict[str, Any]:
    """A SecurityPolicy in Enforce over the pool; fields of its spec by keyword."""
    target = {"selector": {"matchLabels": {marks.POOL_LABEL: POOL}}}
    return {
        "apiVersion": "exuvia.dev/v1alpha1",
        "kind": "SecurityPolicy",
        "metadata": {"name": name},
        "spec": {"mode": "Enforce", "target": target, **spec},
    }


def stamp(entry: dict[str, Any]) -> str:
    """When the API server was done with a request."""
    return str(entry["stageTimestamp"])


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
