"""History is never changed in place, on either database; only what says so may delete, and only for one transaction."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, text, update

from exuvia import errors
from exuvia.record import guarding, opening, tables
from exuvia.record.places import Place, Server
from tests.record import world
from tests.record.conftest import Owner

entries = tables.entries


def count(connection: Connection) -> int:
    return int(connection.scalar(text("select count(*) from entries")) or 0)


def refused(place: Place, statement: str) -> str:
    """What is said to who owns the ledger."""
    engine = opening.open_for_writing(place)
    with pytest.raises(errors.InvalidObject) as caught, opening.in_words(place), engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()
    return str(caught.value)


def test_nobody_changes_or_deletes_a_row(place: Place, owner: Owner) -> None:
    with world.written(place, world.birth("A")):
        pass
    for table in ("entries", "lives", "identities", "mentions"):
        assert guarding.KEEPS in refused(owner(place), f"UPDATE {table} SET seq = seq")
        assert guarding.KEEPS in refused(owner(place), f"DELETE FROM {table}")


def test_no_entry_is_replaced_by_another(tmp_path: Path) -> None:
    """INSERT OR REPLACE deletes without asking the triggers of deleting; a plain connection has no other guard."""
    path = tmp_path / "l.db"
    with world.written(path, world.birth("A"), world.birth("B")):
        pass
    forged = "INSERT OR REPLACE INTO entries SELECT cluster, 1, hash, kind, recorded, epoch, body FROM entries"
    with closing(sqlite3.connect(path)) as connection:
        before = connection.execute("SELECT * FROM entries").fetchall()
        with pytest.raises(sqlite3.IntegrityError, match=guarding.KEEPS):
            connection.execute(f"{forged} WHERE seq = 2")
        assert connection.execute("SELECT * FROM entries").fetchall() == before
    with world.written(path, world.birth("C")) as connection:
        assert count(connection) == 3, "the next one comes in"


def test_a_file_of_an_older_program_is_guarded_against_replacing_once_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    with world.written(path, world.birth("A")):
        pass
    with closing(sqlite3.connect(path)) as plain, plain:
        plain.execute("DROP TRIGGER exuvia_keeps_entries_replace")
    with world.written(path, world.birth("B")) as connection:
        assert guarding.guarded(connection)


def test_every_table_is_guarded(place: Place, owner: Owner) -> None:
    for name, table in tables.metadata.tables.items():
        if isinstance(place, Server):  # where a statement is refused that finds no row
            column = next(iter(table.columns)).name
            assert guarding.KEEPS in refused(owner(place), f'UPDATE "{name}" SET "{column}" = "{column}"')
            assert guarding.KEEPS in refused(owner(place), f'DELETE FROM "{name}"')
            assert guarding.KEEPS in refused(owner(place), f'TRUNCATE "{name}" CASCADE')
    with world.written(owner(place)) as connection:
        assert guarding.guarded(connection)
        connection.execute(text(f"DROP TRIGGER {_one(connection)}"))
        assert not guarding.guarded(connection)


def _one(connection: Connection) -> str:
    on = " ON verdicts" if connection.dialect.name == "postgresql" else "_delete"
    return f"exuvia_keeps_verdicts{on}"


def test_no_row_is_deleted_unless_it_is_said_and_then_only_in_that_transaction(place: Place, owner: Owner) -> None:
    with world.written(place, world.birth("A"), world.birth("B")):
        pass
    engine = opening.open_for_writing(owner(place))
    with engine.begin() as connection:
        with opening.removing(connection):
            connection.execute(delete(entries).where(entries.c.seq == 1))
        assert count(connection) == 1
        with pytest.raises(errors.InvalidObject, match="only ever added"), opening.in_words(place):
            connection.execute(delete(entries))
        connection.rollback()
    with engine.connect() as connection:
        assert count(connection) == 2, "it was rolled back, and the triggers with it"
    engine.dispose()
    assert guarding.KEEPS in refused(owner(place), "DELETE FROM entries")


def test_removing_lets_nothing_be_changed(place: Place, owner: Owner) -> None:
    with world.written(place, world.birth("A")):
        pass
    engine = opening.open_for_writing(owner(place))
    with (
        pytest.raises(errors.InvalidObject, match="only ever added"),
        opening.in_words(place),
        engine.begin() as connection,
        opening.removing(connection),
    ):
        connection.execute(update(entries).values(epoch=9))
    engine.dispose()


def test_triggers_that_were_taken_off_a_file_are_put_on_again(place: Place, owner: Owner) -> None:
    engine = opening.open_for_writing(owner(place))
    with engine.begin() as connection:
        guarding.unguard(connection)
        assert not guarding.guarded(connection)
    opening.migrate(engine, owner(place))
    with engine.connect() as connection:
        assert guarding.guarded(connection)
    engine.dispose()
