"""A real cluster for one test: its own namespace and pool, simulated machines, and nothing left behind."""

from __future__ import annotations

import asyncio
import inspect
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from exuvia import errors, ports
from exuvia.kube.client import Client
from exuvia.localcluster import fleet
from exuvia.localcluster.controlplane import ControlPlane
from exuvia.model import marks, resources
from exuvia.model.resources import Resource

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The control plane, an admin's client, and a namespace and pool that belong to this test alone."""

    plane: ControlPlane
    client: Client
    namespace: str
    pool: str

    async def nodes(self, count: int = 1, *, zones: tuple[str, ...] = ("a",), **machine: Any) -> list[ports.Body]:
        """So many Ready machines of the pool, named POOL-0, POOL-1 ...; fields of `fleet.Machine` by keyword."""
        facts = {"pool": self.pool, "kubelet_port": self.plane.kubelet_port, **machine}
        prefix = f"{facts['pool']}-{uuid.uuid4().hex[:4]}"
        machines = [
            fleet.Machine(name=f"{prefix}-{index}", zone=zones[index % len(zones)], **facts) for index in range(count)
        ]
        return await fleet.create_nodes(self.client, machines, datetime.now(UTC))

    async def pods(self, count: int = 1, *, node_name: str = "", name: str = "pod", **pod: Any) -> list[ports.Body]:
        """So many pods in the namespace, awaited until they run; arguments of `fleet.pod` by keyword."""
        bodies = [fleet.pod(f"{name}-{index}", self.namespace, node_name=node_name, **pod) for index in range(count)]
        await fleet.create_all(self.client, resources.PODS, bodies)
        names = {one["metadata"]["name"] for one in bodies}
        return await until(lambda: self._running(names), what=f"{count} pods to run")

    async def _running(self, names: set[str]) -> list[ports.Body]:
        pods = await self.list(resources.PODS, namespace=self.namespace)
        found = [one for one in pods if one["metadata"]["name"] in names and one["status"]["phase"] == "Running"]
        return found if len(found) == len(names) else []

    async def list(self, resource: Resource, *, namespace: str = "", label_selector: str = "") -> list[ports.Body]:
        """All objects of a kind, in one list."""
        pages = self.client.pages(resource, namespace=namespace, label_selector=label_selector)
        return [one async for page in pages for one in page]

    async def get(self, resource: Resource, name: str, *, namespace: str = "") -> ports.Body:
        """One object that must be there."""
        found = await self.client.get(resource, name, namespace=namespace)
        assert found is not None, f"there is no {resource.kind} {name}"
        return found

    async def remove_all(self) -> None:
        """The namespace and the machines of the pool."""
        namespace = await self.client.get(resources.NAMESPACES, self.namespace)
        if namespace is not None:
            await self._delete(resources.NAMESPACES, namespace)
        nodes = await self.list(resources.NODES, label_selector=f"{marks.POOL_LABEL}={self.pool}")
        await asyncio.gather(*(self._delete(resources.NODES, one) for one in nodes))

    async def _delete(self, resource: Resource, body: ports.Body) -> None:
        meta = body["metadata"]
        try:
            await self.client.delete(resource, meta["name"], uid=meta["uid"])
        except errors.NotFound:
            pass


@asynccontextmanager
async def fresh(plane: ControlPlane) -> AsyncIterator[Cluster]:
    """A `Cluster` with a new namespace and pool; both are removed at the end."""
    tag = uuid.uuid4().hex[:6]
    async with await Client.connect(str(plane.kubeconfig)) as client:
        made = Cluster(plane=plane, client=client, namespace=f"test-{tag}", pool=f"pool-{tag}")
        await fleet.create_namespace(client, made.namespace)
        try:
            yield made
        finally:
            await made.remove_all()


async def until(look: Callable[[], T | Awaitable[T]], *, what: str, seconds: float = 20.0) -> T:
    """Look again and again until the answer is true, and return it; AssertionError after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        answer = look()
        found: Any = await answer if inspect.isawaitable(answer) else answer
        if found:
            return found  # type: ignore[no-any-return]
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        await asyncio.sleep(0.05)
