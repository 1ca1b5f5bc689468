"""`World`: an API server in memory with controllers and a virtual clock. Implements `ports.Cluster`.

It also serves what reflectors read (`raw_page`, `watch_lines`), so that the whole operator can run on it. Every write
is kept in `writes`, for tests that ask what was done on the wire.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from exuvia import errors, ports
from exuvia.model import resources
from exuvia.model.resources import Resource
from exuvia.sandbox import checking, controllers, evictions, kinds, objects, replies
from exuvia.sandbox.clock import VirtualClock
from exuvia.sandbox.objects import Body
from exuvia.sandbox.storage import Storage, copied

SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A write that took effect."""

    at: datetime
    verb: str  # create, patch, delete, evict
    resource: Resource
    namespace: str = ""
    name: str
    uid: str = ""
    subresource: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)


class World:
    """One cluster. `actors` act in their order, whenever time passes or `settle` is called."""

    def __init__(self, clock: VirtualClock | None = None) -> None:
        self.clock = clock or VirtualClock()
        self.storage = Storage(self.clock.now)
        self.actors: list[controllers.Actor] = list(controllers.usual())
        self.writes: list[Write] = []
        self.texts: dict[tuple[str, str, str], bytes] = {}  # (namespace, pod, container) -> its log
        self.clock_skew = timedelta(0)
        self._turned = asyncio.Event()
        for name in kinds.NAMESPACES:
            self.storage.add(resources.NAMESPACES, {"metadata": {"name": name}})

    def add(self, resource: Resource, body: Mapping[str, Any]) -> Body:
        """Put an object there as it is, status too, without being asked whether that may be. Its namespace is made."""
        namespace = body["metadata"].get("namespace", "")
        if namespace and self.storage.get(resources.NAMESPACES, namespace) is None:
            self.storage.add(resources.NAMESPACES, {"metadata": {"name": namespace}})
        return self.storage.add(resource, body)

    def find(self, resource: Resource, name: str, namespace: str = "") -> Body | None:
        """Look without asking the API server."""
        return self.storage.get(resource, name, namespace)

    def all(self, resource: Resource, namespace: str = "") -> list[Body]:
        """Look at all of a kind without asking the API server."""
        return self.storage.list(resource, namespace)

    def change(self, resource: Resource, name: str, patch: Mapping[str, Any], namespace: str = "") -> Body:
        """Somebody else changes something, status too, without being asked whether that may be."""
        found = self.storage.get(resource, name, namespace)
        if found is None:
            raise KeyError(f"{resource.full_name} {namespace}/{name} is not there")
        return self.storage.put(resource, objects.merged(found, patch))

    def settle(self) -> None:
        """Let everybody act until nothing changes any more, without time passing."""
        for _ in range(50):
            before = self.storage.revision
            for actor in self.actors:
                actor.act(self.storage, self.clock.now())
            if self.storage.revision == before:
                break
        self._wake()

    def pass_time(self, span: timedelta, step: timedelta = SECOND) -> None:
        """Let time pass in steps; everybody acts after each."""
        left = span
        while left > timedelta(0):
            self.clock.advance(min(step, left))
            left -= step
            self.settle()

    async def advance(self, span: timedelta, step: timedelta = SECOND, *, turns: int = 20) -> None:
        """The same, giving other tasks a few turns of the loop after each step."""
        left = span
        while left > timedelta(0):
            self.pass_time(min(step, left), step)
            left -= step
            for _ in range(turns):
                await asyncio.sleep(0)

    async def get(self, resource: Resource, name: str, *, namespace: str = "") -> ports.Body | None:
        """One object, or None."""
        await asyncio.sleep(0)
        return self.storage.get(resource, name, namespace)

    async def pages(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
    ) -> AsyncIterator[list[ports.Body]]:
        """A consistent list, a page at a time; one empty page when there is nothing."""
        await asyncio.sleep(0)
        found = [
            one
            for one in self.storage.list(resource, namespace)
            if objects.matches_labels(label_selector, objects.labels_of(one))
            and objects.matches_fields(field_selector, one)
        ]
        for start in range(0, max(1, len(found)), limit):
            yield found[start : start + limit]

    async def create(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        namespace: str = "",
        name: str = "",
        subresource: str = "",
        dry_run: bool = False,
    ) -> ports.Body:
        """POST. A status is not taken over where it is a subresource, but for Nodes."""
        await asyncio.sleep(0)
        if subresource:
            raise errors.NotFound(f"the world serves no {resource.full_name}/{subresource}", status=404)
        wanted = _asked(resource, body, namespace)
        self._check_namespace(wanted["metadata"].get("namespace", ""))
        made = self.storage.make(resource, wanted)
        meta = made["metadata"]
        if self.storage.get(resource, meta["name"], meta.get("namespace", "")) is not None:
            raise replies.already_exists(resource, meta["name"])
        checking.check(resource, made, None)
        if dry_run:
            return made
        stored = self.storage.add(resource, made)
        self._note("create", resource, stored, asked=body)
        return stored

    async def merge_patch(
        self,
        resource: Resource,
        name: str,
        body: Mapping[str, Any],
        *,
        namespace: str = "",
        subresource: str = "",
        dry_run: bool = False,
    ) -> ports.Body:
        """RFC 7396. Another resourceVersion is a conflict, another UID alone is invalid; but where the status of our
        own kinds is patched the server does not heed the UID."""
        await asyncio.sleep(0)
        former = self._existing(resource, name, namespace)
        asked, meta = body.get("metadata") or {}, former["metadata"]
        if asked.get("resourceVersion") and asked["resourceVersion"] != meta["resourceVersion"]:
            raise replies.changed_meanwhile(resource, name)
        unheeded = subresource == "status" and resource in resources.OURS
        if asked.get("uid") and asked["uid"] != meta["uid"] and not unheeded:
            raise replies.invalid(resource, name, f"metadata.uid: Invalid value: {asked['uid']}: field is immutable")
        wanted = _patched(resource, former, body, subresource)
        checking.check(resource, wanted, former)
        if dry_run:
            return wanted
        stored = self.storage.put(resource, wanted)
        self._note("patch", resource, stored, subresource=subresource, asked=body)
        return stored

    async def delete(
        self,
        resource: Resource,
        name: str,
        *,
        uid: str,
        namespace: str = "",
        resource_version: str = "",
        grace: timedelta | None = None,
        dry_run: bool = False,
    ) -> None:
        """DELETE with a UID precondition."""
        await asyncio.sleep(0)
        found = self._existing(resource, name, namespace)
        _check_identity(resource, found, uid)
        version = found["metadata"]["resourceVersion"]
        if resource_version and resource_version != version:
            raise replies.another_version(resource, name, resource_version, version)
        if not dry_run:
            self.storage.ask_deletion(resource, found, grace)
            self._note("delete", resource, found, asked=_graceful(grace))

    async def evict(
        self, namespace: str, name: str, *, uid: str, grace: timedelta | None = None, dry_run: bool = False
    ) -> None:
        """The Eviction API with a UID precondition."""
        await asyncio.sleep(0)
        pod = self._existing(resources.PODS, name, namespace)
        self._check_namespace(namespace)
        _check_identity(resources.PODS, pod, uid)
        evictions.evict(self.storage, pod, grace, self.clock.now(), dry_run=dry_run)
        if not dry_run:
            self._note("evict", resources.PODS, pod, subresource="eviction", asked=_graceful(grace))

    async def logs(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        previous: bool = False,
        since: timedelta | None = None,
        limit_bytes: int = 0,
    ) -> AsyncIterator[bytes]:
        """What `texts` holds, or one line."""
        await asyncio.sleep(0)
        self._existing(resources.PODS, pod, namespace)
        text = self.texts.get((namespace, pod, container), f"{pod} {container} says hello\n".encode())
        yield text[:limit_bytes] if limit_bytes else text

    async def raw_page(self, resource: Resource, *, limit: int, token: str = "") -> bytes:
        """A whole list as JSON, for reflectors: it always fits on one page."""
        await asyncio.sleep(0)
        metadata = {"resourceVersion": str(self.storage.revision)}
        return msgspec.json.encode({"metadata": metadata, "items": self.storage.list(resource)})

    async def watch_lines(self, resource: Resource, *, version: str, seconds: int) -> AsyncIterator[bytes]:
        """Events after `version`, and a bookmark whenever time passed. Ends after `seconds` of the world's time."""
        seen, until = int(version), self.clock.monotonic() + seconds
        while self.clock.monotonic() < until:
            if seen < self.storage.compacted:
                raise replies.too_old(version)
            for change in [one for one in self.storage.history if one.revision > seen and one.resource == resource]:
                seen = change.revision
                yield _line(change.kind, change.body)
            seen = max(seen, self.storage.revision)
            yield _line("BOOKMARK", {"metadata": {"resourceVersion": str(seen)}})
            turned = self._turned
            await turned.wait()

    def _note(
        self,
        verb: str,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        subresource: str = "",
        asked: Mapping[str, Any],
    ) -> None:
        meta = body["metadata"]
        self.writes.append(
            Write(
                at=self.clock.now(),
                verb=verb,
                resource=resource,
                namespace=meta.get("namespace", ""),
                name=meta["name"],
                uid=meta["uid"],
                subresource=subresource,
                body=copied(asked),
            )
        )
        self._wake()

    def _wake(self) -> None:
        turned, self._turned = self._turned, asyncio.Event()
        turned.set()

    def _existing(self, resource: Resource, name: str, namespace: str) -> Body:
        found = self.storage.get(resource, name, namespace)
        if found is None:
            raise replies.not_found(resource, name)
        return found

    def _check_namespace(self, namespace: str) -> None:
        if not namespace:
            return
        found = self.storage.get(resources.NAMESPACES, namespace)
        if found is None:
            raise replies.not_found(resources.NAMESPACES, namespace)
        if objects.is_deleting(found) or (found.get("status") or {}).get("phase") == "Terminating":
            raise replies.terminating(namespace)


def _asked(resource: Resource, body: Mapping[str, Any], namespace: str) -> Body:
    """The body of a POST without what a client may not set."""
    wanted = copied(body)
    meta = dict(wanted.get("metadata") or {})
    for key in ("uid", "resourceVersion", "creationTimestamp", "generation", "deletionTimestamp"):
        meta.pop(key, None)
    if namespace:
        meta["namespace"] = namespace
    if resource in kinds.HAS_STATUS and resource != resources.NODES:
        wanted.pop("status", None)
    return {**wanted, "metadata": meta}


def _patched(resource: Resource, former: Body, patch: Mapping[str, Any], subresource: str) -> Body:
    """What the patch makes of it, with what it may not touch as it was."""
    wanted: Body = objects.merged(former, patch)
    kept = ("uid", "name", "namespace", "creationTimestamp", "generation", "deletionTimestamp", "resourceVersion")
    meta = {key: value for key, value in wanted["metadata"].items() if key not in kept}
    meta |= {key: former["metadata"][key] for key in kept if key in former["metadata"]}
    wanted["metadata"] = meta
    if subresource == "status":
        wanted = {**former, "status": wanted.get("status", {}), "metadata": former["metadata"]}
        if resource in (resources.NODES, resources.PODS):
            wanted["metadata"] = meta
    elif resource in kinds.HAS_STATUS:
        wanted.pop("status", None)
        wanted |= {"status": former["status"]} if "status" in former else {}
    return wanted


def _check_identity(resource: Resource, found: Mapping[str, Any], uid: str) -> None:
    if uid and uid != found["metadata"]["uid"]:
        raise replies.another_uid(resource, found["metadata"]["name"], uid, found["metadata"]["uid"])


def _graceful(grace: timedelta | None) -> dict[str, int]:
    return {} if grace is None else {"gracePeriodSeconds": int(grace.total_seconds())}


def _line(kind: str, body: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode({"type": kind, "object": body})
