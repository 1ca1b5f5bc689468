"""What the leader before us missed in the ledger: found once, it is looked for by every leader after, until it is there
again or a person accepted it. Only the Lease knows of it where nobody else noted that entry."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from exuvia.app import checking, losses
from exuvia.app.services import Services
from exuvia.model.facts import LedgerHealth
from exuvia.record import naming

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """An entry that the ledger must hold, and who says so, in words. `hash` in hex."""

    seq: int
    hash: str
    by: str

    @property
    def name(self) -> str:
        """As an acceptance names it."""
        return f"{self.seq}:{self.hash}"


class Inherited:
    """The Lease's note during one term: read once, before ours takes its place."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._named: list[Named] | None = None
        self._left: set[str] = set()

    async def read(self) -> list[Named]:
        """Raises `errors.ClusterError`, `errors.InvalidObject`, `errors.LedgerError`: then it is not known."""
        if self._named is None:
            self._named = await self._noted()
            self._left = {one.name for one in self._named}
        return self._named

    async def _noted(self) -> list[Named]:
        settings = self._services.settings
        said = await losses.read(self._services.cluster, settings.namespace, settings.lease_name)
        if said.missing and said.cluster not in (None, settings.cluster_name):
            log.warning("what the last leader missed is missing in %s, not here", naming.called(said.cluster or ""))
            return []
        if any(map(losses.is_broken, said.missing)):
            await checking.check(self._services)  # a good copy may be in place by now
        by = f"the note of the last leader in the Lease {settings.lease_name}"
        return [Named(seq=one.seq, hash=one.hash, by=by) for one in said.missing if not losses.is_broken(one)]

    def looked_for(self, names: Iterable[str]) -> None:
        """These were compared with the ledger: what is missing of them the ledger itself says from now on."""
        self._left -= set(names)

    def tell(self, health: LedgerHealth, *, leaving: bool) -> None:
        """Note what is missing now, and what was not looked for yet. A ledger that comes after an uninstall misses
        nothing."""
        if self._named is None:
            return
        left = (one.name for one in self._named if one.name in self._left)
        missing = () if leaving else dict.fromkeys((*left, *health.missing))
        leadership = self._services.leadership
        losses.tell(leadership.notes, missing, epoch=leadership.epoch, cluster=self._services.settings.cluster_name)
