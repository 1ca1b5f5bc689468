"""Opening a ledger: the file, its schema, and clear words when it cannot be used."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, ProgrammingError

from exuvia import errors
from exuvia.record import rebuilding

PATIENCE_MS = 10_000
_READ = "exuvia_reads"


def open_for_writing(path: Path, *, patience_ms: int | None = None) -> Engine:
    """The engine of a file that exists afterwards, its schema brought up to date. A lock of somebody else is waited for
    so long, by default `PATIENCE_MS`. Raises `errors.LedgerError`."""
    patience = PATIENCE_MS if patience_ms is None else patience_ms
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as trouble:
        raise _down(path, trouble.strerror or str(trouble)) from trouble
    engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": patience / 1000})
    event.listen(engine, "connect", _durable)
    event.listen(engine, "begin", _begin_immediate)
    try:
        migrate(engine, path)
    except BaseException:
        engine.dispose()
        raise
    return engine


def open_for_reading(path: Path) -> Engine:
    """A read-only engine. Raises `errors.LedgerError` when there is no such file, or it is no ledger."""
    if not path.is_file():
        raise errors.LedgerDown(f"There is no ledger at {path}.", remedy="Name it by --ledger.")
    engine = create_engine(
        URL.create("sqlite", database=f"file:{quote(str(path))}", query={"mode": "ro", "uri": "true"}),
        connect_args={"timeout": PATIENCE_MS / 1000},
    )
    event.listen(engine, "connect", _own_transactions)
    event.listen(engine, "begin", _begin)
    try:
        with in_words(path), engine.connect() as connection:
            _check_revision(MigrationContext.configure(connection).get_current_revision(), path)
    except BaseException:
        engine.dispose()
        raise
    return engine


def readers(engine: Engine) -> Engine:
    """The same connections for reading only: transactions that take no lock from a writer."""
    return engine.execution_options(**{_READ: True})


def probe(engine: Engine, path: Path) -> None:
    """Write something that changes nothing, so that a full or read-only volume is known at once."""
    with in_words(path), engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA user_version = 1")


def identity_of(path: Path) -> tuple[int, int] | None:
    """Device and inode of a file, or None where there is none: whether it is the same file as before."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def glance(path: Path, cluster: str, seq: int) -> bytes | None:
    """The hash of an entry as the file holds it now, by a connection of its own: what was changed under an open one is
    seen. None where there is no such entry. Raises `errors.LedgerError`; a lock is not waited for."""
    uri = f"file:{quote(str(path))}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=0.1)) as connection:
            row = connection.execute(
                "SELECT hash FROM entries WHERE cluster = ? AND seq = ?", (cluster, seq)
            ).fetchone()
    except sqlite3.Error as trouble:
        raise explained(path, trouble) from trouble
    return None if row is None else bytes(row[0])


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """What the database says becomes an `errors.LedgerError`; what it says of a fact becomes `InvalidObject`."""
    try:
        yield
    except (IntegrityError, DataError, ProgrammingError, InterfaceError) as trouble:
        raise errors.InvalidObject(f"the ledger cannot hold this: {trouble.orig or trouble}") from trouble
    except DBAPIError as trouble:
        raise explained(path, trouble) from trouble


def migrate(engine: Engine, path: Path) -> None:
    """Bring the schema up to date; a schema newer than the program is left alone and named."""
    with in_words(path), engine.begin() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
        if current is not None or inspect(connection).get_table_names():
            _check_revision(current, path)
        if current == _script().get_current_head():
            return
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        rebuilding.rebuild(connection)


def explained(path: Path, trouble: DBAPIError | sqlite3.Error) -> errors.LedgerError:
    """One clear sentence for what the database said, and the remedy."""
    said = str((trouble.orig if isinstance(trouble, DBAPIError) else None) or trouble)
    if "locked" in said or "busy" in said:
        remedy = "See which process holds it, and stop that one."
        return errors.LedgerLocked(f"The ledger {path} is locked by another process.", remedy=remedy)
    if "malformed" in said or "not a database" in said or "corrupt" in said:
        remedy = "Put the last good copy in its place; exuvia goes on by itself."
        return errors.LedgerCorrupt(f"The ledger {path} is damaged: {said}.", remedy=remedy)
    if "no such table" in said:
        return errors.LedgerCorrupt(f"{path} is no ledger of exuvia.", remedy="Name the right file by --ledger.")
    if "full" in said:
        return errors.LedgerDown(f"The ledger {path} cannot grow: {said}.", remedy="Free disk space; exuvia goes on.")
    return _down(path, said)


def _down(path: Path, why: str) -> errors.LedgerDown:
    return errors.LedgerDown(
        f"The ledger {path} cannot be opened or written: {why}.",
        remedy="Mend the volume or its rights; exuvia goes on by itself.",
    )


def _own_transactions(connection: sqlite3.Connection, _: Any) -> None:
    """Transactions are begun by us, not guessed by the driver."""
    connection.isolation_level = None


def _durable(connection: sqlite3.Connection, record: Any) -> None:
    """WAL with FULL: an acknowledged commit outlives a power loss."""
    _own_transactions(connection, record)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_immediate(connection: Connection) -> None:
    """Take the write lock at once: what is read in the transaction is what is written upon."""
    reads = connection.get_execution_options().get(_READ)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _check_revision(current: str | None, path: Path) -> None:
    known = {one.revision for one in _script().walk_revisions()}
    if current is None:
        raise errors.LedgerCorrupt(f"{path} is no ledger of exuvia.", remedy="Name the right file by --ledger.")
    if current not in known:
        raise errors.LedgerTooNew(
            f"The ledger {path} was written by a newer exuvia (schema {current}).", remedy="Update exuvia."
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "exuvia.record:migrations")
    return config


def _script() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
