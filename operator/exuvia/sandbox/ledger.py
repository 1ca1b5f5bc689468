"""A ledger in memory with the switches of a real one: down, locked, not trusted, fenced."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from datetime import datetime

from exuvia import errors
from exuvia.model.facts import Fact, FactKind, LedgerHealth, LedgerState, Receipt, microseconds


class MemoryLedger:
    """Implements `ports.Ledger`. It outlives the operator's process, as a file would."""

    def __init__(self, fence: Callable[[], None] = lambda: None) -> None:
        self.facts: list[Fact] = []
        self.fence = fence
        self._hashes: list[str] = []
        self._health = LedgerHealth(state=LedgerState.FINE)

    def health(self) -> LedgerHealth:
        """How it is now."""
        return self._health

    def switch(self, state: LedgerState, message: str = "", since: datetime | None = None) -> None:
        """Break it, or mend it."""
        self._health = LedgerHealth(state=state, message=message, since=since)

    async def append(self, *entries: Fact) -> Receipt:
        """Durable when it returns; an error means that nothing was written."""
        await asyncio.sleep(0)
        self.fence()
        self._refuse()
        for fact in entries:
            former = self._hashes[-1] if self._hashes else ""
            self._hashes.append(hashlib.sha256((former + _text(fact)).encode()).hexdigest())
            self.facts.append(fact)
        return Receipt(seq=len(self.facts), hash=self._hashes[-1] if self._hashes else "")

    def holds(self, seq: int, hash_: str) -> bool | None:
        """Whether the entry of that number has that hash; None while it cannot be read."""
        if self._health.state is LedgerState.DOWN:
            return None
        return 0 < seq <= len(self._hashes) and self._hashes[seq - 1] == hash_

    def of(self, kind: FactKind) -> list[Fact]:
        """All facts of a kind, oldest first."""
        return [one for one in self.facts if one.kind is kind]

    def open_intents(self) -> list[int]:
        """Sequence numbers of intents without an outcome."""
        answered = {one.body["intent"] for one in self.of(FactKind.OUTCOME)}
        intents = (seq for seq, one in enumerate(self.facts, start=1) if one.kind is FactKind.INTENT)
        return [seq for seq in intents if seq not in answered]

    def cut(self, keep: int) -> None:
        """Lose everything after the first `keep` entries, as a restored backup does."""
        del self.facts[keep:], self._hashes[keep:]

    def _refuse(self) -> None:
        message = self._health.message or f"the ledger is {self._health.state}"
        match self._health.state:
            case LedgerState.DOWN:
                raise errors.LedgerDown(message)
            case LedgerState.LOCKED:
                raise errors.LedgerLocked(message)
            case LedgerState.NOT_TRUSTED:
                raise errors.LedgerTruncated(message)
            case _:
                return


def _text(fact: Fact) -> str:
    body = json.dumps(dict(fact.body), sort_keys=True, separators=(",", ":"))
    return f"{fact.kind}|{microseconds(fact.at)}|{body}"
