"""Who may do what: the owner prepares, the writer adds and reads, and nobody changes what is there."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import text

from exuvia import errors
from exuvia.record import appending, chain, histories, importing, lines, opening, preparing, queries, versions
from exuvia.record.reading import reading
from tests.cli.calling import call
from tests.record import world
from tests.record.postgres import server as servers
from tests.record.postgres.server import OWNER, PASSWORD, WRITER, Postgres
from tests.record.test_importing import parsed
from tests.record.test_pruning import life


@pytest.fixture
def database(postgres: Postgres) -> str:
    return postgres.database()


@pytest.fixture
def as_writer(postgres: Postgres, database: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(postgres.url(database, WRITER), autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET epoch = 9",
        "DELETE FROM entries",
        "TRUNCATE entries",
        "SELECT * FROM entries FOR UPDATE",
        "UPDATE alembic_version SET version_num = '0001'",
        "INSERT INTO alembic_version VALUES ('0009')",
        "DROP TABLE entries",
        "ALTER TABLE entries DISABLE TRIGGER ALL",
        "DROP TRIGGER exuvia_keeps_entries ON entries",
        "CREATE OR REPLACE FUNCTION exuvia_keeps() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "SET session_replication_role = replica",
        "SELECT set_config('exuvia.removing', 'on', false); DELETE FROM entries",
    ],
)
def test_a_writer_can_only_add_and_read(as_writer: psycopg.Connection[tuple[object, ...]], statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_writer.execute(statement)


def test_a_writer_writes_and_has_every_right_that_this_takes(postgres: Postgres, database: str) -> None:
    told = [world.birth("A"), world.death("A", -1)]  # a dead letter has a number of its own
    with world.written(postgres.place(database, WRITER), *told) as connection:
        assert connection.scalar(text("select count(*) from dead_letters")) == 1
        assert connection.scalar(text("select current_user")) == WRITER


def test_what_a_writer_may_not_is_said_with_the_next_step(postgres: Postgres, database: str) -> None:
    place = postgres.place(database, WRITER)
    engine = opening.open_for_writing(place)
    with (
        pytest.raises(errors.LedgerDown, match=r"may not do this.*permission denied.*ledger prepare"),
        opening.in_words(place),
        engine.begin() as connection,
    ):
        connection.execute(text("UPDATE entries SET epoch = 9"))
    engine.dispose()


def test_a_writer_that_prunes_or_erases_is_sent_to_the_owner(postgres: Postgres, database: str) -> None:
    url, by = postgres.url(database, WRITER), ("--by", "alice")
    told = parsed(*life("A", 0, 50), *life("B", 60, None))
    importing.load(postgres.place(database), told, cluster="c")
    erase = ("ledger", "erase", "--ledger", url, "--subject", "user-A", "--reason", "asked for", *by)
    for words in (("ledger", "prune", "--ledger", url, "--keep", "100d", *by), erase):
        said = call(*words, code=2).stderr
        assert "may not take anything out" in said and "with the owner's URL" in said
        assert "ledger prepare" not in said and PASSWORD not in said


def test_preparing_again_keeps_what_is_there(postgres: Postgres, database: str) -> None:
    with world.written(postgres.place(database, WRITER), world.birth("A")):
        pass
    assert preparing.prepare(postgres.place(database), writer=WRITER) is False
    with world.written(postgres.place(database, WRITER), world.birth("B")) as connection:
        assert connection.scalar(text("select count(*) from entries")) == 2


def test_a_role_that_is_not_there_is_made_without_a_password(postgres: Postgres) -> None:
    name = postgres.empty()
    said = call("ledger", "prepare", "--ledger", postgres.url(name), "--writer", 'new "one: x').stdout
    assert "is ready" in said and "without a password" in said
    assert PASSWORD not in said
    with postgres.connect() as connection:
        found = connection.execute(
            "SELECT rolsuper, rolcanlogin FROM pg_roles WHERE rolname = 'new \"one: x'"
        ).fetchone()
    assert found == (False, True)
    assert "without a password" not in call("ledger", "prepare", "--ledger", postgres.url(name)).stdout


@pytest.mark.parametrize("role", [OWNER, "postgres"])
def test_who_could_change_history_is_no_writer(postgres: Postgres, database: str, role: str) -> None:
    with pytest.raises(errors.InvalidObject, match="could change history"):
        preparing.prepare(postgres.place(database), writer=role)


def test_only_an_owner_prepares(postgres: Postgres) -> None:
    place = postgres.place(postgres.empty(), WRITER)
    with pytest.raises(errors.LedgerDown, match=r"may not do this.*permission denied"):
        preparing.prepare(place)


def test_a_file_needs_no_preparation(tmp_path: object) -> None:
    said = call("ledger", "prepare", "--ledger", f"{tmp_path}/l.db", code=2).stderr
    assert "needs no preparation" in said and "postgresql://USER@HOST:PORT/DATABASE" in said


def test_a_database_of_another_encoding_is_refused(postgres: Postgres) -> None:
    name = postgres.empty("ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(errors.LedgerDown, match=r"encoding SQL_ASCII, not UTF8.*ENCODING 'UTF8'"):
        preparing.prepare(postgres.place(name))


def test_the_server_that_the_python_package_brings_will_do_too() -> None:
    with servers.running(servers.packaged()) as other:
        place = other.place(other.database(), WRITER)
        with world.written(place, world.birth("A")) as connection:
            assert int(str(connection.scalar(text("SHOW server_version_num")))) >= 180000
        assert other.binaries == servers.packaged()


def test_two_imports_at_once_come_one_after_the_other(postgres: Postgres, database: str) -> None:
    """The same feed into the chains of several clusters: the rows are of one thing, learnt at one moment."""
    place = postgres.place(database, WRITER)
    score = {"type": "score", "source": "epss", "value": "0.5", "validFrom": "2026-01-01T00:00:00Z"}
    bodies = [{**score, "vulnerability": f"CVE-{n}", "recordedAt": "2026-01-02T00:00:00Z"} for n in range(40)]

    def imported(cluster: str) -> int:
        return importing.load(place, [lines.of(body, recorded=0) for body in bodies], cluster=cluster).entered

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(imported, ["a", "b", "c"])) == [40] * 3
    with reading(place) as connection:
        assert all(chain.verify(queries.links(connection, one)).entries == 40 for one in "abc")
        assert len(histories.scores(connection, versions.INSTANT)) == 40, "the same line three times says nothing new"


def test_who_imports_into_a_shared_database_says_for_whom(postgres: Postgres, database: str) -> None:
    place = postgres.place(database, WRITER)
    line = lines.of({"type": "instance", "uid": "X", "born": "2026-01-01T00:00:00Z"}, recorded=0)
    for name in ("north", "south"):
        engine = opening.open_for_writing(place)
        with engine.begin() as connection:
            appending.register(connection, name)
        engine.dispose()
    with pytest.raises(errors.SettingsError, match=r"several chains\. Say which by --cluster NAME: north, south"):
        importing.load(place, [line])
    assert importing.load(place, [line], cluster="south").head.seq == 1


def test_a_database_of_something_else_is_left_alone(postgres: Postgres) -> None:
    name = postgres.empty()
    with postgres.connect(name) as connection:
        connection.execute("CREATE TABLE others (id serial PRIMARY KEY)")
    with pytest.raises(errors.LedgerCorrupt, match=r"has tables of something else. Make one of its own"):
        preparing.prepare(postgres.place(name), writer=WRITER)


def test_tables_that_came_later_are_left_alone(postgres: Postgres, database: str) -> None:
    with postgres.connect(database) as connection:
        connection.execute("CREATE TABLE others (id serial PRIMARY KEY)")
        connection.execute("GRANT SELECT ON others TO PUBLIC")
    preparing.prepare(postgres.place(database), writer=WRITER)
    with psycopg.connect(postgres.url(database, WRITER), autocommit=True) as connection:
        connection.execute("SELECT * FROM others")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT nextval('others_id_seq')")


def test_who_may_not_make_roles_is_told_how_it_is_made(postgres: Postgres) -> None:
    name = postgres.empty()
    with postgres.connect() as connection:
        connection.execute(f"ALTER ROLE {OWNER} NOCREATEROLE")
    try:
        with pytest.raises(errors.LedgerDown, match=r'no role missing,.*CREATE ROLE "missing" LOGIN'):
            preparing.prepare(postgres.place(name), writer="missing")
    finally:
        with postgres.connect() as connection:
            connection.execute(f"ALTER ROLE {OWNER} CREATEROLE")
