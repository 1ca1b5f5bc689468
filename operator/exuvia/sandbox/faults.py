"""Faults on purpose: a crash right after the n-th write took effect, and answers that fail or get lost.

`Crash` is no `Exception`: nothing that catches errors may go on after it, as nothing goes on after a kill.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from exuvia import errors, ports
from exuvia.model.cards import Card
from exuvia.model.facts import Fact, LedgerHealth, Receipt
from exuvia.model.instances import Instance, Reference
from exuvia.model.resources import PODS, Resource


class Crash(BaseException):
    """The process ends here."""


@dataclass(slots=True)
class Fuse:
    """Counts writes of everything that shares it, and burns after the n-th. `after` None: it only counts.

    A burnt fuse lets nothing through any more: a dead process writes nothing. Writes go one after the other, so that
    exactly n take effect.
    """

    after: int | None = None
    writes: int = 0
    burnt: bool = False
    log: list[str] = field(default_factory=list)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def check(self) -> None:
        """Raise `Crash` when the process is dead already."""
        if self.burnt:
            raise Crash("this process is dead")

    def count(self, what: str) -> None:
        """A write took effect."""
        self.writes += 1
        self.log.append(what)
        if self.after is not None and self.writes >= self.after:
            self.burnt = True
            raise Crash(f"after write {self.writes}: {what}")


@dataclass(slots=True, kw_only=True)
class Trouble:
    """An error that meets calls. `lost`: the call takes effect first, only its answer is lost."""

    error: errors.ClusterError
    verb: str = ""  # get, list, create, patch, delete, evict; "" for any
    plural: str = ""
    name: str = ""
    skip: int = 0  # how many calls of its kind it lets pass first
    times: int = 1  # how many calls it meets then
    lost: bool = False

    def meets(self, verb: str, resource: Resource, name: str) -> bool:
        """Whether it is this call's turn; asked once a call."""
        fits = self.verb in ("", verb) and self.plural in ("", resource.plural) and self.name in ("", name)
        if not fits or self.times <= 0:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return True


class FaultyCluster:
    """A `ports.Cluster` before another one: counts writes on a fuse, and hands out troubles."""

    def __init__(self, cluster: ports.Cluster, fuse: Fuse | None = None) -> None:
        self._cluster = cluster
        self._fuse = fuse or Fuse()
        self.troubles: list[Trouble] = []

    def __getattr__(self, name: str) -> Any:
        """What is no method of the port (`raw_page`, `watch_lines`, `clock_skew`) comes from the cluster itself."""
        return getattr(self._cluster, name)

    async def get(self, resource: Resource, name: str, *, namespace: str = "") -> ports.Body | None:
        """Read one object."""
        self._fuse.check()
        self._meet("get", resource, name, lost=False)
        return await self._cluster.get(resource, name, namespace=namespace)

    async def pages(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
    ) -> AsyncIterator[list[ports.Body]]:
        """Read a list. A lost answer loses its last pages: it raises after the first."""
        self._fuse.check()
        self._meet("list", resource, "", lost=False)
        async for page in self._cluster.pages(
            resource, namespace=namespace, label_selector=label_selector, field_selector=field_selector, limit=limit
        ):
            yield page
            self._meet("list", resource, "", lost=True)

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
        """POST."""
        async with self._fuse.turn:
            self._fuse.check()
            self._meet("create", resource, name, lost=False)
            made = await self._cluster.create(
                resource, body, namespace=namespace, name=name, subresource=subresource, dry_run=dry_run
            )
            self._done("create", resource, made["metadata"]["name"], dry_run)
            return made

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
        """RFC 7396."""
        async with self._fuse.turn:
            self._fuse.check()
            self._meet("patch", resource, name, lost=False)
            made = await self._cluster.merge_patch(
                resource, name, body, namespace=namespace, subresource=subresource, dry_run=dry_run
            )
            self._done("patch", resource, name, dry_run)
            return made

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
        """DELETE."""
        async with self._fuse.turn:
            self._fuse.check()
            self._meet("delete", resource, name, lost=False)
            await self._cluster.delete(
                resource,
                name,
                uid=uid,
                namespace=namespace,
                resource_version=resource_version,
                grace=grace,
                dry_run=dry_run,
            )
            self._done("delete", resource, name, dry_run)

    async def evict(
        self, namespace: str, name: str, *, uid: str, grace: timedelta | None = None, dry_run: bool = False
    ) -> None:
        """The Eviction API."""
        async with self._fuse.turn:
            self._fuse.check()
            self._meet("evict", PODS, name, lost=False)
            await self._cluster.evict(namespace, name, uid=uid, grace=grace, dry_run=dry_run)
            self._done("evict", PODS, name, dry_run)

    def logs(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        previous: bool = False,
        since: timedelta | None = None,
        limit_bytes: int = 0,
    ) -> AsyncIterator[bytes]:
        """Read a log."""
        self._fuse.check()
        return self._cluster.logs(namespace, pod, container, previous=previous, since=since, limit_bytes=limit_bytes)

    def _meet(self, verb: str, resource: Resource, name: str, *, lost: bool) -> None:
        for one in self.troubles:
            if one.lost is lost and one.meets(verb, resource, name):
                raise one.error

    def _done(self, verb: str, resource: Resource, name: str, dry_run: bool) -> None:
        if not dry_run:
            self._fuse.count(f"{verb} {resource.plural} {name}")
        self._meet(verb, resource, name, lost=True)


class FaultyLedger:
    """A `ports.Ledger` before another one: an append counts on the fuse."""

    def __init__(self, ledger: ports.Ledger, fuse: Fuse) -> None:
        self._ledger = ledger
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        """What is no method of the port comes from the ledger itself."""
        return getattr(self._ledger, name)

    async def append(self, *entries: Fact) -> Receipt:
        """Append, and count one write."""
        async with self._fuse.turn:
            self._fuse.check()
            receipt = await self._ledger.append(*entries)
            self._fuse.count("append " + ", ".join(str(one.kind) for one in entries))
            return receipt

    def health(self) -> LedgerHealth:
        """How it is now."""
        return self._ledger.health()


class FaultyProvider:
    """A `ports.Provider` before another one: a request and a removal count on the fuse."""

    def __init__(self, provider: ports.Provider, fuse: Fuse) -> None:
        self._provider = provider
        self._fuse = fuse
        self.card: Card = provider.card
        self.adds_first = provider.adds_first
        self.brings_replacement = provider.brings_replacement

    def owns(self, instance: Instance) -> bool:
        """Whether this machine is surely one of this provider's."""
        return self._provider.owns(instance)

    async def request(self, *, pool: str, key: str, like: Reference) -> ports.Machine:
        """Ask, and count one write."""
        async with self._fuse.turn:
            self._fuse.check()
            machine = await self._provider.request(pool=pool, key=key, like=like)
            self._fuse.count(f"request {key}")
            return machine

    async def find(self, *, pool: str, key: str) -> ports.Machine:
        """What became of that request."""
        self._fuse.check()
        return await self._provider.find(pool=pool, key=key)

    async def remove(self, *, pool: str, instance: Reference) -> None:
        """Ask, and count one write."""
        async with self._fuse.turn:
            self._fuse.check()
            await self._provider.remove(pool=pool, instance=instance)
            self._fuse.count(f"remove {instance.name}")
