"""What lasts on living machines, as facts with a beginning and an end: being frozen, not being Ready, a Lease that
nobody renews. Compared with what stands open in the ledger, so that a crash neither loses nor doubles an edge."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from exuvia import errors
from exuvia.app.services import Services
from exuvia.decide.quarantine import asking
from exuvia.model import facts
from exuvia.model.facts import Fact, GapKind
from exuvia.model.instances import Instance
from exuvia.model.specs.quarantine import Quarantine
from exuvia.observe import leases
from exuvia.observe.leases import Renewal
from exuvia.record import standing
from exuvia.record.reading import reading

log = logging.getLogger(__name__)

PERIOD_SECONDS = 1.0
LASTED = timedelta(seconds=40)
"""What is over sooner is no gap: so long a Lease of a kubelet holds, too."""

GAPS_SECONDS = 10.0
LEASES_SECONDS = 30.0
"""How often Leases are listed, and only while a machine is not Ready: a kubelet that renews none is not Ready soon."""

Open = dict[tuple[str, GapKind], datetime]


class Lasting:
    """Runs with a term; looks each second."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._loads = 0
        self._frozen: dict[str, datetime] = {}
        self._froze: set[tuple[str, datetime]] = set()
        self._gaps: Open = {}
        self._renewals: Mapping[str, Renewal] = {}
        self._listed = self._looked = float("-inf")
        self._asked: datetime | None = None
        self._trouble = ""

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(PERIOD_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Tell what began or ended since the last look. Nothing while the past is not known."""
        if not (self._services.past_known and self._services.chronicle.loaded) or not await self._recalled():
            return
        view, now = self._services.view, self._services.clock.now()
        living = {one.uid: one for one in view.nodes.store}
        self._services.scribe.note(*self._freezes(tuple(view.all_quarantines()), living, now))
        if self._services.clock.monotonic() - self._looked >= GAPS_SECONDS:
            self._looked = self._services.clock.monotonic()
            await self._list_leases(living, now)
            self._services.scribe.note(*self._missing(living, now))

    async def _recalled(self) -> bool:
        """Whether it is known what stands open by the ledger: read once a term, and after facts were lost."""
        services, loads = self._services, self._services.chronicle.loads
        if loads == self._loads:
            return True
        try:
            if not await services.scribe.flush():
                return False
            machines = {one.spec.instance.uid for one in services.view.all_quarantines()}
            self._frozen, self._froze, self._gaps = await asyncio.to_thread(self._read, machines)
        except errors.LedgerError as trouble:
            log.warning("what lasts on machines waits for the ledger: %s", trouble)
            return False
        self._loads = loads
        return True

    def _read(self, machines: Iterable[str]) -> tuple[dict[str, datetime], set[tuple[str, datetime]], Open]:
        cluster = self._services.settings.cluster_name
        with reading(self._services.ledger.place) as connection:
            frozen, froze = standing.freezes(connection, cluster), standing.froze(connection, machines)
            return frozen, froze, standing.gaps(connection, cluster)

    def _freezes(
        self, quarantines: Sequence[Quarantine], living: Mapping[str, Instance], now: datetime
    ) -> Iterator[Fact]:
        """A freeze ends with its Quarantine, or with the machine."""
        open_ = {one.spec.instance.uid for one in quarantines if one.open}
        for one in quarantines:
            uid, since, ended = one.spec.instance.uid, frozen_since(one), one.status.finished_at
            if since is None or (uid, since) in self._froze:
                continue
            if one.open and uid in living:
                self._froze.add((uid, since))
                self._frozen[uid] = since
                yield facts.frozen(uid=uid, began=since)
            elif not one.open and ended is not None:  # while the ledger was away
                self._froze.add((uid, since))
                yield facts.frozen(uid=uid, began=since, ended=max(since, ended))
        for uid in [one for one in self._frozen if one not in open_ or one not in living]:
            began = self._frozen.pop(uid)
            over = [one.status.finished_at for one in quarantines if one.spec.instance.uid == uid and not one.open]
            until = max((at for at in over if at is not None and at >= began), default=now) if uid in living else now
            yield facts.frozen(uid=uid, began=began, ended=max(began, until))

    def _missing(self, living: Mapping[str, Instance], now: datetime) -> Iterator[Fact]:
        for uid, what in [one for one in self._gaps if one[0] not in living]:
            del self._gaps[uid, what]  # its death ended it
        for machine in living.values():
            if machine.uid in self._services.chronicle.ready_once:
                yield from self._readiness(machine, now)
        for machine in living.values() if self._renewals else ():
            yield from self._renewing(machine)

    def _readiness(self, machine: Instance, now: datetime) -> Iterator[Fact]:
        since = machine.not_ready_since
        if since is not None or (machine.uid, GapKind.NOT_READY) in self._gaps:
            ready = machine.condition("Ready")
            yield from self._edges(machine, GapKind.NOT_READY, since, ready.since if ready else None, now)

    def _renewing(self, machine: Instance) -> Iterator[Fact]:
        """As it was when the Leases were listed: later renewals are not known yet."""
        renewal, asked = self._renewal(machine), self._asked
        if renewal is not None and asked is not None:
            since = renewal.at if asked - renewal.at > max(LASTED, renewal.lasts) else None
            yield from self._edges(machine, GapKind.LEASE, since, renewal.at, asked)

    def _edges(
        self, machine: Instance, what: GapKind, since: datetime | None, ended: datetime | None, now: datetime
    ) -> Iterator[Fact]:
        """One fact when it has lasted, one at its end."""
        key = (machine.uid, what)
        began = self._gaps.get(key)
        if began is None and since is not None and now - since >= LASTED:
            self._gaps[key] = since
            yield facts.gap(uid=machine.uid, what=what, began=since)
        elif began is not None and since is None:
            del self._gaps[key]
            yield facts.gap(uid=machine.uid, what=what, began=began, ended=max(began, ended or now))

    def _renewal(self, machine: Instance) -> Renewal | None:
        """The last of its own Lease; a former machine of its name had another."""
        found = self._renewals.get(machine.name)
        if found is None or found.at < machine.born or (found.owner and found.owner != machine.uid):
            return None
        return found

    async def _list_leases(self, living: Mapping[str, Instance], now: datetime) -> None:
        wanted = any(what is GapKind.LEASE for _, what in self._gaps) or any(
            _lasts(one, now) and one.uid in self._services.chronicle.ready_once for one in living.values()
        )
        if not wanted:
            self._renewals = {}
            return
        monotonic = self._services.clock.monotonic()
        if monotonic - self._listed < LEASES_SECONDS:
            return
        self._listed, self._asked = monotonic, now
        try:
            self._renewals = await leases.renewals(self._services.client)
            self._trouble = ""
        except errors.ClusterError as trouble:
            self._renewals = {}
            self._say(str(trouble))

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            log.warning("node leases cannot be listed, gaps of them are not told: %s", trouble)


def frozen_since(quarantine: Quarantine) -> datetime | None:
    """Since when a machine is, or was, frozen and cut off; None where it is not, or only in part: then it counts as
    exposed."""
    isolation = quarantine.status.isolation
    cut_off = isolation is not None and (isolation.was or isolation.state) == "Isolated"
    return asking.marked_at(quarantine) if cut_off else None


def _lasts(machine: Instance, now: datetime) -> bool:
    since = machine.not_ready_since
    return since is not None and now - since >= LASTED
