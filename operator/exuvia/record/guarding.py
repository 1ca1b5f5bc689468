"""History is never changed in place: triggers refuse every UPDATE, DELETE and TRUNCATE of the ledger's tables.

They hold for the owner too. Only `removing` lets rows be deleted, within one transaction that says so; nothing lets
them be changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, inspect, text

from exuvia.record import tables

KEEPS = "exuvia keeps its history: rows are only ever added"
_PREFIX = "exuvia_keeps_"
_SETTING = "exuvia.removing"


def guarded(connection: Connection) -> bool:
    """Whether every table has its triggers."""
    if _postgres(connection):
        wanted, asked = {_PREFIX + name for name in _there(connection)}, _POSTGRES_OURS
    else:
        wanted, asked = {name for name, _ in _sqlite_triggers(connection)}, _SQLITE_OURS
    return wanted <= set(connection.scalars(asked, {"like": f"{_PREFIX}%"}))


def guard(connection: Connection) -> None:
    """Put the triggers on every table that is there; those that are there already stay."""
    if _postgres(connection):
        connection.execute(text(_FUNCTION))
        for name in _there(connection):
            connection.execute(text(_POSTGRES.format(prefix=_PREFIX, table=name)))
        return
    for _, trigger in _sqlite_triggers(connection):
        connection.exec_driver_sql(trigger)


def unguard(connection: Connection) -> None:
    """Take the triggers off, for a migration: it puts them on again before it commits."""
    if _postgres(connection):
        for name, table in connection.execute(_POSTGRES_OURS, {"like": f"{_PREFIX}%"}).all():
            connection.execute(text(f'DROP TRIGGER "{name}" ON "{table}"'))
        return
    for name in connection.scalars(_SQLITE_OURS, {"like": f"{_PREFIX}%"}).all():
        connection.exec_driver_sql(f'DROP TRIGGER "{name}"')


@contextmanager
def removing(connection: Connection) -> Iterator[None]:
    """Within the block, and this transaction at most, rows may be deleted: for `prune` and `erase` alone.

    An UPDATE or TRUNCATE stays refused. On PostgreSQL the role needs the right to delete besides, which a writer role
    has not: only the owner removes. The caller has begun the transaction and commits it. When the block raises, the
    transaction must be rolled back.
    """
    if _postgres(connection):
        connection.execute(_SET, {"name": _SETTING, "value": "on"})
        yield
        connection.execute(_SET, {"name": _SETTING, "value": "off"})
        return
    deleting = [(name, sql) for name, sql in _sqlite_triggers(connection) if name.endswith("_delete")]
    for name, _ in deleting:
        connection.exec_driver_sql(f'DROP TRIGGER IF EXISTS "{name}"')
    yield
    for _, sql in deleting:
        connection.exec_driver_sql(sql)


def _postgres(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"


def _there(connection: Connection) -> list[str]:
    return sorted(set(inspect(connection).get_table_names()) & set(tables.metadata.tables))


def _sqlite_triggers(connection: Connection) -> Iterator[tuple[str, str]]:
    for table in _there(connection):
        for what in ("update", "delete"):
            name = f"{_PREFIX}{table}_{what}"
            yield name, _SQLITE.format(name=name, what=what.upper(), table=table, said=KEEPS)
    if tables.entries.name in _there(connection):
        yield _REPLACING, _SQLITE_REPLACING


_SET = text("SELECT set_config(:name, :value, true)")
_SQLITE_OURS = text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE :like")
_POSTGRES_OURS = text(
    "SELECT t.tgname, c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE t.tgname LIKE :like"
    " AND c.relnamespace = current_schema()::regnamespace AND t.tgenabled IN ('O', 'A')"
)
_SQLITE = (
    """CREATE TRIGGER IF NOT EXISTS "{name}" BEFORE {what} ON "{table}" BEGIN SELECT RAISE(ABORT, '{said}'); END"""
)
_REPLACING = f"{_PREFIX}entries_replace"
_SQLITE_REPLACING = f"""
CREATE TRIGGER IF NOT EXISTS "{_REPLACING}" BEFORE INSERT ON entries
WHEN EXISTS (SELECT 1 FROM entries WHERE cluster = NEW.cluster AND seq = NEW.seq)
BEGIN SELECT RAISE(ABORT, '{KEEPS}'); END
"""
"""INSERT OR REPLACE deletes a row, and no trigger of deleting is asked."""
_FUNCTION = f"""
CREATE OR REPLACE FUNCTION exuvia_keeps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('{_SETTING}', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION '{KEEPS}' USING ERRCODE = 'restrict_violation';
END $$
"""
_POSTGRES = """
CREATE OR REPLACE TRIGGER "{prefix}{table}" BEFORE UPDATE OR DELETE OR TRUNCATE ON "{table}"
FOR EACH STATEMENT EXECUTE FUNCTION exuvia_keeps()
"""
