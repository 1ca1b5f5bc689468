"""Lanes: how many operations work at the same time, and who goes first.

What is not cordoned yet goes before what is: with two hundred suspicious machines at once, each is cut off before the
work on the first is finished. What waits gives way for a short time only, so nothing is ever kept from going on.

Who waits for a provider holds up nobody else: each provider has a lane of its own for the operations that ask it, and
what is being undone or given back needs no lane at all.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from exuvia.app.operations import Operation
from exuvia.model.specs.rotation import Rotation, RotationPhase

URGENT = 16
CALM = 8
OUTSIDE = 16
GIVES_WAY_SECONDS = 3.0
_ASKING = (RotationPhase.REPLACING, RotationPhase.TERMINATING)


def is_urgent(operation: Operation) -> bool:
    """Whether it has not marked its machine yet: `before` is written just before the marks are. One that waits for a
    replacement first is in no hurry."""
    return operation.open and operation.status.before is None and not is_outside(operation)


def is_undone(operation: Operation) -> bool:
    """Whether it ended as far as anybody wants something of it: what it did is put back, which nothing may delay."""
    return operation.open and bool(operation.status.reason)


def is_outside(operation: Operation) -> bool:
    """Whether whatever it does next it waits for its provider, which may not answer. A Quarantine never does: it looks
    after its marks and pods first, and goes outside in the middle of a turn (`Turn.goes_outside`)."""
    return isinstance(operation, Rotation) and operation.status.phase in _ASKING


class Turn:
    """One look and one step of an operation, in the lane that it had to wait for."""

    def __init__(self, outside: asyncio.Semaphore) -> None:
        self._outside = outside
        self._lane = AsyncExitStack()
        self._is_outside = False

    async def begin(self, lane: AbstractAsyncContextManager[object]) -> None:
        """Wait for that lane."""
        await self._lane.enter_async_context(lane)

    async def goes_outside(self) -> None:
        """The provider is asked next: leave the lane to others, and wait in the provider's."""
        if self._is_outside:
            return
        await self.end()
        await self.begin(self._outside)
        self._is_outside = True

    def needs_no_lane(self) -> None:
        """Nothing may delay it, at no time."""
        self._is_outside = True

    async def end(self) -> None:
        """Let the next one have the lane."""
        await self._lane.aclose()


class Lanes:
    """Their counts and queues. `outside` is for each provider."""

    def __init__(
        self, *, urgent: int = URGENT, calm: int = CALM, gives_way: float = GIVES_WAY_SECONDS, outside: int = OUTSIDE
    ) -> None:
        self._outside: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(outside))
        self._urgent = asyncio.Semaphore(urgent)
        self._calm = asyncio.Semaphore(calm)
        self._gives_way = gives_way
        self._hurrying = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    @asynccontextmanager
    async def turn_of(self, operation: Operation) -> AsyncIterator[Turn]:
        """Wait for its turn, and have it."""
        settings = operation.status.settings
        turn = Turn(self._outside[settings.provider if settings else ""])
        try:
            if is_undone(operation):
                turn.needs_no_lane()
            elif is_outside(operation):
                await turn.goes_outside()
            else:
                await turn.begin(self.turn(urgent=is_urgent(operation)))
            yield turn
        finally:
            await turn.end()

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
