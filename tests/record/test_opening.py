"""Opening: the schema is that of the code, made in one piece, and what is there already is not made again."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from exuvia import errors
from exuvia.record import opening, tables
from exuvia.record import sqlite as sqlite_
from tests.record import world


def test_migrations_make_the_tables_of_the_code(tmp_path: Path) -> None:
    with world.written(tmp_path / "l.db") as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
        revision = connection.scalar(text("select version_num from alembic_version"))
    assert [revision] == opening._script().get_heads(), "one line of migrations"


def test_a_new_file_and_what_stands_beside_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    """It holds names of people and the keys to them; from the first byte on."""
    before = os.umask(0)
    try:
        engine = opening.open_for_writing(tmp_path / "l.db")
        with engine.begin() as connection:
            sqlite_.probe(connection)
            found = {one.name: stat.S_IMODE(one.stat().st_mode) for one in tmp_path.iterdir()}
        engine.dispose()
    finally:
        os.umask(before)
    assert found == {"l.db": 0o600, "l.db-wal": 0o600, "l.db-shm": 0o600}


def test_a_file_that_is_there_keeps_its_rights(tmp_path: Path) -> None:
    file = tmp_path / "l.db"
    opening.open_for_writing(file).dispose()
    file.chmod(0o640)
    with world.written(file, world.birth("A")):
        pass
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_opening_again_keeps_what_is_there(tmp_path: Path) -> None:
    with world.written(tmp_path / "l.db", world.birth("A")):
        pass
    with world.written(tmp_path / "l.db", world.birth("B")) as connection:
        assert connection.scalar(text("select count(*) from entries")) == 2


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    original = ScriptDirectory.run_env

    def run_then_break(self: ScriptDirectory) -> None:
        original(self)
        broken()

    monkeypatch.setattr(ScriptDirectory, "run_env", run_then_break)
    path = tmp_path / "l.db"
    with pytest.raises(sqlite3.OperationalError):
        opening.open_for_writing(path)
    monkeypatch.undo()
    with sqlite3.connect(path) as connection:
        assert connection.execute("select count(*) from sqlite_master").fetchone() == (0,)
    connection.close()
    with world.written(path, world.birth("A")):
        pass


def test_commits_are_durable_and_locks_patient(tmp_path: Path) -> None:
    with world.written(tmp_path / "l.db") as connection:
        assert connection.exec_driver_sql("pragma journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("pragma synchronous").scalar() == 2
        assert connection.exec_driver_sql("pragma busy_timeout").scalar() == 10_000


@pytest.mark.parametrize(
    ("said", "kind", "word"),
    [
        ("database is locked", errors.LedgerLocked, "locked by another process"),
        ("database disk image is malformed", errors.LedgerCorrupt, "is damaged"),
        ("no such table: entries", errors.LedgerCorrupt, "no ledger of exuvia"),
        ("database or disk is full", errors.LedgerDown, "cannot grow"),
        ("disk I/O error", errors.LedgerDown, "cannot be opened or written"),
        ("attempt to write a readonly database", errors.LedgerDown, "cannot be opened or written"),
    ],
)
def test_what_the_database_says_is_said_in_words(
    tmp_path: Path, said: str, kind: type[errors.LedgerError], word: str
) -> None:
    trouble = opening.explained(tmp_path / "l.db", DBAPIError("select", {}, sqlite3.OperationalError(said)))
    assert type(trouble) is kind
    assert word in str(trouble)
    assert trouble.remedy
