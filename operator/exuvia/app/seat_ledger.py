"""Seats of a pool in the ledger: what was entered of them, and entering what changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from exuvia.app.services import Services
from exuvia.app.settings import Settings
from exuvia.decide.seats import entries, recall
from exuvia.decide.seats.metering import moment
from exuvia.decide.seats.owing import Owing
from exuvia.model import facts
from exuvia.model.seats import Returned, SeatChange, Seats
from exuvia.record import lived, places, seat_entries, seat_spans
from exuvia.record.reading import reading
from exuvia.record.seat_spans import Spans, Spent

TOGETHER = 1000  # facts in one transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """The seats of one pool as the ledger has them, what the vendor is still to be told, for how long seats were held
    and wanted in vain, up to that moment, and the names of those that hold one, by UID, as far as they are known."""

    seats: Seats
    owed: tuple[Returned, ...] = ()
    spent: Spent = field(default_factory=Spent)
    names: Mapping[str, str] = field(default_factory=dict)


def remembered(settings: Settings, uid: str, at: int) -> Remembered:
    """All that is known of one pool, at a moment. `errors.LedgerError`."""
    owed, spans, cluster = Owing(), Spans(), settings.cluster_name
    with reading(places.place(settings.ledger)) as connection:
        found = spans.through(seat_entries.of_pool(connection, uid, cluster))
        seats = recall(owed.through(entries.read(body, since) for since, body in found), at=at)
        pruned = seat_spans.carried(connection, uid, cluster)
        names = lived.names(connection, [one.uid for one in seats.leases])
    left = spans.spent(uid, until=at)
    spent = Spent(held=pruned.held + left.held, unmet=pruned.unmet + left.unmet)
    return Remembered(seats=seats, owed=tuple(owed.left.values()), spent=spent, names=names)


def deleted(settings: Settings, there: set[str], at: int) -> dict[str, tuple[str, Seats, tuple[Returned, ...]]]:
    """UID -> name, seats and what the vendor is still to be told, of every pool that the ledger knows and that is not
    `there`. `errors.LedgerError`."""
    with reading(places.place(settings.ledger)) as connection:
        found = seat_entries.others(connection, there, settings.cluster_name)
    known = {uid: (name, remembered(settings, uid, at)) for uid, name in found.items()}
    return {uid: (name, one.seats, one.owed) for uid, (name, one) in known.items()}


async def enter(services: Services, pool: str, uid: str, told: Sequence[SeatChange]) -> None:
    """Have the changes of the pool of that name and UID durable. `errors.LedgerError`."""
    found = [facts.seat(entries.body(one, pool=pool, uid=uid), moment(one.at)) for one in told]
    for first in range(0, len(found), TOGETHER):
        await services.ledger.append(*found[first : first + TOGETHER])
