"""A small API server that lists and watches, and does on purpose what real ones do on bad days."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from exuvia.kube.client import Client
from exuvia.model.resources import OURS, Resource

Body = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """What happens to one request. `status` answers with it; `kind` names the misbehaviour of a list or a watch."""

    kind: str = ""
    status: int = 0
    retry_after: int | None = None


@dataclass
class Kind:
    """One kind: its objects by UID, and what happened to them."""

    objects: dict[str, Body] = field(default_factory=dict)
    events: list[tuple[int, str, Body]] = field(default_factory=list)
    compacted: int = 0
    lists: deque[Fault] = field(default_factory=deque)
    watches: deque[Fault] = field(default_factory=deque)
    asked: list[str] = field(default_factory=list)


class FaultyServer:
    """Objects by plural. What is put into `lists` and `watches` of a kind happens to its next requests, in order."""

    def __init__(self) -> None:
        self.version = 100
        self.changed = asyncio.Condition()
        self._kinds: dict[str, Kind] = {}
        self._snapshots: dict[int, list[Body]] = {}

    def of(self, resource: Resource) -> Kind:
        return self._kinds.setdefault(resource.plural, Kind())

    async def put(self, resource: Resource, body: Body) -> Body:
        """Create or change an object; its UID is its name unless it says otherwise."""
        kind = self.of(resource)
        meta = {"uid": body["metadata"]["name"], "creationTimestamp": "2026-01-01T00:00:00Z", **body["metadata"]}
        known = meta["uid"] in kind.objects
        made = body | {"metadata": meta | {"resourceVersion": self._next()}}
        kind.objects[meta["uid"]] = made
        await self._tell(kind, "MODIFIED" if known else "ADDED", made)
        return made

    async def delete(self, resource: Resource, uid: str) -> None:
        kind = self.of(resource)
        gone = kind.objects.pop(uid)
        await self._tell(kind, "DELETED", gone | {"metadata": gone["metadata"] | {"resourceVersion": self._next()}})

    async def bookmark(self, resource: Resource) -> None:
        body = {"kind": resource.kind, "metadata": {"resourceVersion": self._next()}}
        await self._tell(self.of(resource), "BOOKMARK", body)

    async def say(self, resource: Resource, type_: str, body: Body) -> None:
        """An event out of the blue."""
        await self._tell(self.of(resource), type_, body)

    def compact(self, resource: Resource) -> None:
        """What happened so far cannot be watched any more."""
        self.version += 1
        self.of(resource).compacted = self.version

    def _next(self) -> str:
        self.version += 1
        return str(self.version)

    async def _tell(self, kind: Kind, type_: str, body: Body) -> None:
        kind.events.append((self.version, type_, body))
        async with self.changed:
            self.changed.notify_all()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        kind = self._kinds.setdefault(request.path.rsplit("/", 1)[-1], Kind())
        watches = "watch" in request.query
        kind.asked.append("watch" if watches else f"list {request.query.get('continue', '')}".strip())
        queue = kind.watches if watches else kind.lists
        fault = queue.popleft() if queue else Fault()
        if fault.status:
            return _refusal(fault)
        return await (self._watch(request, kind, fault) if watches else self._list(request, kind, fault))

    async def _list(self, request: web.Request, kind: Kind, fault: Fault) -> web.StreamResponse:
        if fault.kind == "garbage":
            return web.Response(text="<html>a proxy says hello</html>")
        if fault.kind == "no list":
            return web.json_response({"kind": "Status", "status": "Success"})
        at, _, offset = request.query.get("continue", f"{self.version}:0").partition(":")
        items = self._snapshots.setdefault(int(at), list(kind.objects.values()))
        start, limit = int(offset), int(request.query["limit"])
        left = start + limit < len(items)
        meta = {"resourceVersion": at} | ({"continue": f"{at}:{start + limit}"} if left else {})
        return web.json_response({"metadata": meta, "items": items[start : start + limit] or None})

    async def _watch(self, request: web.Request, kind: Kind, fault: Fault) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        seen = int(request.query["resourceVersion"])
        if fault.kind == "error at start":
            await _write(response, "ERROR", {"kind": "Status", "code": 500, "message": "etcd is tired"})
        elif seen < kind.compacted:
            status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
            await _write(response, "ERROR", status)
        elif fault.kind == "torn":
            await response.write(b'{"type":"ADDED","object":{"metadata":{"na')
            assert request.transport is not None
            request.transport.abort()
        elif fault.kind == "broken line":
            await response.write(b'{"type":"ADDED","object":{"metadata":{"na\n')
        elif fault.kind == "silent":
            await asyncio.sleep(3600)
        elif fault.kind != "ends at once":
            await self._stream(response, kind, seen, float(request.query["timeoutSeconds"]))
        return response

    async def _stream(self, response: web.StreamResponse, kind: Kind, seen: int, seconds: float) -> None:
        sent = next((n for n, (at, *_) in enumerate(kind.events) if at > seen), len(kind.events))
        try:
            async with asyncio.timeout(seconds):
                while True:
                    while sent < len(kind.events):
                        _, type_, body = kind.events[sent]
                        await _write(response, type_, body)
                        sent += 1
                    async with self.changed:
                        if sent == len(kind.events):
                            await self.changed.wait()
        except TimeoutError:
            return


async def _write(response: web.StreamResponse, type_: str, body: Body) -> None:
    await response.write(json.dumps({"type": type_, "object": body}).encode() + b"\n")


def _refusal(fault: Fault) -> web.Response:
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    body = {"kind": "Status", "code": fault.status, "message": f"it is a day of {fault.status}"}
    return web.json_response(body, status=fault.status, headers=headers)


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[FaultyServer, Client]]:
    """The server, and the real client connected to it."""
    faulty = FaultyServer()
    for resource in OURS:
        faulty.of(resource)
    app = web.Application()
    app.router.add_get("/{path:.*}", faulty.answer)
    async with TestServer(app) as server:
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "clusters": [{"name": "c", "cluster": {"server": str(server.make_url("")).rstrip("/")}}],
                    "users": [{"name": "u", "user": {}}],
                    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                    "current-context": "x",
                }
            )
        )
        async with await Client.connect(str(kubeconfig)) as client:
            yield faulty, client


def node(name: str, **more: Any) -> Body:
    status = {"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]}
    return {"kind": "Node", "metadata": {"name": name}, "status": status} | more
