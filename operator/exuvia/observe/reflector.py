"""A reflector: one kind listed in pages and watched as raw lines, into a store.

It survives 410, 429, 5xx, 403, torn and silent streams, an ERROR event at the start, and deletions in a gap; it never
ends by itself. `last_heard` is the moment of its last list, event or bookmark: the age that deciding looks at.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol

import msgspec

from exuvia import errors, ports
from exuvia.model.resources import Resource
from exuvia.observe import shapes
from exuvia.observe.store import R, Store

log = logging.getLogger(__name__)

PAGE = 500
WATCH_SECONDS = 40
BACKOFF_FIRST = 0.2
BACKOFF_MOST = 20.0

_PAGE = msgspec.json.Decoder(shapes.Page)
_EVENT = msgspec.json.Decoder(shapes.WatchEvent)
_IDENTIFIED = msgspec.json.Decoder(shapes.Identified)
_ERROR = msgspec.json.Decoder(shapes.ErrorObject)


class Source(Protocol):
    """What a reflector reads from: `kube.client.Client`."""

    async def raw_page(self, resource: Resource, *, limit: int, token: str = "") -> bytes: ...
    def watch_lines(self, resource: Resource, *, version: str, seconds: int) -> AsyncIterator[bytes]: ...


class Reflector(Generic[R]):
    """Keeps a store like the server's state of one kind. `project` turns raw JSON into a record."""

    def __init__(
        self,
        source: Source,
        resource: Resource,
        project: Callable[[Any], R],
        clock: ports.Clock,
        notify: Callable[[], None],
        *,
        watch_seconds: int = WATCH_SECONDS,
    ) -> None:
        self.resource = resource
        self.store: Store[R] = Store(clock.monotonic, notify)
        self.synced = False
        self.problem = "not listed yet"
        self.last_heard: datetime | None = None
        self.unreadable: dict[str, str] = {}
        self._source = source
        self._project = project
        self._clock = clock
        self._watch_seconds = watch_seconds
        self._version = ""
        self._delay = BACKOFF_FIRST
        self._relist = asyncio.Event()

    def relist(self) -> None:
        """Have everything listed anew soon (when the projection wants more than before)."""
        self._relist.set()

    def overlay(self, raw: msgspec.Raw) -> None:
        """The answer to a write of our own: newer than any event of the watch so far."""
        meta = _IDENTIFIED.decode(raw).metadata
        self.store.put(self._project(raw), meta.resourceVersion)

    async def run(self) -> None:
        """List and watch, for ever."""
        while True:
            try:
                if not self._version or self._relist.is_set():
                    await self._list()
                await self._watch()
            except errors.Expired:
                self._version = ""
            except errors.ExuviaError as trouble:
                await self._wait(trouble)
            except (msgspec.DecodeError, RuntimeError, ValueError) as trouble:
                self._version = ""  # a torn line or an answer that is none: list again
                await self._wait(trouble)

    async def _list(self) -> None:
        self._relist.clear()
        uids: set[str] = set()
        token, listed_at = "", ""
        while True:
            page = _PAGE.decode(await self._source.raw_page(self.resource, limit=PAGE, token=token))
            listed_at = listed_at or page.metadata.resourceVersion
            for raw in page.items or ():
                uids.add(self._put(raw))
            token = page.metadata.continue_ or ""
            if not token:
                break
            await asyncio.sleep(0)
        self.store.keep_only(uids, listed_at)
        self._version = listed_at
        self.synced = True
        self._heard()

    async def _watch(self) -> None:
        lines = self._source.watch_lines(self.resource, version=self._version, seconds=self._watch_seconds)
        async for line in lines:
            self._take(line)
            if self._relist.is_set():
                return

    def _take(self, line: bytes) -> None:
        event = _EVENT.decode(line)
        match event.type:
            case "ADDED" | "MODIFIED":
                self._put(event.object)
            case "DELETED":
                meta = _IDENTIFIED.decode(event.object).metadata
                self.store.drop(meta.uid, meta.resourceVersion)
                self.unreadable.pop(meta.uid, None)
                self._version = meta.resourceVersion or self._version
            case "BOOKMARK":
                meta = _IDENTIFIED.decode(event.object).metadata
                self._version = meta.resourceVersion or self._version
            case "ERROR":
                raise _error(self.resource, _ERROR.decode(event.object))
            case _:
                return  # a kind of event that a newer server may send; its object is not ours to guess
        self._heard()

    def _put(self, raw: msgspec.Raw) -> str:
        """Into the store; what does not decode is named and kept out, so nothing is decided on half a picture."""
        meta = _IDENTIFIED.decode(raw).metadata
        self._version = meta.resourceVersion if self.synced else self._version
        try:
            self.store.put(self._project(raw), meta.resourceVersion)
            self.unreadable.pop(meta.uid, None)
        except (msgspec.ValidationError, ValueError) as trouble:
            if meta.uid not in self.unreadable:
                log.warning("%s %s cannot be read: %s", self.resource.kind, meta.name, trouble)
            self.unreadable[meta.uid] = str(trouble)
            self.store.drop(meta.uid, meta.resourceVersion)
        return meta.uid

    def _heard(self) -> None:
        self.last_heard = self._clock.now()
        self.problem = ""
        self._delay = BACKOFF_FIRST

    async def _wait(self, trouble: Exception) -> None:
        """Say a new problem once; wait longer each time, never shorter than the server asks."""
        if str(trouble) != self.problem:
            self.problem = str(trouble)
            log.warning("watch of %s: %s", self.resource.full_name, trouble)
        asked = getattr(trouble, "retry_after", None) or timedelta(0)
        await asyncio.sleep(max(self._delay * random.uniform(0.7, 1.3), asked.total_seconds()))
        self._delay = min(self._delay * 2, BACKOFF_MOST)


def _error(resource: Resource, status: shapes.ErrorObject) -> errors.ClusterError:
    said = f"watch {resource.full_name}: {status.message or status.reason or 'error event'}"
    if status.code == 410:
        return errors.Expired(said, status=410)
    return errors.ServerTrouble(said, status=status.code or 500)
