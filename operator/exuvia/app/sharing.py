"""What many operations ask for at the same moment is read once; what a step may not need is found only when it asks.

Both keep the way of one fact from growing with the number of operations and machines.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar, overload

T = TypeVar("T")


class SharedRead(Generic[T]):
    """One read for all who ask meanwhile. Everybody gets the answer of a read that began after they asked."""

    def __init__(self, read: Callable[[], Awaitable[T]]) -> None:
        self._read = read
        self._running: asyncio.Future[T] | None = None
        self._next: asyncio.Future[T] | None = None

    async def ask(self) -> T:
        """The answer; raises what the read raises."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._turn(self._running))
        return await asyncio.shield(self._next)

    async def _turn(self, before: asyncio.Future[T] | None) -> T:
        """After the one that runs: whoever asks from now on waits for the next."""
        if before is not None:
            await asyncio.wait((before,))
        self._running, self._next = self._next, None
        return await self._read()


class LazySequence(Sequence[T]):
    """A sequence that is made when it is first looked at."""

    def __init__(self, make: Callable[[], Sequence[T]]) -> None:
        self._make = make
        self._made: Sequence[T] | None = None

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        return self._items()[index]

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[T]:
        return iter(self._items())

    def _items(self) -> Sequence[T]:
        if self._made is None:
            self._made = self._make()
        return self._made


class LazyMapping(Mapping[str, str]):
    """Answers by key, asked one at a time; an empty answer means that the key is not there."""

    def __init__(self, keys: Callable[[], Sequence[str]], answer: Callable[[str], str]) -> None:
        self._keys = keys
        self._answer = answer

    def __getitem__(self, key: str) -> str:
        found = self._answer(key)
        if not found:
            raise KeyError(key)
        return found

    def __iter__(self) -> Iterator[str]:
        return (one for one in self._keys() if self._answer(one))

    def __len__(self) -> int:
        return sum(1 for _ in self)
