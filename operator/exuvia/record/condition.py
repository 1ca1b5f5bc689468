"""How a ledger is, as its writer tells others: fine, locked, down, or not to be trusted."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from exuvia import errors
from exuvia.model.facts import LedgerHealth, LedgerState
from exuvia.record import chain, missing
from exuvia.record.missing import Missing
from exuvia.record.places import Place
from exuvia.record.reminding import Reminder

log = logging.getLogger(__name__)

_NOT_OPENED = "not opened yet"
_REFUSALS: dict[LedgerState, type[errors.LedgerError]] = {
    LedgerState.DOWN: errors.LedgerDown,
    LedgerState.LOCKED: errors.LedgerLocked,
    LedgerState.NOT_TRUSTED: errors.LedgerTruncated,
}


class Condition:
    """Changed by the writer's thread, and by those who miss an entry; read by everybody, without waiting."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._lock = threading.Lock()
        self.health = LedgerHealth(state=LedgerState.DOWN, message=_NOT_OPENED, since=datetime.now(UTC))
        self.missing = Missing()
        self._reminder = Reminder()

    @property
    def fine(self) -> bool:
        """Whether it can be written."""
        return self.health.state is LedgerState.FINE

    def refuse(self, *, patience: timedelta) -> None:
        """Raises the `errors.LedgerError` that says why it cannot be written; a lock may last so long."""
        health = self.health
        if health.state is LedgerState.FINE:
            return
        lately = health.since is not None and datetime.now(UTC) - health.since < patience
        if not (health.state is LedgerState.LOCKED and lately):
            raise _REFUSALS[health.state](health.message)

    def distrust(self, seq: int, hash_: bytes, *, head: int, named_by: str = "") -> None:
        """An entry that must be there is missing. Of several the first is said, and a broken chain before all."""
        with self._lock:
            known = bool(self.missing.entries) and self.health.state is LedgerState.NOT_TRUSTED
            self.missing.add(seq, hash_, head=head)
            if not known or hash_ == chain.GENESIS:
                self._set(LedgerState.NOT_TRUSTED, missing.said(self._place, seq, hash_, named_by, head=head))
            self._name_missing(losses=self.health.losses + 1)

    def in_another_file(self, head: int, healed: Iterable[int]) -> None:
        """Another file is in place: what was missing counts by it."""
        with self._lock:
            self.missing.in_another_file(head, healed)
            self._name_missing(losses=self.health.losses)

    def settle(self, seen: dict[int, bytes]) -> None:
        """What was missing is there, or a person accepted it; unless more is missing than was looked at."""
        with self._lock:
            if self.missing.entries == seen:
                self.missing = Missing()
                self._set(LedgerState.FINE, "")
                self._name_missing(losses=self.health.losses)

    def unlocked(self) -> None:
        """It could be written again."""
        with self._lock:
            if self.health.state is LedgerState.LOCKED and not self.missing.entries:
                self._set(LedgerState.FINE, "")

    def fail(self, trouble: errors.LedgerError) -> None:
        """It cannot be written for now. One that is not trusted stays that."""
        with self._lock:
            if self.health.state is LedgerState.NOT_TRUSTED:
                return
            locked = isinstance(trouble, errors.LedgerLocked)
            self._set(LedgerState.LOCKED if locked else LedgerState.DOWN, str(trouble))

    def look(self) -> None:
        """From time to time: say that trouble is over, when it is."""
        with self._lock:
            self._reminder.look()

    def _set(self, state: LedgerState, message: str) -> None:
        if state is not LedgerState.FINE:
            self._reminder.trouble(message)
        if (state, message) == (self.health.state, self.health.message):
            return
        if state is LedgerState.FINE:
            self._say_fine()
        self.health = replace(self.health, state=state, message=message, since=datetime.now(UTC))

    def _say_fine(self) -> None:
        """What was missing is settled for good; other trouble may come back with the next entry."""
        if self.health.message == _NOT_OPENED:
            log.info("ledger is open")  # whether it holds what it must is not known yet
        elif self.health.state is LedgerState.NOT_TRUSTED:
            self._reminder.over()
        else:
            self._reminder.fine()

    def _name_missing(self, *, losses: int) -> None:
        names = tuple(f"{seq}:{hash_.hex()}" for seq, hash_ in sorted(self.missing.entries.items()))
        self.health = replace(self.health, missing=names, losses=losses)
