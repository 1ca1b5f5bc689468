"""The stage: a control plane, a simulated cloud, twelve machines with workloads, and the operator as its own process
with the rights of deploy/ and nothing more."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources as packaged
from pathlib import Path

import aiohttp

from exuvia import errors
from exuvia.app.manifests import crds, tree
from exuvia.kube.client import Client
from exuvia.localcluster import fleet, processes
from exuvia.localcluster.cloud import starting
from exuvia.localcluster.controlplane import ControlPlane
from exuvia.model import marks, resources

POOL = "workers"
OLD = fleet.Image(kubelet="v1.34.9", os_image="Simulated Linux 2025.09")
NEW = fleet.Image()
OUTDATED = ("worker-1", "worker-2", "worker-5", "worker-6")
SUSPICIOUS = "worker-9"
SUSPICION = "security.example.org/suspicious"
OPERATOR = "exuvia"
PATIENCE = 200  # looks, a tenth of a second apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything that runs, and where."""

    plane: ControlPlane
    cloud: str
    metrics: str
    ledger: Path
    evidence: Path

    @property
    def log(self) -> Path:
        """What the operator says."""
        return self.plane.folder / "logs" / f"{OPERATOR}.log"


def build(folder: Path, binaries: Path, *, detached: bool) -> Stage:
    """Control plane, our kinds, rights and admission policies, and the cloud. The operator is started by `operate`."""
    plane = ControlPlane(folder, binaries)
    plane.start(detached=detached)
    try:
        _apply(plane, [crds.manifest(one) for one in crds.DEFINITIONS])
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        _apply(plane, tree.without_workload())
        cloud = starting.start(plane, detached=detached)
    except BaseException:
        plane.stop()
        raise
    return Stage(
        plane=plane,
        cloud=cloud,
        metrics=f"http://127.0.0.1:{_free_port()}",
        ledger=plane.folder / "ledger.db",
        evidence=plane.folder / "evidence",
    )


async def populate(stage: Stage, client: Client) -> None:
    """Twelve machines in three zones, four of them outdated; new ones come as the cloud makes them now."""
    await _define_pool(stage.cloud)
    machines = [_machine(number, stage.plane.kubelet_port) for number in range(1, 13)]
    await fleet.create_nodes(client, machines, datetime.now(UTC))
    await _without_taints(client)
    await fleet.create_namespace(client, "shop")
    stage.plane.kubectl("apply", "--server-side", "-f", "-", stdin=text("shop.yaml"))
    for name in ("deployment/cart", "deployment/web", "daemonset/agent"):
        stage.plane.kubectl("rollout", "status", name, "-n", "shop", "--timeout=60s")


async def _without_taints(client: Client) -> None:
    """Until every machine takes pods: else the cart would not find the machine that it prefers."""
    for _ in range(PATIENCE):
        nodes = [one async for page in client.pages(resources.NODES) for one in page]
        if not any(one["spec"].get("taints") for one in nodes):
            return
        await asyncio.sleep(0.1)
    raise errors.ClusterError("The simulated machines did not become schedulable within 20 s.")


def operate(stage: Stage, *, detached: bool) -> processes.Identity:
    """Start the operator with the service account's token. Raises when it ends at once."""
    kubeconfig = stage.plane.service_account_kubeconfig(marks.SYSTEM_NAMESPACE, "exuvia")
    port = stage.metrics.rpartition(":")[2]
    command = (
        *(sys.executable, "-m", "exuvia.cli.main", "run", "--kubeconfig", str(kubeconfig)),
        *("--ledger", str(stage.ledger), "--evidence-dir", str(stage.evidence)),
        *("--simulated-cloud", stage.cloud, "--http-host", "127.0.0.1", "--http-port", port),
        *("--log-format", "text"),
    )
    spec = processes.Spec(name=OPERATOR, command=command, log=stage.log)
    return stage.plane.spawn(spec, detached=detached)


def apply(stage: Stage, *names: str) -> None:
    """Apply demo manifests as an admin would."""
    for name in names:
        stage.plane.kubectl("apply", "-f", "-", stdin=text(name))


def text(name: str) -> str:
    """A manifest of the demo."""
    return (packaged.files("exuvia.cli.demo") / "manifests" / name).read_text(encoding="utf-8")


def exuvia(*arguments: str) -> list[str]:
    """The command line of `exuvia` as this Python runs it."""
    return [sys.executable, "-m", "exuvia.cli.main", *arguments]


def environment(stage: Stage) -> dict[str, str]:
    """What a person would export."""
    return {**os.environ, "KUBECONFIG": str(stage.plane.kubeconfig)}


def _machine(number: int, kubelet_port: int) -> fleet.Machine:
    name = f"worker-{number}"
    return fleet.Machine(
        name=name,
        pool=POOL,
        zone="abc"[(number - 1) // 4],
        image=OLD if name in OUTDATED else NEW,
        kubelet_port=kubelet_port,
    )


async def _define_pool(cloud: str) -> None:
    image = {"osImage": NEW.os_image, "kernel": NEW.kernel, "kubelet": NEW.kubelet}
    image |= {"containerRuntime": NEW.container_runtime, "architecture": NEW.architecture}
    group = {"zones": ["a", "b", "c"], "image": image, "launchSeconds": 1, "bootSeconds": 2, "terminateSeconds": 1}
    async with aiohttp.ClientSession() as session, session.put(f"{cloud}/v1/pools/{POOL}", json=group) as answer:
        if answer.status != 200:
            raise errors.SettingsError(f"The simulated cloud refused the pool: {await answer.text()}")


def _apply(plane: ControlPlane, items: list[dict[str, object]]) -> None:
    body = {"apiVersion": "v1", "kind": "List", "items": items}
    plane.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(body))


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
