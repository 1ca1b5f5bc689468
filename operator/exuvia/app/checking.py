"""Checking the ledger's chain from time to time, off the event loop: a change that nobody should have made is named,
counted, and from then on nothing new starts until a person decides."""

from __future__ import annotations

import asyncio
import logging

from sqlalchemy.exc import DBAPIError

from exuvia import errors
from exuvia.app.services import Services
from exuvia.model.facts import LedgerState
from exuvia.record import chain, opening, places, queries
from exuvia.record.places import Place

log = logging.getLogger(__name__)

FIRST_SECONDS = 60.0
PERIOD_SECONDS = 3600.0


class Checking:
    """Verifies once a minute after the start, and every hour."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def run(self) -> None:
        """For ever."""
        await asyncio.sleep(FIRST_SECONDS)
        while True:
            if self._services.ledger.health().state is LedgerState.FINE:
                await self._check()
            await asyncio.sleep(PERIOD_SECONDS)

    async def _check(self) -> None:
        try:
            await check(self._services)
        except errors.LedgerError as trouble:
            log.warning("the ledger was not checked: %s", trouble)


async def check(services: Services) -> None:
    """Once, now. A chain that is broken is not trusted from then on. Raises `errors.LedgerError`: it is not known."""
    settings = services.settings
    found = await asyncio.to_thread(verify, places.place(settings.ledger), settings.cluster_name)
    if found.first_bad is not None:
        services.tallies.add("exuvia_ledger_verify_failures_total")
        log.error("the ledger's chain is broken: %s", found.problem)
        await asyncio.to_thread(services.ledger.distrust_chain, found.first_bad)


def verify(place: Place, cluster: str) -> chain.Verified:
    """Walk the whole chain of a cluster."""
    engine = opening.open_for_reading(place)
    try:
        with engine.connect() as connection:
            return chain.verify(queries.links(connection, cluster))
    except DBAPIError as trouble:
        raise opening.explained(place, trouble) from trouble
    finally:
        engine.dispose()
