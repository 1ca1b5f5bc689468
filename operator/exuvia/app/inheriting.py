"""What the leader before us missed in the ledger: found once, it is looked for by every leader after, until it is there
again or a person accepted it. Only the Lease knows of it where nobody else noted that entry."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from exuvia import errors
from exuvia.app import checking, losses
from exuvia.app.losses import Said
from exuvia.app.services import Services
from exuvia.model.facts import LedgerHealth
from exuvia.record import naming


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
        self._check: asyncio.Task[None] | None = None

    async def read(self) -> list[Named]:
        """Raises `errors.ClusterError`, `errors.InvalidObject`, `errors.LedgerError`: then it is not known (yet). What
        takes its time goes on meanwhile, until `end`."""
        if self._named is None:
            self._named = await self._noted()
            self._left = {one.name for one in self._named}
        return self._named

    async def _noted(self) -> list[Named]:
        settings = self._services.settings
        said = await losses.read(self._services.cluster, settings.namespace, settings.lease_name)
        self._must_be_of_our_chain(said)
        if any(map(losses.is_broken, said.missing)):
            self._must_be_checked()
        by = f"the note of the last leader in the Lease {settings.lease_name}"
        return [Named(seq=one.seq, hash=one.hash, by=by) for one in said.missing if not losses.is_broken(one)]

    def _must_be_of_our_chain(self, said: Said) -> None:
        """Ours would take the place of the only note of that loss, and its name may be a mistake."""
        settings = self._services.settings
        if not said.missing or said.cluster in (None, settings.cluster_name):
            return
        noted, ours = naming.called(said.cluster), naming.called(settings.cluster_name)
        raise errors.InvalidObject(
            f"the Lease {settings.lease_name} says what is missing in {noted}, and this exuvia writes {ours}",
            place=losses.KEY,
            remedy="Start it with the --cluster-name that it had; or, where that chain is given up, take the annotation"
            f" {losses.KEY} off that Lease.",
        )

    def _must_be_checked(self) -> None:
        """The last leader saw a broken chain; a good copy may be in place by now. Nothing waits for a whole chain."""
        if self._check is None:
            self._check = asyncio.create_task(checking.check(self._services))
        if not self._check.done():
            raise errors.LedgerDown("its chain is being checked, for the last leader saw it broken")
        done, self._check = self._check, None
        done.result()

    async def end(self) -> None:
        """With the term: nothing goes on."""
        if self._check is not None:
            self._check.cancel()
            await asyncio.gather(self._check, return_exceptions=True)

    def looked_for(self, names: Iterable[str]) -> None:
        """These were compared with the ledger: what is missing of them the ledger itself says from now on."""
        self._left -= set(names)

    def tell(self, health: LedgerHealth, *, uninstalled: bool) -> None:
        """Note what is missing now, and what was not looked for yet. A ledger that comes after an uninstall that is
        through misses nothing; one that is only asked for may be taken back."""
        if self._named is None and not uninstalled:
            return
        left = (one.name for one in self._named or () if one.name in self._left)
        missing = () if uninstalled else dict.fromkeys((*left, *health.missing))
        leadership = self._services.leadership
        losses.tell(leadership.notes, missing, epoch=leadership.epoch, cluster=self._services.settings.cluster_name)
