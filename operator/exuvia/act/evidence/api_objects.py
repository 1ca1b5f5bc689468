"""APIObjects: the Node, its pods, events, Lease, volume attachments and the Quarantine itself, as the API serves them.

They are read just before the machine is marked (`snapshot`), into memory and within 5 s, because isolation never waits
for storage. What did not come in time, or was lost in a crash, is read when evidence is collected. Values of
environment variables and data of Secrets are taken out; Secrets are never asked for.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

from exuvia import errors, ports
from exuvia.act.evidence.collector import Snapshot, Task, reason_of
from exuvia.act.evidence.redaction import redacted
from exuvia.model import resources
from exuvia.model.cards import Card
from exuvia.model.evidence import EvidenceOrder, ItemResult
from exuvia.model.permissions import Duty, Permission

SNAPSHOT_TIME = timedelta(seconds=5)
_LEASE_NAMESPACE = "kube-node-lease"
_TOGETHER = 4

Body = dict[str, Any]
_Read = Callable[[ports.Cluster, EvidenceOrder], Awaitable[Body | None]]


async def snapshot(cluster: ports.Cluster, order: EvidenceOrder, clock: ports.Clock) -> Snapshot:
    """What can be read within 5 s. Never raises for a part that fails: that part is read later."""
    taken = clock.now()
    tasks = {asyncio.create_task(_part(read, cluster, order)): name for name, read in PARTS.items()}
    try:
        done, _ = await asyncio.wait(tasks, timeout=SNAPSHOT_TIME.total_seconds())
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    found = {tasks[task]: task.result() for task in done if not task.cancelled() and task.exception() is None}
    return Snapshot(taken=taken, objects={name: body for name, body in found.items() if body is not None})


async def _part(read: _Read, cluster: ports.Cluster, order: EvidenceOrder) -> Body | None:
    """Redacted before it is kept, even in memory."""
    body = await read(cluster, order)
    return None if body is None else redacted(body)


class ApiObjects:
    """The collector."""

    card = Card(
        name="APIObjects",
        description="The Node, its pods, events, Lease, volume attachments and the Quarantine, as the API serves them, "
        "taken just before the machine is isolated. Environment values are redacted; Secrets are never read.",
        permissions=(
            Permission(duty=Duty.QUARANTINE, resource="nodes", verbs=("get",)),
            Permission(duty=Duty.QUARANTINE, resource="pods", verbs=("list",)),
            Permission(duty=Duty.QUARANTINE, resource="events", verbs=("list",)),
            Permission(duty=Duty.QUARANTINE, group="coordination.k8s.io", resource="leases", verbs=("get",)),
            Permission(duty=Duty.QUARANTINE, group="storage.k8s.io", resource="volumeattachments", verbs=("list",)),
            Permission(duty=Duty.QUARANTINE, group="exuvia.dev", resource="quarantines", verbs=("get",)),
        ),
        example="collectors: [{name: api, type: APIObjects}]",
    )

    async def collect(self, task: Task) -> None:
        """One file for each part; a part that cannot be read is a failed item."""
        for name, read in PARTS.items():
            if not task.room.has(task.name, name):
                await _keep(task, name, read)


async def _keep(task: Task, name: str, read: _Read) -> None:
    held = task.snapshot.objects.get(name) if task.snapshot else None
    taken = task.snapshot.taken if held is not None and task.snapshot else task.clock.now()
    try:
        body = held if held is not None else await _part(read, task.cluster, task.order)
    except errors.ClusterError as trouble:
        task.room.without_file(task.name, name, ItemResult.FAILED, reason_of(trouble), taken)
        return
    if body is None:
        task.room.without_file(task.name, name, ItemResult.UNSUPPORTED, "there is none", taken)
        return
    await task.room.file(task.name, name, ("objects", f"{name}.json"), _encoded(body), taken)


def _encoded(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


async def _node(cluster: ports.Cluster, order: EvidenceOrder) -> Body | None:
    body = await cluster.get(resources.NODES, order.instance.name)
    mine = body is not None and body.get("metadata", {}).get("uid") == order.instance.uid
    return body if mine else None


async def _pods(cluster: ports.Cluster, order: EvidenceOrder) -> Body | None:
    if await _node(cluster, order) is None:
        return None
    return _listed("PodList", await pods_of(cluster, order))


async def pods_of(cluster: ports.Cluster, order: EvidenceOrder) -> list[Body]:
    """The pods bound to the machine's name, as served now."""
    found: list[Body] = []
    async for page in cluster.pages(resources.PODS, field_selector=f"spec.nodeName={order.instance.name}"):
        found += [one for one in page if one.get("spec", {}).get("nodeName") == order.instance.name]
    return found


async def _events(cluster: ports.Cluster, order: EvidenceOrder) -> Body:
    """Events about the Node and about its pods; a namespace is listed once."""
    node = f"involvedObject.kind=Node,involvedObject.name={order.instance.name}"
    found = await _listed_events(cluster, "", node, None)
    pods = {one["metadata"]["uid"] for one in await pods_of(cluster, order)}
    namespaces = sorted({one["metadata"]["namespace"] for one in await pods_of(cluster, order)})
    gate = asyncio.Semaphore(_TOGETHER)

    async def of(namespace: str) -> list[Body]:
        async with gate:
            return await _listed_events(cluster, namespace, "involvedObject.kind=Pod", pods)

    for listed in await asyncio.gather(*(of(one) for one in namespaces)):
        found += listed
    return _listed("EventList", found)


async def _listed_events(cluster: ports.Cluster, namespace: str, fields: str, uids: set[str] | None) -> list[Body]:
    found: list[Body] = []
    async for page in cluster.pages(resources.CORE_EVENTS, namespace=namespace, field_selector=fields):
        found += [one for one in page if uids is None or one.get("involvedObject", {}).get("uid") in uids]
    return found


async def _lease(cluster: ports.Cluster, order: EvidenceOrder) -> Body | None:
    return await cluster.get(resources.LEASES, order.instance.name, namespace=_LEASE_NAMESPACE)


async def _attachments(cluster: ports.Cluster, order: EvidenceOrder) -> Body:
    found: list[Body] = []
    async for page in cluster.pages(resources.VOLUME_ATTACHMENTS):
        found += [one for one in page if one.get("spec", {}).get("nodeName") == order.instance.name]
    return _listed("VolumeAttachmentList", found)


async def _quarantine(cluster: ports.Cluster, order: EvidenceOrder) -> Body | None:
    return await cluster.get(resources.QUARANTINES, order.quarantine)


def _listed(kind: str, items: list[Body]) -> Body:
    return {"kind": kind, "items": items}


PARTS: Mapping[str, _Read] = {
    "node": _node,
    "pods": _pods,
    "events": _events,
    "lease": _lease,
    "volumeattachments": _attachments,
    "quarantine": _quarantine,
}
"""What is read, most important first; the name is that of the file."""
