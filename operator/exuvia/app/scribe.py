"""The scribe: facts that nobody waits for, written to the ledger in order, in the background.

What must be durable before something is done (an intent) goes to `ledger.append` itself. While the ledger is down the
scribe keeps what it has and tries again; past a limit it drops all of it and asks the chronicle to compare the whole
view with the ledger once it is back, so that births and deaths are never lost.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from exuvia import errors, ports
from exuvia.model.facts import Fact

log = logging.getLogger(__name__)

BATCH = 256
KEPT = 50_000
RETRY_SECONDS = 2.0


@dataclass(slots=True, eq=False)
class Late:
    """An intent that is entered after its effect: its number, once it has one, and the outcome that waits for that."""

    fact: Fact
    seq: int = 0
    outcome: Callable[[int], Fact] | None = None


class Scribe:
    """Takes facts at once; `run` writes them."""

    def __init__(self, ledger: ports.Ledger) -> None:
        self._ledger = ledger
        self._waiting: deque[Fact | Late] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.overflowed: Callable[[], None] = lambda: None

    @property
    def idle(self) -> bool:
        """Whether everything that it was told is durable."""
        return self._idle.is_set()

    def note(self, *facts: Fact | Late) -> None:
        """Queue facts. Never blocks, never fails."""
        if not facts:
            return
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
            while self._waiting:
                await self._write()
            self._idle.set()
            await self._wake.wait()
            self._wake.clear()

    def settle(self, late: Late, outcome: Callable[[int], Fact]) -> None:
        """What came of a late intent; it is entered right after it."""
        if late.seq:
            self.note(outcome(late.seq))
        else:
            late.outcome = outcome

    async def flush(self, timeout: float = 3.0) -> bool:
        """Wait until what is queued is durable, at most so many seconds. Returns whether it is."""
        try:
            await asyncio.wait_for(self._idle.wait(), timeout)
        except TimeoutError:
            log.warning("facts were left unwritten", extra={"count": len(self._waiting)})
            return False
        return True

    async def _write(self) -> None:
        first = self._waiting[0]
        try:
            if isinstance(first, Late):
                await self._write_late(first)
            else:
                await self._write_facts()
        except errors.LedgerError:
            await asyncio.sleep(RETRY_SECONDS)

    async def _write_facts(self) -> None:
        """All up to the next late intent, together; one that no ledger can hold must not take the others with it."""
        some = itertools.islice(self._waiting, BATCH)
        batch = [one for one in itertools.takewhile(lambda one: isinstance(one, Fact), some) if isinstance(one, Fact)]
        try:
            await self._ledger.append(*batch)
        except errors.InvalidObject:
            batch = batch[:1]
            await self._one(batch[0])
        self._done(batch)

    async def _one(self, fact: Fact) -> None:
        try:
            await self._ledger.append(fact)
        except errors.InvalidObject as trouble:
            log.error("a fact was dropped: %s", trouble)

    async def _write_late(self, late: Late) -> None:
        late.seq = (await self._ledger.append(late.fact)).seq
        self._done([late])
        if late.outcome is not None:
            self._waiting.appendleft(late.outcome(late.seq))

    def _done(self, written: list[Any]) -> None:
        """Take off what is durable; an overflow meanwhile may have dropped it already."""
        for one in written:
            if self._waiting and self._waiting[0] is one:
                self._waiting.popleft()
