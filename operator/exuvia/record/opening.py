"""Opening a ledger, wherever it is: its schema, who may write, and clear words when it cannot be used."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, ProgrammingError

from exuvia import errors
from exuvia.record import appending, guarding, places, postgres, rebuilding, sqlite
from exuvia.record.guarding import removing
from exuvia.record.places import Place, Server

__all__ = [
    "PATIENCE_MS",
    "SCHEMA",
    "alone",
    "crossed",
    "explained",
    "glance",
    "identity_of",
    "in_words",
    "migrate",
    "open_for_reading",
    "open_for_writing",
    "probe",
    "readers",
    "removing",
    "unheard",
]

log = logging.getLogger(__name__)

PATIENCE_MS = 10_000
SCHEMA = " schema"
"""Who changes tables, triggers or rights is `alone` by this name, which is no cluster's."""


def open_for_writing(place: Place, *, patience_ms: int | None = None) -> Engine:
    """The engine of a ledger that can be written. A lock of somebody else is waited for so long, by default
    `PATIENCE_MS`. A file is made and brought up to date; a database was prepared by its owner (`preparing.prepare`).
    Raises `errors.LedgerError`."""
    patience = PATIENCE_MS if patience_ms is None else patience_ms
    if isinstance(place, Server):
        return _checked(postgres.writing(place, patience_ms=patience), place, writes=True)
    engine = sqlite.writing(place, patience_ms=patience)
    try:
        migrate(engine, place)
    except BaseException:
        engine.dispose()
        raise
    return engine


def open_for_reading(place: Place, *, still: bool | None = None) -> Engine:
    """A read-only engine; `still`: of a file beside which nothing can be written, None to find that out. Raises
    `errors.LedgerError` when there is no such file or database, or it is no ledger."""
    if isinstance(place, Server):
        return _checked(postgres.reading(place), place, writes=False)
    if not place.is_file():
        raise places.nowhere(place)
    engine = sqlite.reading(place, patience_ms=PATIENCE_MS, still=still)
    try:
        with in_words(place), engine.connect() as connection:
            _check_revision(MigrationContext.configure(connection).get_current_revision(), place)
    except BaseException:
        engine.dispose()
        raise
    return engine


def readers(engine: Engine) -> Engine:
    """The same connections for reading only: transactions that take no lock from a writer."""
    return postgres.readers(engine) if engine.dialect.name == "postgresql" else sqlite.readers(engine)


def alone(connection: Connection, cluster: str) -> None:
    """Before the head of a chain is read to write after it: no other writer of that cluster until the transaction ends.
    In a file the transaction itself has been alone since it began."""
    if connection.dialect.name == "postgresql":
        postgres.alone(connection, cluster)


def probe(engine: Engine, place: Place) -> None:
    """Write something that changes nothing, so that a full or read-only volume is known at once."""
    with in_words(place), engine.begin() as connection:
        if isinstance(place, Server):
            postgres.probe(connection)
        else:
            sqlite.probe(connection)


def identity_of(place: Place) -> tuple[int, int] | None:
    """Device and inode of a file, or None where there is none: whether it is the same file as before. A database has
    none: whether it is the same is told by its head, in each transaction."""
    if isinstance(place, Server):
        return 0, 0
    try:
        found = place.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def glance(engine: Engine, place: Place, cluster: str, seq: int) -> bytes | None:
    """The hash of an entry as it stands there now, None where there is no such entry; of a file by a connection of its
    own, so that what was changed under an open one is seen. Raises `errors.LedgerError`; a lock is not waited for."""
    if isinstance(place, Path):
        return sqlite.glance(place, cluster, seq)
    with in_words(place), readers(engine).begin() as connection:
        if postgres.standby(connection):
            raise postgres.follows(place)
        return appending.hash_at(connection, cluster, seq)


@contextmanager
def in_words(place: Place) -> Iterator[None]:
    """What the database says becomes an `errors.LedgerError`; what it says of a fact, or of what was asked, becomes
    `InvalidObject`."""
    try:
        yield
    except UnicodeEncodeError as trouble:
        remedy = "Write it in UTF-8."
        raise errors.InvalidObject(f"{str(trouble.object)!r} is no text of UTF-8.", remedy=remedy) from trouble
    except DBAPIError as trouble:
        if _about_a_fact(place, trouble):
            said = postgres.said(trouble) if isinstance(place, Server) else str(trouble.orig or trouble)
            raise errors.InvalidObject(f"the ledger cannot hold this: {said}") from trouble
        raise explained(place, trouble) from trouble


def explained(place: Place, trouble: DBAPIError | sqlite3.Error) -> errors.LedgerError:
    """One clear sentence for what the database said, and the remedy."""
    if isinstance(place, Path):
        return sqlite.explained(place, trouble)
    assert isinstance(trouble, DBAPIError), "only SQLite is spoken to without SQLAlchemy"
    return postgres.explained(place, trouble)


def crossed(trouble: BaseException) -> bool:
    """Whether another cluster's writer entered the same row at the same moment: written again, it stands after it."""
    cause = trouble.__cause__
    return isinstance(cause, IntegrityError) and postgres.state(cause) == postgres.UNIQUE


def unheard(place: Place, trouble: BaseException) -> bool:
    """Whether trouble at a COMMIT leaves open what came of it: the connection was cut before the answer."""
    cause = trouble.__cause__
    return isinstance(place, Server) and isinstance(cause, DBAPIError) and postgres.cut(cause)


def migrate(engine: Engine, place: Place) -> bool:
    """Bring the schema up to date, and guard it; a schema newer than the program is left alone and named. Returns
    whether there was none before."""
    with in_words(place), engine.begin() as connection:
        alone(connection, SCHEMA)
        current = MigrationContext.configure(connection).get_current_revision()
        if current is not None or inspect(connection).get_table_names():
            _check_revision(current, place)
        if current != _script().get_current_head():
            guarding.unguard(connection)
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            rebuilding.rebuild(connection)
        if not guarding.guarded(connection):
            guarding.guard(connection)
    return current is None


def _checked(engine: Engine, place: Server, *, writes: bool) -> Engine:
    """A database that can be used as it is. The program never changes its schema."""
    try:
        with in_words(place), readers(engine).begin() as connection:
            found, wanted = postgres.revision(connection), _script().get_current_head()
            if found is None:
                raise postgres.unprepared(place)
            _check_revision(found, place)
            if found != wanted:
                raise postgres.older(place, found, str(wanted))
            if writes and postgres.standby(connection):
                raise postgres.follows(place)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _about_a_fact(place: Place, trouble: DBAPIError) -> bool:
    of_a_fact = isinstance(trouble, IntegrityError | DataError | ProgrammingError | InterfaceError)
    return of_a_fact and not (isinstance(place, Server) and postgres.known(trouble))


def _check_revision(current: str | None, place: Place) -> None:
    known = {one.revision for one in _script().walk_revisions()}
    if current is None and isinstance(place, Server):
        raise errors.LedgerCorrupt(f"The database {place} has tables of something else.", remedy="Make one of its own.")
    if current is None:
        raise errors.LedgerCorrupt(f"{place} is no ledger of exuvia.", remedy="Name the right file by --ledger.")
    if current not in known:
        raise errors.LedgerTooNew(
            f"The ledger {place} was written by a newer exuvia (schema {current}).", remedy="Update exuvia."
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "exuvia.record:migrations")
    return config


@lru_cache(maxsize=1)
def _script() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
