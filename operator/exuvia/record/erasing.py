"""Forgetting a person: the key to the name is destroyed, and that this was done is entered, with who and why.

The chain stays as it is and verifies; what the person did stays known as one person's. A copy of the ledger that was
made before still has the key.
"""

from __future__ import annotations

import json
import sqlite3
import time
from datetime import datetime

from sqlalchemy import Connection, delete, select

from exuvia import errors
from exuvia.model.facts import Fact, FactKind, Receipt
from exuvia.record import appending, holds, importing, opening, personal, protection, tables
from exuvia.record.places import Place

LOOK_SECONDS = 0.1


def erase(place: Place, name: str, *, by: str, reason: str, at: datetime, cluster: str | None = None) -> Receipt:
    """Destroy the key to a name; durable when it returns.

    A reason may be "". Raises `errors.InvalidObject` where nobody of that name is known, and where a hold keeps it;
    `errors.LedgerLocked` when the name was erased, but the key may still stand in the journal beside the file, because
    somebody reads it; `errors.LedgerError` as ever. Asked again, it empties the journal though nobody is known now.
    """
    engine = opening.open_for_writing(place)
    try:
        with opening.in_words(place), engine.connect() as connection:
            with connection.begin():
                receipt = _erase(connection, name, by, reason, at, cluster)
            _settle(connection, place, name, receipt)
    finally:
        engine.dispose()
    if receipt is None:
        remedy = "It was erased already, or never told, or is written differently."
        raise errors.InvalidObject(f"The ledger knows nobody of the name {name!r}.", place="subject", remedy=remedy)
    return receipt


def _erase(
    connection: Connection, name: str, by: str, reason: str, at: datetime, cluster: str | None
) -> Receipt | None:
    """None: nobody of that name is known."""
    writer = importing.writer_for(connection, cluster)
    opening.alone(connection, writer.cluster)
    subject = personal.known(connection, name)
    if not subject:
        return None
    _check_holds(connection, subject)
    with opening.removing(connection):
        connection.execute(delete(tables.subjects).where(tables.subjects.c.subject == subject))
    fact = Fact(kind=FactKind.ERASED, at=at, body={"subject": subject, "by": by, "reason": reason.strip()[:1024]})
    made = appending.add(connection, appending.head(connection, writer.cluster), fact, writer)
    assert made is not None, "an erasure is never a dead letter"
    return appending.receipt(made)


def _check_holds(connection: Connection, subject: str) -> None:
    """A hold on the person, and any that keeps a machine on which the person was by any word of the ledger."""
    own = {one.name for one in holds.active(connection) if one.subject == subject}
    keeping = own.union(protection.keeping(connection, _machines(connection, subject)))
    if keeping:
        raise errors.InvalidObject(
            f"The name may not be erased: held is {', '.join(sorted(keeping))}.",
            place="subject",
            remedy="See `exuvia ledger hold list`; it can be erased once the hold is released.",
        )


def _machines(connection: Connection, subject: str) -> set[str]:
    """Where the person was: corrected, withdrawn and refused sessions hold the name too."""
    sealed, table, letters = f"{personal.PREFIX}{subject}:", tables.sessions, tables.dead_letters
    found = set(connection.scalars(select(table.c.uid).where(table.c.user.startswith(sealed, autoescape=True))))
    for text in connection.scalars(select(letters.c.body).where(letters.c.body.contains(sealed, autoescape=True))):
        said = json.loads(text)["body"]
        found |= {str(said["uid"])} if str(said.get("user")).startswith(sealed) and said.get("uid") else set()
    return found


def _settle(connection: Connection, place: Place, name: str, receipt: Receipt | None) -> None:
    """The journal beside the file is emptied, so that the key does not stand there either; else it is told."""
    if connection.dialect.name != "sqlite":
        return
    why = _not_emptied(connection)
    if not why:
        return
    done = f"The ledger knows nobody of the name {name!r} (any more)"
    if receipt is not None:
        done = f"The name {name!r} was erased by entry {receipt.seq}"
    raise errors.LedgerLocked(
        f"{done}, but its key may still stand in {place}-wal, which could not be emptied into {place}: {why}.",
        remedy="End what reads the ledger, or let it come to its end, and run `exuvia ledger erase` again: the key is "
        "gone once that says only that the ledger knows nobody of the name.",
    )


def _not_emptied(connection: Connection) -> str:
    """Why the journal stays, or "". Who reads is waited for, `opening.PATIENCE_MS` and once more."""
    until = time.monotonic() + opening.PATIENCE_MS / 1000
    while True:
        try:
            busy, *_ = connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as trouble:
            return str(trouble)
        if not busy:
            return ""
        if time.monotonic() >= until:
            return "another process reads or writes the ledger"
        time.sleep(LOOK_SECONDS)
