"""People who call `exuvia`, and what tests of theirs write in an operator's stead."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

from click.testing import Result

from exuvia import ports
from exuvia.app import anchoring
from exuvia.model import marks, resources
from exuvia.model.resources import Resource
from tests.cli import calling
from tests.cluster import Cluster


class Person:
    """Somebody with a kubeconfig at a terminal."""

    def __init__(self, kubeconfig: Path) -> None:
        self.env = {"KUBECONFIG": str(kubeconfig)}

    async def call(self, *arguments: object, code: int = 0) -> Result:
        return await asyncio.to_thread(calling.call, *arguments, code=code, env=self.env)

    async def answer(self, *arguments: object, code: int = 0) -> Any:
        return await asyncio.to_thread(calling.answer, *arguments, code=code, env=self.env)


async def wipe(cluster: Cluster) -> None:
    """Remove all our objects, whatever finalizer they bear, and the note of a ledger's head."""
    await anchoring.remove(cluster.client, marks.SYSTEM_NAMESPACE)
    for kind in resources.OURS:
        for body in await cluster.list(kind):
            meta = body["metadata"]
            if meta.get("finalizers"):
                await cluster.client.merge_patch(kind, meta["name"], {"metadata": {"finalizers": None}})
            await cluster.client.delete(kind, meta["name"], uid=meta["uid"])


async def one(cluster: Cluster, kind: Resource) -> ports.Body:
    """The only object of a kind."""
    (found,) = await cluster.list(kind)
    return found


async def set_status(cluster: Cluster, kind: Resource, name: str, **status: Any) -> None:
    """What an operator would say."""
    await cluster.client.merge_patch(kind, name, {"status": status}, subresource="status")


async def lease(cluster: Cluster, holder: str, renewed: datetime) -> None:
    """Say who leads."""
    await ensure_namespace(cluster)
    stamp = renewed.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    body = {"spec": {"holderIdentity": holder, "renewTime": stamp, "leaseDurationSeconds": 15, "leaseTransitions": 3}}
    found = await cluster.client.get(resources.LEASES, marks.LEASE, namespace=marks.SYSTEM_NAMESPACE)
    if found is not None:
        await cluster.client.merge_patch(resources.LEASES, marks.LEASE, body, namespace=marks.SYSTEM_NAMESPACE)
        return
    head = {"apiVersion": resources.LEASES.api_version, "kind": "Lease", "metadata": {"name": marks.LEASE}}
    await cluster.client.create(resources.LEASES, head | body, namespace=marks.SYSTEM_NAMESPACE)


async def ensure_namespace(cluster: Cluster) -> None:
    """exuvia's own namespace."""
    if await cluster.client.get(resources.NAMESPACES, marks.SYSTEM_NAMESPACE) is None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": marks.SYSTEM_NAMESPACE}}
        await cluster.client.create(resources.NAMESPACES, body)


async def policy(cluster: Cluster, name: str, **spec: Any) -> ports.Body:
    """A policy about the pool of the test."""
    target = {"selector": {"matchLabels": {marks.POOL_LABEL: cluster.pool}}}
    body = {
        "apiVersion": resources.SECURITY_POLICIES.api_version,
        "kind": "SecurityPolicy",
        "metadata": {"name": name},
        "spec": {"target": target, **spec},
    }
    return await cluster.client.create(resources.SECURITY_POLICIES, body)


async def guard(cluster: Cluster, **spec: Any) -> ports.Body:
    """The FleetGuard with these brakes."""
    kind = resources.FLEET_GUARDS
    head = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "default"}}
    return await cluster.client.create(kind, head | {"spec": spec})


async def only_watches(cluster: Cluster) -> None:
    """Say in the FleetGuard what an operator with `--read-only` says."""
    read_only = {"type": "Ready", "status": "True", "reason": "ReadOnly", "message": "x"}
    condition = read_only | {"lastTransitionTime": "2026-11-24T12:00:00Z"}
    await set_status(cluster, resources.FLEET_GUARDS, "default", conditions=[condition])
