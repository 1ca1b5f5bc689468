"""What waits to be written: facts of one `append`, and the way back to the event loop that waits for them."""

from __future__ import annotations

import asyncio
import logging
import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from exuvia.model.facts import Fact, Receipt

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Request:
    """Facts that are entered together or not at all."""

    facts: tuple[Fact, ...]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Receipt]
    queued_at: float = field(default_factory=time.monotonic)

    def answer(self, result: Receipt | Exception) -> None:
        """From the writer's thread: what came of it."""
        self.call(lambda: self._settle(result))

    def call(self, what: Callable[[], None]) -> None:
        """Have something done on the waiting loop, if that still runs."""
        try:
            self.loop.call_soon_threadsafe(what)
        except RuntimeError:
            log.debug("nobody waits for the ledger any more")

    def _settle(self, result: Receipt | Exception) -> None:
        if self.done.done():
            return
        if isinstance(result, Exception):
            self.done.set_exception(result)
        else:
            self.done.set_result(result)


class Waiting:
    """What waits, in order; taken by one thread."""

    def __init__(self, most: int) -> None:
        self._queue: queue.Queue[Request | None] = queue.Queue(most)

    def put(self, request: Request) -> bool:
        """False: it is full; try again a little later."""
        try:
            self._queue.put_nowait(request)
        except queue.Full:
            return False
        return True

    def wake(self) -> None:
        """End a waiting `take`. One that finds the queue full is awake anyhow."""
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            return

    def __len__(self) -> int:
        return self._queue.qsize()

    def take(self, most: int, seconds: float = 0.0) -> list[Request]:
        """What waits, up to so many; the first is waited for so long. [] when nothing came."""
        found: list[Request | None] = []
        try:
            found.append(self._queue.get(timeout=seconds) if seconds else self._queue.get_nowait())
            while len(found) < most:
                found.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        return [one for one in found if one is not None]


def answer_all(requests: Sequence[Request], trouble: Exception) -> None:
    """The same trouble for all."""
    for one in requests:
        one.answer(trouble)
