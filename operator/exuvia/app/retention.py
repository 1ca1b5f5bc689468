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
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation

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
        """One round. Returns how many were removed: none by one that only watches."""
        if self._services.settings.read_only:
            return 0
        removed = 0
        for one in self._old():
            resource = resources.ROTATIONS if one.KIND == "Rotation" else resources.QUARANTINES
            try:
                await self._services.cluster.delete(resource, one.name, uid=one.uid)
                removed += 1
                log.info("%s %s is over for long and was removed", one.KIND, one.name, extra={"operation": one.name})
            except (errors.NotFound, errors.Conflict):
                continue
            except errors.ClusterError as trouble:
                log.warning("%s %s was not removed: %s", one.KIND, one.name, trouble)
        return removed

    def _old(self) -> Iterable[Operation]:
        horizon = self._services.clock.now() - KEPT
        halted = {one.pool for one in self._statuses.plan.halted}
        needed = self._needed()
        for one in operations.everything(self._services.view):
            pool = one.status.settings.pool if one.status.settings else ""
            ended = one.status.finished_at
            if one.open or one.deleting or ended is None or ended >= horizon:
                continue
            if pool not in halted and one.name not in needed and not self._left_over(one):
                yield one

    def _needed(self) -> set[str]:
        """Names that open operations go by: what an heir inherited stands in its former, a release in its Rotation."""
        found: set[str | None] = set()
        for one in operations.under_way(self._services.view):
            if isinstance(one, Quarantine):
                found |= {one.spec.inherited_from, one.status.release_rotation}
            else:
                found.add(one.spec.released_from)
        return {name for name in found if name}

    def _left_over(self, one: Operation) -> bool:
        """Whether it is the only one to know that a machine was left over, for the pool's next Rotation to take."""
        replacement = one.status.replacement if isinstance(one, Rotation) else None
        if replacement is None or not replacement.surplus:
            return False
        nodes = self._services.view.nodes.store
        return bool(replacement.uid) and nodes.get(replacement.uid) is not None and not self._taken(replacement.uid)

    def _taken(self, uid: str) -> bool:
        named = (one.status.replacement for one in self._services.view.all_rotations())
        return any(one is not None and one.uid == uid and not one.surplus for one in named)
