"""Licence pools that were deleted: what ended with them is entered, so that nothing of them stays open for ever. One
that was deleted while nobody served it is found by the ledger, which still knows of its leases.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from exuvia import errors
from exuvia.app import seat_ledger
from exuvia.app.services import Services
from exuvia.decide.seats import closing
from exuvia.model import facts
from exuvia.model.seats import Returned, SeatChange, Seats

log = logging.getLogger(__name__)


class EndedPools:
    """Kept in memory until it is entered. After a crash before that, or trouble in the midst of it, the ledger says
    what is left to be entered."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._waiting: dict[str, tuple[str, tuple[SeatChange, ...]]] = {}
        self._sought = False

    def seek(self) -> None:
        """Ask the ledger (again): a pool is gone of which nothing is remembered."""
        self._sought = False

    async def find(self, there: set[str]) -> None:
        """Ask it once which pools it knows beside those that are `there`, all that the cluster has."""
        if self._sought or self._services.ledger_down():
            return
        at = facts.microseconds(self._services.clock.now())
        try:
            found = await asyncio.to_thread(seat_ledger.deleted, self._services.settings, there, at)
        except errors.LedgerError as trouble:
            log.debug("pools that were deleted are looked for later: %s", trouble)
            return
        self._sought = True
        for uid, (name, seats, owed) in found.items():
            if seats.leases or seats.waiting or owed:
                self.add(uid, name, seats, owed)

    def add(self, uid: str, name: str, seats: Seats, owed: Iterable[Returned]) -> None:
        """A pool of that UID and name is gone now. `owed`: what its vendor was not told of."""
        at = facts.microseconds(self._services.clock.now())
        self._waiting[uid] = name, tuple(closing.closed(seats, owed, at))

    async def enter(self) -> None:
        """Enter what ended; while the ledger cannot be written it waits."""
        for uid, (name, told) in tuple(self._waiting.items()):
            if self._services.ledger_down():
                return
            try:
                await seat_ledger.enter(self._services, name, uid, told)
            except errors.LedgerError as trouble:
                log.debug("the end of pool %s waits for the ledger: %s", name, trouble, extra={"pool": name})
                del self._waiting[uid]
                self.seek()
                return
            del self._waiting[uid]
            log.info("LicensePool %s was deleted: nobody holds or waits for a seat of it", name, extra={"pool": name})
