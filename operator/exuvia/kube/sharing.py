"""Reads that many ask for at the same moment are made once. Nobody gets an answer that is older than his question."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedRead(Generic[T]):
    """One read for all who ask meanwhile. Everybody gets the answer of a read that began after they asked."""

    def __init__(self, read: Callable[[], Awaitable[T]], idle: Callable[[], object] = lambda: None) -> None:
        """`idle` is called when the last answer is there, and nobody waits for another."""
        self._read = read
        self._idle = idle
        self._running: asyncio.Future[T] | None = None
        self._next: asyncio.Future[T] | None = None

    async def ask(self) -> T:
        """The answer; raises what the read raises."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._turn(self._running))
            self._next.add_done_callback(self._over)
        return await asyncio.shield(self._next)

    async def _turn(self, before: asyncio.Future[T] | None) -> T:
        """After the one that runs: whoever asks from now on waits for the next."""
        if before is not None:
            await asyncio.wait((before,))
        self._running, self._next = self._next, None
        return await self._read()

    def _over(self, read: asyncio.Future[T]) -> None:
        """An answer is kept by those who asked for it; trouble that nobody waits for any more concerns nobody."""
        if self._running is read:
            self._running = None
        if self._running is None and self._next is None:
            self._idle()
        if not read.cancelled():
            read.exception()


class SharedReads(Generic[T]):
    """The same for reads that differ by a key, a namespace, say: one read at a time for each key. Of a key that nobody
    asks for at the moment nothing is kept."""

    def __init__(self, read: Callable[[str], Awaitable[T]]) -> None:
        self._read = read
        self._shared: dict[str, SharedRead[T]] = {}

    async def ask(self, key: str) -> T:
        """The answer for that key."""
        shared = self._shared.get(key)
        if shared is None:
            shared = self._shared[key] = SharedRead(lambda: self._read(key), lambda: self._shared.pop(key, None))
        return await shared.ask()
