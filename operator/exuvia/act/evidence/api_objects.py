"""APIObjects: the Node, its pods, events, Lease, volume attachments and the Quarantine itself, as the API serves them.

They are asked for just before the machine is marked (`Taking`), into memory and within 5 s, because isolation never
waits for storage. Only what the marks change is waited for: the Node and its pods. The others may be read while the
marks are written: of each part the time is kept from which to which it was read. What did not come in time, or was lost
in a crash, is read when evidence is collected. Values of environment variables and data of Secrets are taken out;
Secrets are never asked for.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from exuvia import errors, ports
from exuvia.act.evidence.collector import Snapshot, Span, Task, reason_of
from exuvia.act.evidence.events import EventLists
from exuvia.act.evidence.redaction import redacted
from exuvia.model import resources
from exuvia.model.cards import Card
from exuvia.model.evidence import EvidenceOrder, ItemResult
from exuvia.model.permissions import Duty, Permission

SNAPSHOT_TIME = timedelta(seconds=5)
MARKED = ("node", "pods")
"""Parts that our marks change: they are here before the first mark is written."""
_LEASE_NAMESPACE = "kube-node-lease"

Body = dict[str, Any]
T = TypeVar("T")


class Reading:
    """What is read of one machine: each thing once, however many parts need it. Close it at the end."""

    def __init__(
        self, cluster: ports.Cluster, order: EvidenceOrder, events: EventLists, now: Callable[[], datetime]
    ) -> None:
        self.cluster = cluster
        self.order = order
        self.events = events
        self.spans: dict[str, Span] = {}  # part -> when it was read, once it is here
        self._now = now
        self._tasks: dict[str, asyncio.Task[Any]] = {}

    def part(self, name: str) -> asyncio.Task[Body | None]:
        """A part by its name; redacted before it is kept, even in memory."""
        return self._once(f"part {name}", lambda: self._redacted(name))

    async def node(self) -> Body | None:
        """The machine; None when it is gone, and another bears its name."""
        return await self._once("node", lambda: _node_of(self.cluster, self.order))

    async def pods(self) -> list[Body]:
        """The pods bound to its name."""
        return await self._once("pods", lambda: pods_of(self.cluster, self.order))

    async def close(self) -> None:
        """What is still being read is given up, and what was read is let go: Node and pods are not redacted here."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _redacted(self, name: str) -> Body | None:
        started = self._now()
        body = await PARTS[name](self)
        self.spans[name] = Span(started, self._now())
        return None if body is None else redacted(body)

    def _once(self, name: str, read: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        if name not in self._tasks:
            self._tasks[name] = asyncio.create_task(read(), name=f"evidence {name}")
        return self._tasks[name]


_Read = Callable[[Reading], Awaitable[Body | None]]


class Taking:
    """A snapshot that is being taken, from now on and for 5 s at most. What stays of it is redacted."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._marked = [reading.part(name) for name in MARKED]
        self._parts = {reading.part(name): name for name in PARTS}
        self._whole = asyncio.create_task(self._take(), name="evidence snapshot")

    async def marked(self) -> None:
        """Until the parts are here that our marks change, or time is over. Never raises for what fails."""
        awaited = [one for one in self._marked if not one.done()]
        if awaited:
            await asyncio.wait(awaited)

    async def whole(self) -> Snapshot:
        """All that could be read in time. A part that failed is not in it, and is read later."""
        await asyncio.wait((self._whole,))
        return Snapshot() if self._whole.cancelled() else self._whole.result()

    def stop(self) -> None:
        """It is not needed any more."""
        self._whole.cancel()

    async def _take(self) -> Snapshot:
        parts = self._parts
        try:
            done, _ = await asyncio.wait(parts, timeout=SNAPSHOT_TIME.total_seconds())
        finally:
            self._parts, self._marked = {}, []  # one that failed holds what it was made from
            await self._reading.close()
        found = {parts[one]: one.result() for one in done if not one.cancelled() and one.exception() is None}
        there = {name: body for name, body in found.items() if body is not None}
        return Snapshot(objects=there, spans={name: self._reading.spans[name] for name in there})


class ApiObjects:
    """The collector."""

    card = Card(
        name="APIObjects",
        description="The Node, its pods, events, Lease, volume attachments and the Quarantine, as the API serves them, "
        "asked for just before the machine is isolated, which waits for the Node and its pods. Environment values are "
        "redacted; Secrets are never read.",
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
        reading = Reading(task.cluster, task.order, EventLists(task.cluster), task.clock.now)
        try:
            for name in PARTS:
                if not task.room.has(task.name, name):
                    await _keep(task, name, reading)
        finally:
            await reading.close()


async def _keep(task: Task, name: str, reading: Reading) -> None:
    held = task.snapshot.objects.get(name) if task.snapshot else None
    began = task.clock.now()
    try:
        body = held if held is not None else await reading.part(name)
    except errors.ClusterError as trouble:
        task.room.without_file(task.name, name, ItemResult.FAILED, reason_of(trouble), began)
        return
    if body is None:
        task.room.without_file(task.name, name, ItemResult.UNSUPPORTED, "there is none", began)
        return
    spans = task.snapshot.spans if held is not None and task.snapshot else reading.spans
    await task.room.file(task.name, name, ("objects", f"{name}.json"), _encoded(body), spans[name])


def _encoded(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


async def _node_of(cluster: ports.Cluster, order: EvidenceOrder) -> Body | None:
    body = await cluster.get(resources.NODES, order.instance.name)
    mine = body is not None and body.get("metadata", {}).get("uid") == order.instance.uid
    return body if mine else None


async def pods_of(cluster: ports.Cluster, order: EvidenceOrder) -> list[Body]:
    """The pods bound to the machine's name, as served now."""
    found: list[Body] = []
    async for page in cluster.pages(resources.PODS, field_selector=f"spec.nodeName={order.instance.name}"):
        found += [one for one in page if one.get("spec", {}).get("nodeName") == order.instance.name]
    return found


async def _node(reading: Reading) -> Body | None:
    return await reading.node()


async def _pods(reading: Reading) -> Body | None:
    node, pods = await asyncio.gather(reading.node(), reading.pods())
    return None if node is None else _listed("PodList", pods)


async def _events(reading: Reading) -> Body:
    """Events about the Node and about its pods."""
    of_node, of_pods = await asyncio.gather(reading.events.of_node(reading.order.instance.name), _of_pods(reading))
    return _listed("EventList", [*of_node, *of_pods])


async def _of_pods(reading: Reading) -> list[Body]:
    pods = await reading.pods()
    return await reading.events.of_pods((one["metadata"]["namespace"], one["metadata"]["uid"]) for one in pods)


async def _lease(reading: Reading) -> Body | None:
    return await reading.cluster.get(resources.LEASES, reading.order.instance.name, namespace=_LEASE_NAMESPACE)


async def _attachments(reading: Reading) -> Body:
    found: list[Body] = []
    async for page in reading.cluster.pages(resources.VOLUME_ATTACHMENTS):
        found += [one for one in page if one.get("spec", {}).get("nodeName") == reading.order.instance.name]
    return _listed("VolumeAttachmentList", found)


async def _quarantine(reading: Reading) -> Body | None:
    return await reading.cluster.get(resources.QUARANTINES, reading.order.quarantine)


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
