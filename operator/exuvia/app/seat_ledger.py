"""Seats of a pool in the ledger: what was entered of them, and entering what changed."""

from __future__ import annotations

from collections.abc import Sequence

from exuvia.app.services import Services
from exuvia.app.settings import Settings
from exuvia.decide.seats import entries, recall
from exuvia.decide.seats.metering import moment
from exuvia.decide.seats.owing import Owing
from exuvia.model import facts
from exuvia.model.seats import Returned, SeatChange, Seats
from exuvia.record import places, seat_entries
from exuvia.record.reading import reading

TOGETHER = 1000  # facts in one transaction


def remembered(settings: Settings, uid: str, at: int) -> tuple[Seats, tuple[Returned, ...]]:
    """The seats of one pool as the ledger has them, and what the vendor is still to be told. `errors.LedgerError`."""
    owed = Owing()
    with reading(places.place(settings.ledger)) as connection:
        found = seat_entries.of_pool(connection, uid, settings.cluster_name)
        seats = recall(owed.through(entries.read(body, since) for since, body in found), at=at)
    return seats, tuple(owed.left.values())


def deleted(settings: Settings, there: set[str], at: int) -> dict[str, tuple[str, Seats, tuple[Returned, ...]]]:
    """UID -> name, seats and what the vendor is still to be told, of every pool that the ledger knows and that is not
    `there`. `errors.LedgerError`."""
    with reading(places.place(settings.ledger)) as connection:
        found = seat_entries.others(connection, there, settings.cluster_name)
    return {uid: (name, *remembered(settings, uid, at)) for uid, name in found.items()}


async def enter(services: Services, pool: str, uid: str, told: Sequence[SeatChange]) -> None:
    """Have the changes of the pool of that name and UID durable. `errors.LedgerError`."""
    found = [facts.seat(entries.body(one, pool=pool, uid=uid), moment(one.at)) for one in told]
    for first in range(0, len(found), TOGETHER):
        await services.ledger.append(*found[first : first + TOGETHER])
