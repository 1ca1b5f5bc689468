"""Whatever is wrong is said in one sentence, with the next step and no password; mended, it goes on by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from exuvia import errors
from exuvia.model.facts import LedgerState
from exuvia.record import chain, opening, places, queries
from exuvia.record import ledger as ledger_module
from exuvia.record.places import Place
from exuvia.record.reading import reading
from tests.cli.calling import call
from tests.record import world
from tests.record.postgres import server as servers
from tests.record.postgres.server import PASSWORD, WRITER, Postgres
from tests.record.world import running, state


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Trouble is looked at again soon, and no log ever has the password."""
    monkeypatch.setattr(ledger_module, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(ledger_module, "LOOK_SECONDS", 0.05)
    with caplog.at_level(logging.DEBUG):
        yield
    assert PASSWORD not in caplog.text


@pytest.fixture
def database(postgres: Postgres) -> str:
    return postgres.database()


@pytest.fixture
def own() -> Iterator[Postgres]:
    """A server that may be stopped."""
    with servers.running() as found:
        yield found


def refused(place: Place, *, writing: bool = True) -> errors.LedgerError:
    with pytest.raises(errors.LedgerError) as caught:
        (opening.open_for_writing if writing else opening.open_for_reading)(place)
    assert caught.value.remedy
    assert PASSWORD not in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


def sound(place: Place, cluster: str = "c") -> int:
    with reading(place) as connection:
        found = chain.verify(queries.links(connection, cluster))
    assert found.first_bad is None
    return found.entries


@pytest.mark.parametrize("writing", [True, False])
def test_what_cannot_be_opened_is_said(postgres: Postgres, database: str, writing: bool) -> None:
    def at(url: str) -> str:
        return str(refused(places.place(url), writing=writing))

    assert "does not accept the password" in at(postgres.url(database, password="wrong"))
    assert "PGPASSWORD" in at(postgres.url(database).replace(f":{postgres.url().split(':')[2].split('@')[0]}@", "@"))
    assert "no such database or role" in at(postgres.url("nowhere"))
    assert "does not accept the password" in at(postgres.url(database, role="nobody_here"))
    assert "cannot be reached" in at("postgresql://x@127.0.0.1:1/y")
    assert "cannot be reached" in at("postgresql://x@no-such-host.invalid/y")
    assert "holds no ledger yet. Prepare it as the owner" in at(postgres.url(postgres.empty(), WRITER))


def test_a_schema_of_another_day_is_said_and_left_alone(postgres: Postgres, database: str) -> None:
    place = postgres.place(database, WRITER)
    with postgres.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        newer = refused(place)
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
        older = refused(place)
        left = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    assert type(newer) is errors.LedgerTooNew and newer.remedy == "Update exuvia."
    assert "schema 0001" in str(older) and "ledger prepare" in older.remedy
    assert left == ("0001",), "the operator changes no schema"


def test_a_url_that_cannot_be_read_is_said_without_it() -> None:
    for url in ("postgresql://u:50%secret@h/db", "postgresql://u:secret@h:x:y/db?z", "mysql://u:secret@h/db", " "):
        with pytest.raises(errors.SettingsError) as caught:
            places.place(url)
        assert "secret" not in str(caught.value)
        assert "postgresql://USER@HOST:PORT/DATABASE" in caught.value.remedy


def test_a_place_is_shown_without_its_secrets() -> None:
    place = places.place("postgresql://u%40x:secret@[::1]:5433,h2/my%20db?passfile=/s&sslpassword=secret")
    assert str(place) == "postgresql://u%40x@[::1]:5433,h2/my%20db"
    assert "secret" not in repr(place) + f"{place}"
    assert str(places.place("postgres:///db?host=/run/postgresql")) == "postgresql://%2Frun%2Fpostgresql/db"
    assert places.place(str(place)) == places.place("postgresql://u%40x@[::1]:5433,h2/my%20db"), "it can be read again"


async def test_a_server_that_stops_is_told_and_what_waits_is_written_once_it_is_back(own: Postgres) -> None:
    place = own.place(own.database(), WRITER)
    async with running(place) as ledger:
        await ledger.append(world.birth("A"))
        await asyncio.to_thread(own.stop)
        await state(ledger, LedgerState.DOWN)
        assert "exuvia goes on by itself" in ledger.health().message
        with pytest.raises(errors.LedgerDown):
            await ledger.append(world.birth("B"))
        await asyncio.to_thread(own.start)
        await state(ledger, LedgerState.FINE, 20)
        assert (await ledger.append(world.birth("C"))).seq == 2
    assert sound(place) == 2


async def test_an_older_copy_of_the_database_in_its_place_is_not_trusted(postgres: Postgres, database: str) -> None:
    place = postgres.place(database, WRITER)
    async with running(place) as ledger:
        await ledger.append(world.birth("A"))
        copy = postgres.moved_away(database)
        await state(ledger, LedgerState.DOWN)
        postgres.copied(copy, database)
        await state(ledger, LedgerState.FINE)
        await ledger.append(world.birth("B"))
        postgres.moved_away(database)
        postgres.copied(copy, database)
        await state(ledger, LedgerState.NOT_TRUSTED)
        assert "misses entry 2" in ledger.health().message
        with pytest.raises(errors.LedgerTruncated):
            await ledger.append(world.birth("C"))


async def test_a_full_disk_is_told_and_mended(postgres: Postgres, database: str) -> None:
    place = postgres.place(database, WRITER)
    full = "could not extend file: No space left on device"
    raising = f"BEGIN RAISE EXCEPTION '{full}' USING ERRCODE = 'disk_full'; END"
    async with running(place) as ledger:
        with postgres.connect(database) as connection:
            connection.execute(f"CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ {raising} $$")
            connection.execute("CREATE TRIGGER no_room BEFORE INSERT ON entries EXECUTE FUNCTION no_room()")
        with pytest.raises(errors.LedgerDown, match=r"has no room.*Free disk space"):
            await ledger.append(world.birth("A"))
        await asyncio.sleep(0.3)
        assert ledger.health().state is LedgerState.DOWN, "opening it again tries to write"
        with postgres.connect(database) as connection:
            connection.execute("DROP TRIGGER no_room ON entries")
        await state(ledger, LedgerState.FINE)
        assert (await ledger.append(world.birth("A"))).seq == 1


async def test_a_right_that_is_taken_and_given_back(postgres: Postgres, database: str) -> None:
    place = postgres.place(database, WRITER)
    async with running(place) as ledger:
        await ledger.append(world.birth("A"))
        with postgres.connect(database) as connection:
            connection.execute(f"REVOKE INSERT ON entries FROM {WRITER}")
        with pytest.raises(errors.LedgerDown, match="may not do this"):
            await ledger.append(world.birth("B"))
        with postgres.connect(database) as connection:
            connection.execute(f"GRANT INSERT ON entries TO {WRITER}")
        await state(ledger, LedgerState.FINE)
        assert (await ledger.append(world.birth("B"))).seq == 2


async def test_a_server_that_takes_no_writes_is_told_and_mended(postgres: Postgres, database: str) -> None:
    place = postgres.place(database, WRITER)
    with postgres.connect() as connection:
        connection.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    async with running(place, fine=False) as ledger:
        await asyncio.sleep(0.5)
        assert "takes no writes" in ledger.health().message
        with postgres.connect() as connection:
            connection.execute(f"ALTER DATABASE {database} RESET default_transaction_read_only")
        await state(ledger, LedgerState.FINE)


def test_a_standby_can_be_read_and_is_not_written(own: Postgres) -> None:
    name = own.database()
    with world.written(own.place(name, WRITER), world.birth("A")):
        pass
    with own.standby() as follower:
        place = follower.place(name, WRITER)
        assert "is a standby and cannot be written. Name the primary" in str(refused(place))
        assert sound(place) == 1


async def test_a_lock_is_told_and_waited_for(
    postgres: Postgres, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = postgres.place(database, WRITER)
    monkeypatch.setattr(ledger_module, "LOCK_MS", 100)
    async with running(place) as ledger:
        engine = opening.open_for_writing(place)
        with engine.begin() as connection:
            opening.alone(connection, "other")
            assert (await ledger.append(world.birth("A"))).seq == 1, "another cluster's writer does not hold it up"
        with engine.begin() as connection:
            opening.alone(connection, "c")
            waiting = asyncio.create_task(ledger.append(world.birth("B")))
            await state(ledger, LedgerState.LOCKED)
            assert "locked by another writer" in ledger.health().message
        assert (await waiting).seq == 2
        await state(ledger, LedgerState.FINE)
        engine.dispose()


def test_an_operator_without_a_name_of_its_own_shares_no_database() -> None:
    said = call("run", "--ledger", "postgresql://u:secret@h/db", code=2).stderr
    assert "has no name. Give it one of its own by --cluster-name." in said
    assert "secret" not in said
    assert "cannot be read" in call("run", "--ledger", "postgresql://u:secret%@h/db", code=2).stderr
