"""A connection that is cut: before the COMMIT nothing was entered; within it nobody knows, until it is looked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from exuvia import errors
from exuvia.model import facts
from exuvia.model.facts import LedgerState
from exuvia.record import appending, chain, importing, lines, opening, queries
from exuvia.record import ledger as ledger_module
from exuvia.record.places import Place
from exuvia.record.reading import reading
from tests.record import world
from tests.record.postgres.server import WRITER, Postgres
from tests.record.world import running, state

Commit = Callable[[Any, Any], None]
_commit: Commit = PGDialect_psycopg.do_commit


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(ledger_module, "LOOK_SECONDS", 60.0)  # nothing else commits meanwhile


@pytest.fixture
def place(postgres: Postgres) -> Place:
    return postgres.place(postgres.database(), WRITER)


class Cuts:
    """Cuts the connection at the next COMMITs of a ledger's thread: `after` them, or before."""

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self.planned: list[bool] = []
        self.between: Callable[[], None] = lambda: None

    def commit(self, dialect: Any, connection: Any) -> None:
        if not self.planned:
            _commit(dialect, connection)
            return
        if self.planned.pop(0):
            _commit(dialect, connection)
        driver: psycopg.Connection[Any] = connection.driver_connection
        with self._server.connect() as ruler:
            ruler.execute("SELECT pg_terminate_backend(%s, 5000)", [driver.info.backend_pid])
        self.between()
        driver.execute("SELECT 1")  # what the driver would notice in the answer to its COMMIT


@pytest.fixture
def cuts(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cuts]:
    made = Cuts(postgres)
    monkeypatch.setattr(PGDialect_psycopg, "do_commit", lambda dialect, connection: made.commit(dialect, connection))
    yield made
    assert not made.planned


def kept(place: Place) -> list[str]:
    """The UIDs of births in the chain, in order; the chain is sound and the tables say the same."""
    with reading(place) as connection:
        assert chain.verify(queries.links(connection, "c")).first_bad is None
        found = connection.scalars(text("select body::json->'body'->>'uid' from entries order by seq")).all()
        lives = connection.scalars(text("select uid from lives order by seq")).all()
    assert lives == list(dict.fromkeys(found))
    return list(found)


@pytest.mark.parametrize("committed", [True, False])
async def test_what_nobody_heard_of_is_looked_for_and_entered_once(place: Place, cuts: Cuts, committed: bool) -> None:
    async with running(place) as ledger:
        heard: list[facts.Fact] = []
        ledger.on_commit = heard.extend
        first = await ledger.append(world.birth("A"))
        cuts.planned = [committed]
        receipt = await ledger.append(world.birth("B"), world.birth("C"))
        assert (first.seq, receipt.seq) == (1, 3)
        assert ledger.holds(3, receipt.hash) is True
        assert ledger.health().state is LedgerState.FINE, "it was over before anybody had to know"
        await asyncio.sleep(0)
        assert [one.body["uid"] for one in heard] == ["A", "B", "C"]
        assert (await ledger.append(world.birth("D"))).seq == 4
    assert kept(place) == ["A", "B", "C", "D"]


async def test_two_cuts_in_a_row(place: Place, cuts: Cuts) -> None:
    async with running(place) as ledger:
        cuts.planned = [False, True]
        await ledger.append(world.birth("A"))
    assert kept(place) == ["A"]


async def test_another_writer_between_the_cut_and_the_look(place: Place, cuts: Cuts) -> None:
    """A person imports meanwhile: what was cut off before its COMMIT comes after that."""
    line = lines.of({"type": "instance", "uid": "X", "born": "2026-01-01T00:00:00Z"}, recorded=0)

    def imports() -> None:
        importing.load(place, [line], cluster="c")

    cuts.between = imports
    async with running(place) as ledger:
        await ledger.append(world.birth("A"))
        cuts.planned = [False]
        assert (await ledger.append(world.birth("B"))).seq == 3
    assert kept(place) == ["A", "X", "B"]


@pytest.mark.parametrize("committed", [True, False])
async def test_what_cannot_be_found_out_in_time_is_not_entered_twice_when_it_is_given_again(
    postgres: Postgres, place: Place, cuts: Cuts, committed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = dict(place.parameters)["dbname"]  # type: ignore[union-attr]
    away: list[str] = []
    cuts.between = lambda: away.append(postgres.moved_away(name))
    async with running(place) as ledger:
        await ledger.append(world.birth("A"))
        monkeypatch.setattr(opening, "PATIENCE_MS", 300)
        cuts.planned = [committed]
        told = [world.birth("B"), world.birth("C")]
        with pytest.raises(errors.LedgerDown):
            await ledger.append(*told)
        assert ledger.health().state is LedgerState.DOWN
        postgres.moved_back(away[0], name)
        await state(ledger, LedgerState.FINE)
        receipt = await ledger.append(*told)
        assert receipt.seq == 3
        assert ledger.holds(3, receipt.hash) is True
        assert (await ledger.append(world.birth("D"))).seq == 4
    assert kept(place) == ["A", "B", "C", "D"]


def scored(value: str) -> facts.Fact:
    return facts.score(vulnerability="CVE-1", source="trivy", value=value, basis="intrinsic", valid_from=world.at(0))


def scores(place: Place) -> list[str]:
    with reading(place) as connection:
        chosen = "select body::json->'body'->>'value' from entries where kind = 'score' order by seq"
        return list(connection.scalars(text(chosen)))


@pytest.mark.parametrize("unheard", [["5.0"], ["5.0", "7.0", "5.0"]])
async def test_what_is_said_anew_after_it_was_given_again_is_entered(
    postgres: Postgres, place: Place, cuts: Cuts, unheard: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source that changes its mind twice says the same as at first."""
    name = dict(place.parameters)["dbname"]  # type: ignore[union-attr]
    away: list[str] = []
    cuts.between = lambda: away.append(postgres.moved_away(name))
    async with running(place) as ledger:
        monkeypatch.setattr(opening, "PATIENCE_MS", 300)
        cuts.planned = [True]
        told = [scored(value) for value in unheard]
        with pytest.raises(errors.LedgerDown):
            await ledger.append(*told)
        postgres.moved_back(away[0], name)
        await state(ledger, LedgerState.FINE)
        await ledger.append(*told)
        assert scores(place) == unheard, "given again, not entered twice"
        await ledger.append(scored("7.0"))
        await ledger.append(scored("5.0"))
    assert scores(place) == [*unheard, "7.0", "5.0"]


@pytest.mark.parametrize(("committed", "letters"), [(False, 1), (True, 2)])
async def test_a_dead_letter_of_which_nothing_was_heard_is_written_again(
    place: Place, cuts: Cuts, committed: bool, letters: int
) -> None:
    """It moves no head, so nothing tells whether it was entered."""
    async with running(place) as ledger:
        first = await ledger.append(world.birth("A", 10))
        cuts.planned = [committed]
        receipt = await ledger.append(world.death("A", 5))
        assert receipt == first, "the entry before"
    with reading(place) as connection:
        assert connection.scalar(text("select count(*) from dead_letters")) == letters


async def test_a_statement_that_was_cut_off_is_written_again(postgres: Postgres, place: Place) -> None:
    """Within the transaction: the writer waits for a lock when its connection ends."""
    async with running(place) as ledger:
        await ledger.append(world.birth("A"))
        engine = opening.open_for_writing(place)
        with engine.begin() as connection:
            opening.alone(connection, "c")
            waiting = asyncio.create_task(ledger.append(world.birth("B")))
            ended: list[Any] = []
            while not ended:
                await asyncio.sleep(0.02)
                with postgres.connect() as ruler:
                    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                    ended = ruler.execute(query).fetchall()
        assert (await waiting).seq == 2
        engine.dispose()
    assert kept(place) == ["A", "B"]


async def test_a_cluster_that_enters_the_same_row_at_the_same_moment_is_waited_for(place: Place) -> None:
    """Tables are shared by all clusters: of two rows of one thing learnt at one moment the second comes after."""
    engine = opening.open_for_writing(place)
    async with running(place) as ledger:
        with engine.begin() as connection:
            writer = appending.Writer(cluster="other", epoch=1)
            opening.alone(connection, "other")
            appending.add(connection, appending.Head(), world.birth("A"), writer, recorded=2**52)
            recorded = appending.Head(0, chain.GENESIS, 2**52)
            waiting = asyncio.create_task(_append_at(ledger, recorded, world.birth("A")))
            await asyncio.sleep(0.3)
            assert not waiting.done()
        receipt = await waiting
    engine.dispose()
    with reading(place) as connection:
        assert appending.hash_at(connection, "c", receipt.seq) is not None
        assert connection.scalar(text("select count(*) from lives")) == 1, "it was born already"


async def _append_at(ledger: ledger_module.Ledger, after: appending.Head, fact: facts.Fact) -> facts.Receipt:
    """As a clock that stands far ahead would."""
    original = appending.head
    try:
        appending.head = lambda *_: after  # type: ignore[assignment]
        return await ledger.append(fact)
    finally:
        appending.head = original  # type: ignore[assignment]
