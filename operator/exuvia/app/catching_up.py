"""What happened between two leaders: births and deaths that nobody watched are told by the next one, each once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from exuvia.app import sightings
from exuvia.app.services import Services
from exuvia.app.sightings import Sight, Sighting
from exuvia.model.facts import DeathReason
from exuvia.model.instances import Instance
from exuvia.observe.store import version
from exuvia.record import places, trust
from exuvia.record.places import Place
from exuvia.record.reading import reading

log = logging.getLogger(__name__)

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meanwhile:
    """`last`: until when everything is in the ledger; None: nobody noted it. `sights`: what came and went since."""

    last: Sighting | None = None
    sights: list[Sight] = field(default_factory=list)
    gone: frozenset[str] = frozenset()

    @property
    def machines(self) -> frozenset[str]:
        """UIDs of those of which it must be known whether the ledger knows their lives."""
        return self.gone | {one.instance.uid for one in self.sights}

    @property
    def names(self) -> frozenset[str]:
        """Names that machines were born with meanwhile."""
        return frozenset(one.instance.name for one in self.sights if not one.gone)


NOTHING = Meanwhile()


async def ask(services: Services) -> Meanwhile:
    """Ask Lease, ledger and API server. What they do not say is not known: then deaths have a wider interval.

    Raises `errors.ClusterError`, `errors.LedgerError` where Lease or ledger cannot be read now: ask again.
    """
    view, settings = services.view, services.settings
    gone = frozenset(one.uid for one in view.nodes.store.gone())
    last = await sightings.read(services.cluster, settings.namespace, settings.lease_name)
    if last is None:
        return Meanwhile(gone=gone)
    last = await asyncio.to_thread(bounded, places.place(settings.ledger), settings.cluster_name, last)
    nodes = view.nodes
    sights = await sightings.replay(services.client, last, nodes.version, nodes.store.newest)
    if any(not one.gone and sightings.refuted(last, one.instance) for one in sights):
        log.warning("the last leader saw machines later than it noted; what went since then has a wider interval")
        return Meanwhile(sights=sightings.doubted(last, sights), gone=gone)
    return Meanwhile(last=last, sights=sights, gone=gone)


def bounded(place: Place, cluster: str, last: Sighting) -> Sighting:
    """The note as far as it is about this ledger: where entries were lost since, it speaks for what is not there any
    more, and nothing is known but what the rest proves. Raises `errors.LedgerError`."""
    with reading(place) as connection:
        known_by = last.known_by or trust.last_acceptance(connection, cluster, until=last.at)
        if trust.last_acceptance(connection, cluster) == known_by:
            return last
        proven = trust.proven(connection, cluster, known_by)
    until = _LONG_AGO if proven is None else proven - sightings.DELAY
    log.warning("entries of the ledger were lost: who went since %s has an interval", until)
    return replace(last, at=min(last.at, until))


def tell(services: Services, meanwhile: Meanwhile, known: Iterable[str], removed: Mapping[str, str]) -> None:
    """Tell the chronicle, which holds the ledger's past by now, and count. `known`: those of `meanwhile.machines` whose
    lives the ledger knows; `removed`: UID of a machine that exuvia removed -> the Rotation that did."""
    recorded = set(known)
    store, chronicle = services.view.nodes.store, services.chronicle
    namesakes = _by_name((*store.gone(), *store))
    for sight, heir in zip(meanwhile.sights, sightings.heirs(meanwhile.sights), strict=True):
        machine = sight.instance
        if not sight.gone:
            if machine.uid not in recorded and chronicle.seen(machine):
                services.tallies.add("exuvia_instance_births_total", str(machine.kind), machine.pool)
            continue
        _tell_death(services, machine, sight.since, heir or _heir(namesakes, machine), removed)
    for machine in sorted(store.gone(), key=_age):  # seen to go, before the past was known
        since = max(meanwhile.last.at, machine.born) if meanwhile.last else machine.born
        _tell_death(services, machine, since, _heir(namesakes, machine), removed)
    living = {one.uid: one for one in store}
    running = {one.uid for one in services.view.pods.store if one.node and not one.finished}
    last = meanwhile.last.at if meanwhile.last else None
    for life, reason in chronicle.settle(living, running, last, removed):
        services.tallies.add("exuvia_instance_deaths_total", life.kind, life.pool, str(reason))


def _tell_death(
    services: Services, machine: Instance, since: datetime, heir: datetime | None, removed: Mapping[str, str]
) -> None:
    ours = removed.get(machine.uid, "")
    reason, by = (DeathReason.EXUVIA, ours) if ours else services.chronicle.reason_of(machine, since)
    if services.chronicle.missed(machine, reason, by, since, heir):
        services.tallies.add("exuvia_instance_deaths_total", str(machine.kind), machine.pool, str(reason))


def _by_name(machines: Iterable[Instance]) -> dict[str, list[Instance]]:
    found: dict[str, list[Instance]] = {}
    for one in machines:
        found.setdefault(one.name, []).append(one)
    return found


def _heir(namesakes: Mapping[str, list[Instance]], machine: Instance) -> datetime | None:
    """When the next machine of its name was born: their lives follow each other, and so do their resourceVersions."""
    later = [one for one in namesakes.get(machine.name, ()) if _age(one) > _age(machine)]
    return min(later, key=_age).born if later else None


def _age(machine: Instance) -> int:
    return version(machine.resource_version)
