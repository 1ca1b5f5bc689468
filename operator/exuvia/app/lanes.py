"""Lanes: how many operations work at the same time, and who goes first.

What is not cordoned yet goes before what is: with two hundred suspicious machines at once, each is cut off before the
work on the first is finished. What waits gives way for a short time only, so nothing is ever kept from going on.

Who waits for somebody outside holds up nobody else: removals have a lane of their own, and what is being undone or
given back needs no lane at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from exuvia.app.operations import Operation
from exuvia.model.specs.rotation import Rotation, RotationPhase

URGENT = 16
CALM = 8
OUTSIDE = 8
GIVES_WAY_SECONDS = 3.0


def is_urgent(operation: Operation) -> bool:
    """Whether it has not marked its machine yet: `before` is written just before the marks are."""
    return operation.open and operation.status.before is None


def is_undone(operation: Operation) -> bool:
    """Whether it ended as far as anybody wants something of it: what it did is put back, which nothing may delay."""
    return operation.open and bool(operation.status.reason)


def is_outside(operation: Operation) -> bool:
    """Whether it waits for its provider, which may not answer."""
    return isinstance(operation, Rotation) and operation.status.phase is RotationPhase.TERMINATING


class Lanes:
    """A turn is one look and one step of an operation."""

    def __init__(
        self, *, urgent: int = URGENT, calm: int = CALM, gives_way: float = GIVES_WAY_SECONDS, outside: int = OUTSIDE
    ) -> None:
        self._outside = asyncio.Semaphore(outside)
        self._urgent = asyncio.Semaphore(urgent)
        self._calm = asyncio.Semaphore(calm)
        self._gives_way = gives_way
        self._hurrying = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    @asynccontextmanager
    async def turn_of(self, operation: Operation) -> AsyncIterator[None]:
        """Wait for its turn, and have it."""
        if is_undone(operation):
            yield
        elif is_outside(operation):
            async with self._outside:
                yield
        else:
            async with self.turn(urgent=is_urgent(operation)):
                yield

    @asynccontextmanager
    async def turn(self, *, urgent: bool) -> AsyncIterator[None]:
        """Wait for it, and have it."""
        if urgent:
            async with self._hurry(), self._urgent:
                yield
            return
        async with self._calm:
            await self.give_way()
            yield

    @asynccontextmanager
    async def _hurry(self) -> AsyncIterator[None]:
        self._hurrying += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self._hurrying -= 1
            if not self._hurrying:
                self._quiet.set()

    async def give_way(self) -> None:
        """Until nothing is urgent any more, for a short time only."""
        try:
            await asyncio.wait_for(self._quiet.wait(), self._gives_way)
        except TimeoutError:
            return
