"""A person accepts a ledger that misses entries: one more entry in the chain, with who and why.

It may be added while the operator runs (that one sees it within seconds) and while it does not. It is entered under the
epoch that the ledger knows, so it takes leadership from nobody.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from exuvia import errors
from exuvia.model import facts
from exuvia.record import appending, chain, importing, missing, opening, places, queries
from exuvia.record.places import Place


def accept(place: Place, *, by: str, reason: str, at: datetime, cluster: str | None = None) -> facts.Receipt:
    """Add the acceptance; durable when it returns.

    Raises `errors.InvalidObject` without a reason, `errors.LedgerError` as ever. A chain that is damaged in itself
    cannot be accepted.
    """
    if not reason.strip():
        raise errors.InvalidObject("An acceptance needs a reason.", place="reason", remedy="Say why by --reason TEXT.")
    if isinstance(place, Path) and places.absent(place):
        raise places.nowhere(place)
    engine = opening.open_for_writing(place)
    try:
        with opening.in_words(place), engine.begin() as connection:
            writer = importing.writer_for(connection, cluster)
            opening.alone(connection, writer.cluster)
            _check_chain(place, connection, writer.cluster)
            fact = facts.accepted(by=by, reason=reason, at=at)
            made = appending.add(connection, appending.head(connection, writer.cluster), fact, writer)
            assert made is not None, "an acceptance is never a dead letter"
            return appending.receipt(made)
    finally:
        engine.dispose()


def _check_chain(place: Place, connection: Connection, cluster: str) -> None:
    found = chain.verify(queries.links(connection, cluster))
    if found.first_bad is not None:
        said = f"The ledger {place} is damaged: {found.problem}."
        raise errors.LedgerCorrupt(said, remedy=missing.way_out(place))
