"""Reading a ledger that somebody else may be writing: for a standby, and for the commands that answer questions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from sqlalchemy import Connection

from exuvia.record import opening, unwritable
from exuvia.record.places import Place, Server


@contextmanager
def reading(place: Place) -> Iterator[Connection]:
    """A read-only connection that sees one moment of the ledger. Holds up no writer. Raises `errors.LedgerError`, also
    at the end of the block where what was read does not count."""
    with nullcontext(False) if isinstance(place, Server) else unwritable.unchanged(place) as still:
        engine = opening.open_for_reading(place, still=still)
        try:
            with opening.in_words(place), engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()
