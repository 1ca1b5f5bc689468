"""What a look at a licence pool is told by: counters, Events, and the log."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from exuvia.app import telling
from exuvia.app.pool_memory import Known
from exuvia.app.services import Services
from exuvia.model.reasons import EventReason
from exuvia.model.seat_views import PoolStep
from exuvia.model.seats import Returned
from exuvia.model.specs.license_pool import LicensePool
from exuvia.record.seat_spans import Spent
from exuvia.report.events import Event

log = logging.getLogger(__name__)

HIGHEST = "exuvia_license_high_water_seats"
HIGHEST_DEMAND = "exuvia_license_high_water_demanded_seats"
_HELD = "exuvia_license_seat_seconds_total"
_UNMET = "exuvia_license_unmet_demand_seat_seconds_total"
_SECOND = 1_000_000


def begin(services: Services, pool: LicensePool, spent: Spent) -> None:
    """The counters of a pool go on where the ledger left off."""
    for name, value in ((_HELD, spent.held), (_UNMET, spent.unmet)):
        services.tallies.raise_to(name, (pool.name,), value / _SECOND)


def count(services: Services, pool: LicensePool, known: Known, done: PoolStep) -> None:
    """For how long machines held a seat, or were without one, since the last look, and how late seats came back."""
    waited = max(0.0, services.clock.monotonic() - known.looked)
    services.tallies.add(_HELD, pool.name, by=len(known.seats.leases) * waited)
    services.tallies.add(_UNMET, pool.name, by=known.unmet * waited)
    for change in done.told:
        if isinstance(change, Returned) and change.died is not None:
            seconds = (change.at - change.died) / _SECOND
            services.durations.observe("exuvia_license_reclaim_latency_seconds", seconds, str(change.cause))


def tell(services: Services, pool: LicensePool, done: PoolStep, names: Mapping[str, str]) -> None:
    """An Event and a line for each note. `names`: of machines, also of those that are gone. One that died while nobody
    looked may have no name that is known; then it is about the pool, and the UID says which machine."""
    about = telling.ours(LicensePool.KIND, pool.name, pool.uid)
    for uid, note in done.notes:
        name = names.get(uid, "")
        machine = telling.node(name, uid) if name else None
        text = f"the machine with the UID {uid}: {note.text}" if uid and not name else note.text
        event = Event(
            regarding=machine or about,
            related=about if machine else None,
            reason=note.reason,
            note=text,
            warning=note.warning,
        )
        services.events.say(event)
        _log(pool, name, text, warning=note.warning)


def agent_missing(services: Services, pool: LicensePool, text: str) -> None:
    """No pod of the agent was ever seen."""
    about, reason = telling.ours(LicensePool.KIND, pool.name, pool.uid), EventReason.LICENSE_AGENT_NOT_FOUND
    services.events.say(Event(regarding=about, related=None, reason=reason, note=text, warning=True))
    _log(pool, "", text, warning=True)


def _log(pool: LicensePool, name: str, text: str, *, warning: bool) -> None:
    level = logging.WARNING if warning else logging.INFO
    said = f"machine {name}: {text}" if name else text
    log.log(level, "%s", said, extra={"pool": pool.name})
