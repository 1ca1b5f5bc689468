"""Accepting a ledger that misses entries: one entry with a name and a reason, chained on what is there."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

from sqlalchemy import select

from exuvia import errors
from exuvia.model import facts
from exuvia.model.facts import LedgerState, Receipt
from exuvia.record import chain, opening, queries, tables
from exuvia.record.ledger import Ledger

PATIENCE_SECONDS = 15.0


def accept(path: Path, *, by: str, reason: str, now: datetime) -> Receipt:
    """Durable when it returns. Raises `errors.LedgerError`; a chain that is damaged in itself cannot be accepted."""
    cluster, epoch = _leadership(path)
    ledger = Ledger(path, cluster=cluster, epoch=lambda: epoch)
    ledger.start()
    try:
        return asyncio.run(_append(ledger, facts.accepted(by=by, reason=reason, at=now)))
    finally:
        ledger.close()


def _leadership(path: Path) -> tuple[str, int]:
    """For whom it is written, and under which leadership it was last: the entry belongs to the same."""
    engine = opening.open_for_reading(path)
    try:
        with engine.connect() as connection:
            found = chain.verify(queries.links(connection))
            if found.first_bad is not None:
                raise errors.LedgerCorrupt(
                    f"The ledger {path} is damaged: {found.problem}.", remedy="Put the last good copy in its place."
                )
            table = tables.leadership
            row = connection.execute(select(table.c.cluster, table.c.epoch).order_by(table.c.epoch.desc())).first()
            return ("", 0) if row is None else (str(row.cluster), int(row.epoch))
    finally:
        engine.dispose()


async def _append(ledger: Ledger, fact: facts.Fact) -> Receipt:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while ledger.health().state is not LedgerState.FINE:
            if ledger.health().state is LedgerState.LOCKED:
                raise errors.LedgerLocked(ledger.health().message)
            await asyncio.sleep(0.05)
        return await ledger.append(fact)
