"""A ledger in a database of a PostgreSQL server: how it is connected, who may write at the same time, and what the
server says in words.

Writers run at READ COMMITTED and take an advisory lock on the name of their cluster first, until the transaction ends:
each later statement sees what the former writer committed, so the head that is read is the head. A snapshot for the
whole transaction would be taken before the lock is given, and would show an old head. Writers of different clusters do
not wait for one another. Readers run at REPEATABLE READ: all their questions are about one moment.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, create_engine, event, insert, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from exuvia import errors
from exuvia.record import tables
from exuvia.record.places import Server

_NET = {
    "application_name": "exuvia",
    "client_encoding": "UTF8",
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}
"""What holds unless the URL says otherwise. A server that is gone is noticed within seconds."""

_READ = "exuvia_reads"
_PROBE_BYTES = 16 * 1024
UNIQUE = "23505"
_STOPPED = frozenset({"57P01", "57P02", "57P03", "57P04", "57P05"})
_LOCKED = frozenset({"55P03", "40P01", "40001"})
_GOES_ON = "a running exuvia goes on by itself."


def writing(server: Server, *, patience_ms: int) -> Engine:
    """Connections that write. A lock of somebody else is waited for so long. Connects only when it is used."""
    engine = create_engine(
        "postgresql+psycopg://",
        connect_args=_arguments(server),
        isolation_level="READ COMMITTED",
        pool_size=2,
        pool_pre_ping=True,
    )

    def begin(connection: Connection) -> None:
        """Nothing is acknowledged that a crash of the server could take back, whatever its default is."""
        if not connection.get_execution_options().get(_READ):
            connection.execute(_BEGIN, {"patience": f"{patience_ms}ms"})

    def as_the_server_says(connection: Any, *_: Any) -> None:
        """After a use for reading the driver would ask for writes by force, also where the server wants none."""
        connection.read_only = None

    event.listen(engine, "connect", _refuse_lists)
    event.listen(engine, "begin", begin)
    event.listen(engine, "checkout", as_the_server_says)
    event.listen(engine, "do_executemany", _copied)
    return engine


def _copied(cursor: Any, _: str, rows: Sequence[Mapping[str, Any]], context: Any) -> bool:
    """Rows of one insert go by COPY: one statement that the server need not read value by value. It asks for the same
    right and says the same errors. Returns whether it was that."""
    if not context.isinsert or context.compiled.effective_returning:
        return False
    names = tuple(rows[0])
    columns = ", ".join(f'"{one}"' for one in names)
    with cursor.copy(f'COPY "{context.compiled.statement.table.name}" ({columns}) FROM STDIN') as copy:
        for row in rows:
            copy.write_row([row[one] for one in names])
    return True


def _refuse_lists(connection: Any, _: Any) -> None:
    """A list where a text belongs is a mistake in a fact; the driver would write it as an array."""
    from psycopg import DataError
    from psycopg.adapt import Dumper

    class Refused(Dumper):
        def dump(self, obj: Any) -> bytes:
            raise DataError(f"a {type(obj).__name__} where a text belongs")

    connection.adapters.register_dumper(list, Refused)


def reading(server: Server) -> Engine:
    """Connections that cannot write, each for one use."""
    engine = create_engine("postgresql+psycopg://", connect_args=_arguments(server), poolclass=NullPool)
    return readers(engine)


def readers(engine: Engine) -> Engine:
    """The same connections for reading only."""
    return engine.execution_options(**{_READ: True}, isolation_level="REPEATABLE READ", postgresql_readonly=True)


def alone(connection: Connection, cluster: str) -> None:
    """Wait until no other transaction writes the chain of that cluster, and let none in until ours ends."""
    connection.execute(_ALONE, {"name": f"exuvia/{cluster}"})


def probe(connection: Connection) -> None:
    """Write something of some size, and take it back: a server that cannot write says so at once."""
    row = {"cluster": "", "seq": -1, "hash": b"", "kind": "probe", "recorded": 0, "epoch": 0}
    connection.execute(insert(tables.entries), {**row, "body": secrets.token_hex(_PROBE_BYTES // 2)})
    connection.rollback()


def revision(connection: Connection) -> str | None:
    """Which schema the database has; None where it is no ledger."""
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def standby(connection: Connection) -> bool:
    """Whether the server only follows another one and takes no writes."""
    return bool(connection.scalar(text("SELECT pg_is_in_recovery()")))


def state(trouble: DBAPIError) -> str:
    """The SQLSTATE, or "" where no server answered."""
    return str(getattr(trouble.orig, "sqlstate", None) or "")


def cut(trouble: DBAPIError) -> bool:
    """Whether the connection is gone, so that what a COMMIT came to was not heard."""
    code = state(trouble)
    silent = not code and isinstance(trouble, OperationalError | InterfaceError)
    return trouble.connection_invalidated or silent or code[:2] == "08" or code in _STOPPED


def known(trouble: DBAPIError) -> bool:
    """Whether it says something of the server, not of a fact."""
    code = state(trouble)
    return cut(trouble) or code in _SAID or code in _LOCKED or code[:2] in _CLASSES


def explained(server: Server, trouble: DBAPIError) -> errors.LedgerError:
    """One clear sentence for what the server said, and the remedy. It never has a password in it."""
    code, told = state(trouble), said(trouble)
    if code in _LOCKED:
        remedy = "The operator waits, a command is to be run again; pg_stat_activity shows who holds it."
        return errors.LedgerLocked(f"The ledger {server} is locked by another writer.", remedy=remedy)
    found = _SAID.get(code) or _CLASSES.get(code[:2]) or next((it for word, it in _WORDS.items() if word in told), None)
    if found is None and cut(trouble):
        found = _CUT
    if found is _DENIED and _takes_away(trouble):
        found = _OWNERS
    what, remedy = found or ("The ledger {place} cannot be used: {said}.", f"Mend the server; {_GOES_ON}")
    kind = errors.LedgerCorrupt if code[:2] == "XX" else errors.LedgerDown
    return kind(what.format(place=server, said=told), remedy=remedy)


def _takes_away(trouble: DBAPIError) -> bool:
    """Whether rows should have been deleted: no writer may, whatever it is granted."""
    return (trouble.statement or "").lstrip().upper().startswith("DELETE")


def said(trouble: DBAPIError) -> str:
    """What the server or its library said, in one line without detail."""
    orig = trouble.orig
    primary = getattr(getattr(orig, "diag", None), "message_primary", None)
    return " ".join(str(primary or orig or trouble).split()).rstrip(".")


def unprepared(server: Server) -> errors.LedgerDown:
    """It has no tables of ours yet."""
    return errors.LedgerDown(f"The database {server} holds no ledger yet.", remedy=_prepare("Prepare it"))


def older(server: Server, found: str, wanted: str) -> errors.LedgerDown:
    """Its tables are those of an older exuvia, and we may not change them."""
    said = f"The ledger {server} has the schema {found}, this exuvia needs {wanted}."
    return errors.LedgerDown(said, remedy=_prepare("Bring it up to date"))


def follows(server: Server) -> errors.LedgerDown:
    """It is a hot standby."""
    return errors.LedgerDown(f"The server of the ledger {server} is a standby and cannot be written.", remedy=_PRIMARY)


def _prepare(what: str) -> str:
    return f"{what} as the owner of the database: exuvia ledger prepare --ledger URL --writer ROLE; then {_GOES_ON}"


def _arguments(server: Server) -> dict[str, Any]:
    return {**_NET, **dict(server.parameters)}


_BEGIN = text(
    "SELECT set_config('lock_timeout', :patience, true), set_config('enable_seqscan', 'off', true),"
    " CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', true) END"
)
"""A writer looks for rows by their keys. A plan that was made while a table was small would read all of it for ever."""

_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")

_PRIMARY = f"Name the primary, or add ?target_session_attrs=read-write to a URL with several hosts; {_GOES_ON}"
_PASSWORD = (
    "The server does not accept the password for the ledger {place}.",
    f"Give the right one by PGPASSWORD or a passfile (PGPASSFILE); {_GOES_ON}",
)
_FULL = ("The server of the ledger {place} has no room: {said}.", f"Free disk space on the server; {_GOES_ON}")
_AWAY = (
    "The server of the ledger {place} cannot be reached: {said}.",
    f"Start it, or name the right host and port by --ledger; {_GOES_ON}",
)
_CUT = (
    "The connection to the ledger {place} was cut: {said}.",
    f"See that the server runs; {_GOES_ON} A command is to be run again; `exuvia ledger query` shows what was entered.",
)
_RESTARTS = ("The server of the ledger {place} starts or stops: {said}.", f"Wait until it runs; {_GOES_ON}")
_DENIED = (
    "The role may not do this with the ledger {place}: {said}.",
    f"Grant its rights as the owner of the database: exuvia ledger prepare --ledger URL --writer ROLE; {_GOES_ON}",
)
_OWNERS = (
    "The role may not take anything out of the ledger {place}: {said}.",
    "A writer only adds and reads: to prune or to erase, run this again with the owner's URL (--ledger).",
)
_NOBODY = ("There is no such database or role for the ledger {place}: {said}.", "Create it, or name the right one.")
_READ_ONLY = ("The server of the ledger {place} takes no writes: {said}.", _PRIMARY)
_CROWDED = ("The server of the ledger {place} takes no more connections: {said}.", f"Raise its limit; {_GOES_ON}")
_UNPREPARED = ("The database {place} holds no ledger that this exuvia knows: {said}.", _prepare("Prepare it"))
_DAMAGED = ("The ledger {place} is damaged: {said}.", f"Restore the last good copy; {_GOES_ON}")

_SAID: dict[str, tuple[str, str]] = {
    "28P01": _PASSWORD,
    "28000": _DENIED,
    "3D000": _NOBODY,
    "25006": _READ_ONLY,
    "42501": _DENIED,
    "42P01": _UNPREPARED,
    "42703": _UNPREPARED,
    "53100": _FULL,
    "53300": _CROWDED,
    "57P01": _CUT,
    "57P02": _CUT,
    "57P03": _RESTARTS,
}
"""By SQLSTATE."""

_CLASSES = {"08": _CUT, "53": _FULL, "XX": _DAMAGED}

_WORDS: dict[str, tuple[str, str]] = {
    "password authentication failed": _PASSWORD,
    "no password supplied": _PASSWORD,
    "No space left": _FULL,
    "does not exist": _NOBODY,
    "no pg_hba.conf entry": _DENIED,
    "permission denied": _DENIED,
    "too many clients": _CROWDED,
    "remaining connection slots": _CROWDED,
    "starting up": _RESTARTS,
    "shutting down": _RESTARTS,
    "recovery mode": _RESTARTS,
    "session is read-only": _READ_ONLY,
    "session is not read-only": _READ_ONLY,
    "connection failed": _AWAY,
    "could not translate host name": _AWAY,
    "failed to resolve host": _AWAY,
    "connection timeout": _AWAY,
    "timeout expired": _AWAY,
    "Connection refused": _AWAY,
}
"""By what was said, where no connection came about: then there is no SQLSTATE. The first that fits counts."""
