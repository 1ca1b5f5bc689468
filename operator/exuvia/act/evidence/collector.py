"""What a collector is, and the room that it fills: items with their files, sizes and digests.

A collector never writes files itself: the room gives each item its path, cuts it at the limits and hashes it. What an
earlier run took is in the room already, and is not taken again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from exuvia import errors, ports
from exuvia.act.evidence.store import Draft, Writer
from exuvia.model.cards import Card
from exuvia.model.evidence import CollectorOrder, EvidenceItem, EvidenceOrder, ItemResult


class Span(NamedTuple):
    """When something was read: asked for, and here as a whole. What it says was so at some time between the two."""

    started: datetime
    finished: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The API objects of the machine as they were about when it was isolated: the Node and its pods before, the others
    at the time that `spans` says. Both by the name of the part."""

    objects: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    spans: Mapping[str, Span] = field(default_factory=dict)


class Room:
    """The items of one run. `spent` counts bytes of logs against the limit a machine has."""

    def __init__(self, draft: Draft, clock: ports.Clock, kept: tuple[EvidenceItem, ...], machine_limit: int) -> None:
        self._draft = draft
        self._clock = clock
        self._machine_limit = machine_limit
        self._items = {(one.collector, one.subject): one for one in kept}
        self.spent = sum(one.bytes for one in kept if one.path.startswith("logs/"))

    @property
    def items(self) -> tuple[EvidenceItem, ...]:
        """Everything so far."""
        return tuple(self._items.values())

    def has(self, collector: str, subject: str) -> bool:
        """Whether it was taken, in this run or an earlier one."""
        found = self._items.get((collector, subject))
        return found is not None and found.taken

    def without_file(
        self, collector: str, subject: str, result: ItemResult, message: str, started: datetime | None = None
    ) -> None:
        """Say that there is no file, and why."""
        now = self._clock.now()
        self._put(
            EvidenceItem(
                collector=collector,
                subject=subject,
                result=result,
                message=message[:1000],
                started=started or now,
                finished=now,
            )
        )

    async def file(self, collector: str, subject: str, parts: tuple[str, ...], data: bytes, read: Span) -> None:
        """One file from memory. `read`: when its content was read, which may be long before it is written here."""
        path = self._draft.path(*parts)
        sha256 = await asyncio.to_thread(_write_all, self._draft, path, data)
        self._put(
            EvidenceItem(
                collector=collector,
                subject=subject,
                path=path,
                bytes=len(data),
                sha256=sha256,
                result=ItemResult.CAPTURED,
                started=read.started,
                finished=read.finished,
            )
        )

    async def stream(
        self, collector: str, subject: str, parts: tuple[str, ...], chunks: AsyncIterator[bytes], limit: int
    ) -> None:
        """One file from a stream, cut at `limit` bytes and at the machine's. An error of the stream leaves no item."""
        started = self._clock.now()
        path = self._draft.path(*parts)
        writer = self._draft.writer(path)
        cut = False
        try:
            async with aclosing(_closable(chunks)) as source:
                async for chunk in source:
                    piece = chunk[: max(0, min(limit - writer.size, self._machine_limit - self.spent))]
                    self.spent += len(piece)
                    await asyncio.to_thread(writer.write, piece)
                    if len(piece) < len(chunk):
                        cut = True
                        break
        except BaseException:
            self.spent -= writer.size
            self._draft.discard(path, writer)
            raise
        sha256 = await asyncio.to_thread(writer.close)
        self._put(
            EvidenceItem(
                collector=collector,
                subject=subject,
                path=path,
                bytes=writer.size,
                sha256=sha256,
                result=ItemResult.TRUNCATED if cut else ItemResult.CAPTURED,
                message="cut at the size limit" if cut else "",
                started=started,
                finished=self._clock.now(),
            )
        )

    def _put(self, item: EvidenceItem) -> None:
        """A file that was taken is never replaced by the word that it could not be taken."""
        if item.taken or not self.has(item.collector, item.subject):
            self._items[item.collector, item.subject] = item


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What one collector gets to do its work."""

    cluster: ports.Cluster
    clock: ports.Clock
    order: EvidenceOrder
    wanted: CollectorOrder
    room: Room
    snapshot: Snapshot | None = None

    @property
    def name(self) -> str:
        """The collector's name in the policy."""
        return self.wanted.name


class Collector(Protocol):
    """Takes one kind of evidence. What fails of it is an item, not an exception; raising fails the whole collector."""

    card: Card

    async def collect(self, task: Task) -> None:
        """Fill the room."""


def reason_of(trouble: errors.ClusterError) -> str:
    """One sentence for the manifest; never a body of the answer."""
    return f"{type(trouble).__name__}: {trouble.message}"[:500]


def _write_all(draft: Draft, path: str, data: bytes) -> str:
    writer: Writer = draft.writer(path)
    try:
        writer.write(data)
    finally:
        sha256 = writer.close()
    return sha256


async def _closable(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    async for chunk in chunks:
        yield chunk
