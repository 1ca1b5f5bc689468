"""The scribe: facts that nobody waits for, written to the ledger in order, in the background.

What must be durable before something is done (an intent) goes to `ledger.append` itself. While the ledger is down the
scribe keeps what it has and tries again; past a limit it drops all of it and asks the chronicle to compare the whole
view with the ledger once it is back, so that births and deaths are never lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from exuvia import errors, ports
from exuvia.model.facts import Fact

log = logging.getLogger(__name__)

BATCH = 256
KEPT = 50_000
RETRY_SECONDS = 2.0


class Scribe:
    """Takes facts at once; `run` writes them."""

    def __init__(self, ledger: ports.Ledger) -> None:
        self._ledger = ledger
        self._waiting: deque[Fact] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.overflowed: Callable[[], None] = lambda: None

    def note(self, *facts: Fact) -> None:
        """Queue facts. Never blocks, never fails."""
        self._waiting.extend(facts)
        if len(self._waiting) > KEPT:
            log.warning("the ledger is away for too long: facts are dropped and will be found anew from the cluster")
            self._waiting.clear()
            self.overflowed()
        self._idle.clear()
        self._wake.set()

    async def run(self) -> None:
        """Write what is queued, for ever. Ends with `errors.Fenced` when we do not lead any more."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._write()
            self._idle.set()

    async def flush(self, timeout: float = 3.0) -> None:
        """Wait until what is queued is durable, at most so many seconds."""
        try:
            await asyncio.wait_for(self._idle.wait(), timeout)
        except TimeoutError:
            log.warning("facts were left unwritten", extra={"count": len(self._waiting)})

    async def _write(self) -> None:
        batch = [self._waiting[index] for index in range(min(BATCH, len(self._waiting)))]
        try:
            await self._ledger.append(*batch)
        except errors.LedgerError:
            await asyncio.sleep(RETRY_SECONDS)
            return
        for _ in range(min(len(batch), len(self._waiting))):
            self._waiting.popleft()
