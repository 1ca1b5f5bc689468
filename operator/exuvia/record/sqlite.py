"""A ledger in one file: SQLite in WAL mode, and what it says in words."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from exuvia import errors
from exuvia.record import leftovers, missing, unwritable

GOES_ON = "a running exuvia goes on by itself"
"""What is said of the way out where the operator and a command read the same words."""
_READ = "exuvia_reads"


def writing(path: Path, *, patience_ms: int) -> Engine:
    """Connections that write; the folder is made, and the file by the first of them, for its owner alone. Raises
    `errors.LedgerError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as trouble:
        raise _down(path, trouble.strerror or str(trouble)) from trouble
    leftovers.check(path)
    engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": patience_ms / 1000})
    event.listen(engine, "do_connect", partial(_for_its_owner, path))
    event.listen(engine, "connect", _durable)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def reading(path: Path, *, patience_ms: int, still: bool | None = None) -> Engine:
    """Connections that cannot write; also where nothing can be written beside the file either (`still`, found out here
    where it is None). Raises `errors.LedgerDown` where a part of it could not be read there."""
    alone = {"immutable": "1"} if (unwritable.still(path) if still is None else still) else {}
    engine = create_engine(
        URL.create("sqlite", database=f"file:{quote(str(path))}", query={"mode": "ro", "uri": "true", **alone}),
        connect_args={"timeout": patience_ms / 1000},
    )
    event.listen(engine, "connect", _own_transactions)
    event.listen(engine, "begin", _begin)
    return engine


def readers(engine: Engine) -> Engine:
    """The same connections for reading only: transactions that take no lock from a writer."""
    return engine.execution_options(**{_READ: True})


def probe(connection: Connection) -> None:
    """Write something that changes nothing."""
    connection.exec_driver_sql("PRAGMA user_version = 1")


def glance(path: Path, cluster: str, seq: int) -> bytes | None:
    """The hash of an entry as the file holds it now, by a connection of its own: what was changed under an open one is
    seen. None where there is no such entry. Raises `errors.LedgerError`, also where the file or its volume became
    read-only, which nothing but a write would tell otherwise; a lock is not waited for."""
    if path.exists() and not os.access(path, os.W_OK):
        raise _down(path, "it is read-only, or its volume is")
    uri = f"file:{quote(str(path))}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=0.1)) as connection:
            row = connection.execute(
                "SELECT hash FROM entries WHERE cluster = ? AND seq = ?", (cluster, seq)
            ).fetchone()
    except sqlite3.Error as trouble:
        raise explained(path, trouble) from trouble
    return None if row is None else bytes(row[0])


def explained(path: Path, trouble: DBAPIError | sqlite3.Error) -> errors.LedgerError:
    """One clear sentence for what the database said, and the remedy."""
    said = str((trouble.orig if isinstance(trouble, DBAPIError) else None) or trouble)
    if "locked" in said or "busy" in said:
        remedy = (
            "An import or a pruning of much holds it for a while: wait for that, and run it again. Else see which"
            " process holds it, and stop that one."
        )
        return errors.LedgerLocked(f"The ledger {path} is locked by another process.", remedy=remedy)
    if "malformed" in said or "not a database" in said or "corrupt" in said:
        other = "not a database" in said
        what = f"The ledger {path} is damaged{', or it is another file' if other else ''}: {said}."
        remedy = f"Put the last good copy in its place, and {GOES_ON}; {missing.WITHOUT_COPY}."
        return errors.LedgerCorrupt(what, remedy=f"Name the right file by --ledger. {remedy}" if other else remedy)
    if "no such table" in said:
        return errors.LedgerCorrupt(f"{path} is no ledger of exuvia.", remedy="Name the right file by --ledger.")
    if "full" in said or unwritable.full(path):
        why = said if "full" in said else f"its volume is full ({said})"
        return errors.LedgerDown(f"The ledger {path} cannot grow: {why}.", remedy=f"Free disk space; {GOES_ON}.")
    return _down(path, said)


def _down(path: Path, why: str) -> errors.LedgerDown:
    return errors.LedgerDown(
        f"The ledger {path} cannot be opened or written: {why}.",
        remedy=f"Mend the volume or its rights; {GOES_ON}.",
    )


def _for_its_owner(path: Path, *_: Any) -> None:
    """A file that is not there yet is begun so that nobody else may read it: it holds names of people, and their keys.
    What stands beside it gets the same rights. One that is there keeps its own; it is not opened here, for closing it
    would end this process's locks on it."""
    with suppress(OSError):  # what stands in the way is said when it is opened
        os.close(os.open(os.path.realpath(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _own_transactions(connection: sqlite3.Connection, _: Any) -> None:
    """Transactions are begun by us, not guessed by the driver."""
    connection.isolation_level = None


def _durable(connection: sqlite3.Connection, record: Any) -> None:
    """WAL with FULL: an acknowledged commit outlives a power loss. What is deleted is overwritten, also where a writer
    moves rows about, so that no copy of a key stays in a page."""
    _own_transactions(connection, record)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_immediate(connection: Connection) -> None:
    """Take the write lock at once: what is read in the transaction is what is written upon."""
    reads = connection.get_execution_options().get(_READ)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
