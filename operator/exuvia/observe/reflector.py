"""A reflector: one kind listed in pages and watched as raw lines, into a store.

It survives 410, 429, 5xx, 403, torn and silent streams, an ERROR event at the start, and deletions in a gap; it never
ends by itself. `last_heard` is the moment of its last list, event or bookmark: the age that deciding looks at.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
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
SHORTEST = 1.0  # a watch that ends sooner, with nothing said, is a trouble

_PAGE = msgspec.json.Decoder(shapes.Page)
_EVENT = msgspec.json.Decoder(shapes.WatchEvent)
_IDENTIFIED = msgspec.json.Decoder(shapes.Identified)
_ERROR = msgspec.json.Decoder(shapes.ErrorObject)


class Source(Protocol):
    """What a reflector reads from: `kube.client.Client`."""

    async def raw_page(self, resource: Resource, *, limit: int, token: str = "") -> bytes: ...
    def watch_lines(self, resource: Resource, *, version: str, seconds: int) -> AsyncGenerator[bytes]: ...


class Reflector(Generic[R]):
    """Keeps a store like the server's state of one kind. `project` turns raw JSON into a record.

    `unreadable` names objects that do not decode: what was last known of them is kept, and the picture is not whole.
    """

    def __init__(
        self,
        source: Source,
        resource: Resource,
        project: Callable[[Any], R],
        clock: ports.Clock,
        notify: Callable[[], None],
        *,
        watch_seconds: int = WATCH_SECONDS,
        page: int = 0,
    ) -> None:
        self.resource = resource
        self.store: Store[R] = Store(clock.monotonic, notify)
        self.synced = False
        self.problem = "not listed yet"
        self.last_heard: datetime | None = None
        self.unreadable: dict[str, str] = {}
        self.lost: dict[str, datetime] = {}  # UIDs that the last list missed -> when they were known to be there
        self._page = page
        self._source = source
        self._project = project
        self._clock = clock
        self._watch_seconds = watch_seconds
        self._version = ""
        self._delay = BACKOFF_FIRST
        self._relist = asyncio.Event()

    @property
    def version(self) -> str:
        """The resourceVersion up to which everything is in the store; "" while it is being listed."""
        return self._version

    def relist(self) -> None:
        """Have everything listed anew soon (when the projection wants more than before)."""
        self._relist.set()

    def overlay(self, raw: msgspec.Raw) -> None:
        """The answer to a write of our own: newer than any event of the watch so far."""
        self._put(raw)

    async def run(self) -> None:
        """List and watch, for ever."""
        while True:
            try:
                if not self._version or self._relist.is_set():
                    self._version = ""  # a list that fails in the middle is begun anew
                    await self._list()
                await self._watch_until_relist()
            except errors.Expired as trouble:
                self._version = ""
                log.info("watch of %s begins anew: %s", self.resource.full_name, trouble)
                await self._pause()
            except errors.ExuviaError as trouble:
                await self._wait(trouble)
            except Exception as trouble:
                self._version = ""  # a torn line, an answer that is none, or a slip of ours: list again
                await self._wait(trouble)

    async def _list(self) -> None:
        self._relist.clear()
        uids: set[str] = set()
        token, listed_at = "", ""
        while True:
            page = _PAGE.decode(await self._source.raw_page(self.resource, limit=self._page or PAGE, token=token))
            if not page.metadata.resourceVersion:
                raise errors.ServerTrouble(f"list {self.resource.full_name}: the answer is no list", status=500)
            listed_at = listed_at or page.metadata.resourceVersion
            for raw in page.items or ():
                uids.add(self._put(raw).uid)
            token = page.metadata.continue_ or ""
            if not token:
                break
            await asyncio.sleep(0)
        missed = self.store.keep_only(uids, listed_at)
        self.lost = dict.fromkeys(missed, self.last_heard) if self.last_heard is not None else {}
        self.unreadable = {uid: said for uid, said in self.unreadable.items() if uid in uids}
        self._version = listed_at
        self.synced = True
        self._heard()

    async def _watch_until_relist(self) -> None:
        watch = asyncio.ensure_future(self._watch())
        asked = asyncio.ensure_future(self._relist.wait())
        try:
            await asyncio.wait((watch, asked), return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                watch.result()
        finally:
            watch.cancel()
            asked.cancel()
            await asyncio.gather(watch, asked, return_exceptions=True)

    async def _watch(self) -> None:
        started, heard = self._clock.monotonic(), False
        lines = self._source.watch_lines(self.resource, version=self._version, seconds=self._watch_seconds)
        async with aclosing(lines):
            async for line in lines:
                self._take(line)
                self._delay, heard = BACKOFF_FIRST, True
        if not heard and self._clock.monotonic() - started < SHORTEST:
            raise errors.ServerTrouble(f"watch {self.resource.full_name}: the server ended it at once", status=500)
        self._heard()  # it ended in time and in order: nothing happened, and of nothing there need be no bookmark

    def _take(self, line: bytes) -> None:
        event = _EVENT.decode(line)
        match event.type:
            case "ADDED" | "MODIFIED":
                meta = self._put(event.object)
            case "DELETED":
                meta = _IDENTIFIED.decode(event.object).metadata
                self.store.drop(meta.uid, meta.resourceVersion)
                self.unreadable.pop(meta.uid, None)
            case "BOOKMARK":
                meta = _IDENTIFIED.decode(event.object).metadata
            case "ERROR":
                raise _error(self.resource, _ERROR.decode(event.object))
            case _:
                return  # a kind of event that a newer server may send; its object is not ours to guess
        self._version = meta.resourceVersion or self._version
        self._heard()

    def _put(self, raw: msgspec.Raw) -> shapes.Meta:
        """Into the store. What does not decode is named; the record it had stays, for unknown is not gone."""
        meta = _IDENTIFIED.decode(raw).metadata
        if self.store.outdated(meta.uid, meta.resourceVersion):
            return meta
        try:
            self.store.put(self._project(raw), meta.resourceVersion)
            self.unreadable.pop(meta.uid, None)
        except (msgspec.MsgspecError, ValueError, TypeError, KeyError, AttributeError) as trouble:
            if meta.uid not in self.unreadable:
                log.warning("%s %s cannot be read: %s", self.resource.kind, meta.name, trouble)
            self.unreadable[meta.uid] = f"{meta.name} cannot be read: {trouble}"
        return meta

    def _heard(self) -> None:
        self.last_heard = self._clock.now()
        self.problem = ""

    async def _wait(self, trouble: Exception) -> None:
        """Say a new problem once; wait longer each time, never shorter than the server asks."""
        if str(trouble) != self.problem:
            self.problem = str(trouble)
            log.warning("watch of %s: %s", self.resource.full_name, trouble)
        await self._pause(getattr(trouble, "retry_after", None) or timedelta(0))

    async def _pause(self, at_least: timedelta = timedelta(0)) -> None:
        await asyncio.sleep(max(self._delay * random.uniform(0.7, 1.3), at_least.total_seconds()))
        self._delay = min(self._delay * 2, BACKOFF_MOST)


def _error(resource: Resource, status: shapes.ErrorObject) -> errors.ClusterError:
    said = f"watch {resource.full_name}: {status.message or status.reason or 'error event'}"
    if status.code == 410:
        return errors.Expired(said, status=410)
    return errors.ServerTrouble(said, status=status.code or 500)
