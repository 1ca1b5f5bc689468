"""Node leases, listed when a Rotation would start. One list at a time, beside the sweep: Quarantines never wait for it.

Unlisted, no Rotation starts and each says so. What was counted is as old as the beginning of its list.
"""

from __future__ import annotations

import asyncio

from exuvia import errors
from exuvia.app.fleet import Fleet
from exuvia.app.services import Services
from exuvia.observe import leases


class LeaseLists:
    """The lists of one term. The sweep is woken by each."""

    def __init__(self, services: Services, fleet: Fleet) -> None:
        self._services = services
        self._fleet = fleet
        self._listing: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """List them, unless that is under way."""
        if self._listing is None or self._listing.done():
            self._listing = asyncio.create_task(self._list(), name="list node leases")

    async def stop(self) -> None:
        """Give up what is under way."""
        if self._listing is not None:
            self._listing.cancel()
            await asyncio.gather(self._listing, return_exceptions=True)

    async def _list(self) -> None:
        services = self._services
        began, now = services.clock.monotonic(), services.clock.now() - services.client.clock_skew
        try:
            counted = await leases.expired_share(services.client, now)
        except errors.ClusterError as trouble:
            self._fleet.note_no_leases(trouble.message)
        else:
            self._fleet.note_leases(counted, began)
        services.view.wake.set()
