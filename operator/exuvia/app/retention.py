"""Finished operations are kept for a day, because rates, halts and back-off are counted from them; then removed. The
ledger keeps them for ever."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from datetime import timedelta

from exuvia import errors
from exuvia.app import operations
from exuvia.app.operations import Operation
from exuvia.app.services import Services
from exuvia.app.statuses import Statuses
from exuvia.model import resources

log = logging.getLogger(__name__)

KEPT = timedelta(hours=25)
PERIOD_SECONDS = 600.0


class Retention:
    """Removes what is over for long."""

    def __init__(self, services: Services, statuses: Statuses) -> None:
        self._services = services
        self._statuses = statuses

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(PERIOD_SECONDS)
            try:
                await self.once()
            except errors.Fenced:
                return

    async def once(self) -> int:
        """One round. Returns how many were removed."""
        removed = 0
        for one in self._old():
            resource = resources.ROTATIONS if one.KIND == "Rotation" else resources.QUARANTINES
            try:
                await self._services.cluster.delete(resource, one.name, uid=one.uid)
                removed += 1
            except (errors.NotFound, errors.Conflict):
                continue
            except errors.ClusterError as trouble:
                log.warning("%s %s was not removed: %s", one.KIND, one.name, trouble)
        return removed

    def _old(self) -> Iterable[Operation]:
        horizon = self._services.clock.now() - KEPT
        halted = {one.pool for one in self._statuses.plan.halted}
        for one in operations.everything(self._services.view):
            pool = one.status.settings.pool if one.status.settings else ""
            ended = one.status.finished_at
            if not one.open and ended is not None and ended < horizon and pool not in halted and not one.deleting:
                yield one
