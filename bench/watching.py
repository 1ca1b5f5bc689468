"""A raw watch of the bench process on Nodes: when a fact was there, and when the cordon was."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from exuvia.kube.client import Client
from exuvia.model import resources

FACT = "KernelDeadlock"
PATIENT = timedelta(seconds=30)
"""How long a request of the bench may take: a flood that waits is measured, not given up."""


class _Meta(msgspec.Struct):
    name: str = ""
    uid: str = ""
    resourceVersion: str = ""


class _Spec(msgspec.Struct):
    unschedulable: bool = False
    providerID: str = ""


class _Status(msgspec.Struct):
    conditions: list[dict[str, Any]] = []


class Node(msgspec.Struct):
    """What of a Node is looked at here."""

    metadata: _Meta
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)

    @property
    def has_fact(self) -> bool:
        """Whether the bad condition is on it."""
        return any(one["type"] == FACT and one["status"] == "True" for one in self.status.conditions)


class Event(msgspec.Struct):
    """One line of a watch of Nodes."""

    type: str
    object: Node


class _List(msgspec.Struct):
    metadata: _Meta
    items: list[Node] = []


LINE = msgspec.json.Decoder(Event)
_LIST = msgspec.json.Decoder(_List)


async def events(client: Client) -> AsyncIterator[Node]:
    """Nodes as they change from now on, for as long as the watch lasts."""
    page = _LIST.decode(await client.raw_page(resources.NODES, limit=1))
    lines = client.watch_lines(resources.NODES, version=page.metadata.resourceVersion, seconds=3000)
    async for line in lines:
        event = LINE.decode(line)
        if event.type in ("ADDED", "MODIFIED"):
            yield event.object


class Watcher:
    """Sets facts as a node's agent would, and notes when the cordon came."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._fact: dict[str, float] = {}
        self._cordoned: dict[str, float] = {}
        self._waiting: dict[str, asyncio.Event] = {}

    async def run(self) -> None:
        """Watch, for ever."""
        async for node in events(self._client):
            now, name = time.monotonic(), node.metadata.name
            if node.has_fact:
                self._fact.setdefault(name, now)
            if node.spec.unschedulable and name in self._waiting:
                self._cordoned.setdefault(name, now)
                self._waiting[name].set()

    async def react(self, name: str, patience: float) -> float:
        """Patch the condition onto a machine; seconds until its cordon was seen. TimeoutError when none comes."""
        self._waiting[name] = asyncio.Event()
        body = await self._client.get(resources.NODES, name)
        assert body is not None, f"there is no Node {name}"
        conditions = [*body["status"]["conditions"], _condition()]
        patch = {"metadata": {"uid": body["metadata"]["uid"]}, "status": {"conditions": conditions}}
        await self._client.merge_patch(resources.NODES, name, patch, subresource="status")
        answered = time.monotonic()
        async with asyncio.timeout(patience):
            await self._waiting[name].wait()
        return self._cordoned[name] - min(answered, self._fact.get(name, answered))


@asynccontextmanager
async def watching(client: Client) -> AsyncIterator[Watcher]:
    """A watcher that watches."""
    watcher = Watcher(client)
    task = asyncio.create_task(watcher.run(), name="watch nodes")
    try:
        await asyncio.sleep(0.5)
        yield watcher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _condition() -> dict[str, str]:
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    said = {"reason": "TaskHung", "message": "a task is blocked for 120 s"}
    return {"type": FACT, "status": "True", "lastHeartbeatTime": stamp, "lastTransitionTime": stamp, **said}
