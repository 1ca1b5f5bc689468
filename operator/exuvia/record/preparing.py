"""Making a database ready for the ledger, as its owner: the tables, the triggers that keep them, and a role that can
only add and read. The operator itself needs no more than that role, and never changes the schema."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, inspect, text

from exuvia import errors
from exuvia.record import guarding, opening, postgres, tables
from exuvia.record.places import Server

_NAME_LENGTH = 63


def prepare(server: Server, *, writer: str = "") -> bool:
    """Bring the schema up to date and guard it; with `writer` give that role SELECT and INSERT and nothing else.

    Returns whether the role was made: it has no password then. May be run again at any time. Raises
    `errors.InvalidObject` for a role that cannot be a writer and `errors.LedgerError`; nothing was changed then.
    """
    engine = postgres.writing(server, patience_ms=opening.PATIENCE_MS)
    try:
        _bring_up(engine, server)
        with opening.in_words(server), engine.begin() as connection:
            opening.alone(connection, opening.SCHEMA)
            return bool(writer) and _admit(connection, writer)
    finally:
        engine.dispose()


def vacant(server: Server) -> bool:
    """Whether the database has no tables, neither a ledger's nor others, and the role may make some. Reads only.
    Raises `errors.LedgerError`."""
    engine = postgres.reading(server)
    try:
        with opening.in_words(server), engine.begin() as connection:
            empty = postgres.revision(connection) is None and not inspect(connection).get_table_names()
            return empty and bool(connection.scalar(_MAKES_TABLES))
    finally:
        engine.dispose()


def begin(server: Server) -> bool:
    """Prepare a database that is vacant, for the role itself; any other is left as it is. Returns whether that was
    done, and by nobody else at the same moment. Raises `errors.LedgerError`; nothing was changed then."""
    if not vacant(server):
        return False
    engine = postgres.writing(server, patience_ms=opening.PATIENCE_MS)
    try:
        return _bring_up(engine, server)
    finally:
        engine.dispose()


def _bring_up(engine: Engine, server: Server) -> bool:
    """The schema as it must be, guarded, and nobody's but its owner's; whether there was none."""
    with opening.in_words(server), engine.begin() as connection:
        _check_encoding(server, connection)
    made = opening.migrate(engine, server)
    with opening.in_words(server), engine.begin() as connection:
        opening.alone(connection, opening.SCHEMA)
        guarding.guard(connection)
        connection.execute(text(f"REVOKE ALL ON {_tables()} FROM PUBLIC"))
    return made


def _check_encoding(server: Server, connection: Connection) -> None:
    found = connection.scalar(text("SHOW server_encoding"))
    if found != "UTF8":
        remedy = "Create one with ENCODING 'UTF8' TEMPLATE template0."
        raise errors.LedgerDown(f"The database {server} has the encoding {found}, not UTF8.", remedy=remedy)


def _admit(connection: Connection, role: str) -> bool:
    _check_role(connection, role)
    named, made = _quoted(role), not connection.scalar(_EXISTS, {"role": role})
    if made:
        _check_creates(connection, role)
        connection.execute(text(f"CREATE ROLE {named} LOGIN"))
    sequences = [f"GRANT USAGE ON SEQUENCE {one} TO {named}" for one in _sequences(connection)]
    for statement in (
        *sequences,
        f"REVOKE ALL ON {_tables()} FROM {named}",
        f"GRANT SELECT, INSERT ON {_tables()} TO {named}",
        f"GRANT SELECT ON alembic_version TO {named}",
        f"GRANT USAGE ON SCHEMA {_schema(connection)} TO {named}",
        f"GRANT CONNECT ON DATABASE {_quoted(str(connection.scalar(text('SELECT current_database()'))))} TO {named}",
    ):
        connection.execute(text(statement))
    return made


def _check_role(connection: Connection, role: str) -> None:
    """One who owns the tables, or rules the server, is held back by triggers alone: no writer."""
    if not 0 < len(role.encode()) <= _NAME_LENGTH or "\0" in role:
        raise errors.InvalidObject(f"{role!r} is no name of a role.", place="--writer")
    if connection.scalar(_MIGHTY, {"role": role}):
        raise errors.InvalidObject(
            f"The role {role} owns the database's tables or is a superuser, so it could change history.",
            place="--writer",
            remedy="Name another role; it is made where there is none.",
        )


def _check_creates(connection: Connection, role: str) -> None:
    if not connection.scalar(_CREATES):
        said = f"There is no role {role}, and this one may not create roles."
        raise errors.LedgerDown(said, remedy=f"Have it made (CREATE ROLE {_quoted(role)} LOGIN), and prepare again.")


def _sequences(connection: Connection) -> list[str]:
    """Those that number the rows of our tables; what else the schema has is none of ours."""
    numbered = [(name, table.autoincrement_column) for name, table in tables.metadata.tables.items()]
    asked = [{"table": _quoted(name), "column": column.name} for name, column in numbered if column is not None]
    found = (connection.scalar(_SEQUENCE, one) for one in asked)
    return [str(one) for one in found if one]


def _tables() -> str:
    return ", ".join(_quoted(one) for one in tables.metadata.tables)


def _schema(connection: Connection) -> str:
    return _quoted(str(connection.scalar(text("SELECT current_schema()"))))


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""').replace(":", "\\:")
    return f'"{escaped}"'


_CREATES = text("SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user")
_MAKES_TABLES = text("SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)")
_SEQUENCE = text("SELECT pg_get_serial_sequence(:table, :column)")
_EXISTS = text("SELECT 1 FROM pg_roles WHERE rolname = :role")
_MIGHTY = text(
    "SELECT r.rolsuper OR pg_has_role(r.oid, c.relowner, 'MEMBER') FROM pg_roles r, pg_class c"
    " WHERE r.rolname = :role AND c.oid = 'entries'::regclass"
)
