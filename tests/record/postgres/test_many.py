"""Ten clusters write into one database at once, while connections are cut and the server crashes: nothing is lost,
nothing is doubled, and what was acknowledged stands where it was said to stand."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from sqlalchemy import text

from exuvia import errors
from exuvia.model.facts import Receipt
from exuvia.record import chain, queries
from exuvia.record import ledger as ledger_module
from exuvia.record.ledger import Ledger
from exuvia.record.places import Place
from exuvia.record.reading import reading
from tests.record import world
from tests.record.postgres import server as servers
from tests.record.postgres.server import WRITER, Postgres

CLUSTERS = [f"cluster-{number}" for number in range(10)]
Acknowledged = dict[str, dict[str, Receipt]]


@pytest.fixture
def own() -> Iterator[Postgres]:
    """A server that may crash."""
    with servers.running() as found:
        yield found


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "RETRY_SECONDS", 0.05)


@asynccontextmanager
async def writers(place: Place) -> AsyncIterator[dict[str, Ledger]]:
    async with AsyncExitStack() as stack:
        made = {name: Ledger(place, cluster=name, epoch=lambda: 1) for name in CLUSTERS}
        for one in made.values():
            one.start()
            stack.push_async_callback(asyncio.to_thread, one.close)
        yield made


async def tell(ledger: Ledger, uid: str, kept: dict[str, Receipt]) -> None:
    """As the operator does: give it again until it is acknowledged."""
    fact = world.birth(uid)
    while uid not in kept:
        try:
            kept[uid] = await ledger.append(fact)
        except errors.LedgerError:
            await asyncio.sleep(0.05)


async def produce(ledger: Ledger, name: str, until: float, most: int, kept: dict[str, Receipt]) -> None:
    """Several things happen at once in a cluster."""
    number = 0
    while time.monotonic() < until and number < most:
        together = [tell(ledger, f"{name}-{number + n}", kept) for n in range(5)]
        number += len(together)
        await asyncio.gather(*together)


def cut(server: Postgres, dice: random.Random) -> None:
    """End some connections of writers, whatever they are at."""
    with server.connect() as ruler:
        found = ruler.execute("SELECT pid FROM pg_stat_activity WHERE usename = %s", [WRITER]).fetchall()
        for (pid,) in found:
            if dice.random() < 0.4:
                ruler.execute("SELECT pg_terminate_backend(%s)", [pid])


async def harm(server: Postgres, until: float, dice: random.Random, *, crashes: float) -> int:
    """Cut connections all the time; with `crashes` the server falls every so many seconds. How often it did."""
    fallen, fall = 0, time.monotonic() + crashes
    while time.monotonic() < until:
        await asyncio.sleep(dice.uniform(0.02, 0.2))
        if crashes and time.monotonic() > fall:
            await asyncio.to_thread(server.restart, "immediate")
            fallen, fall = fallen + 1, time.monotonic() + crashes
        else:
            await asyncio.to_thread(cut, server, dice)
    return fallen


def check(place: Place, kept: Acknowledged) -> None:
    """Each chain is sound and holds each fact once, at the number and with the hash that were acknowledged."""
    with reading(place) as connection:
        assert set(queries.clusters(connection)) == set(kept)
        for name, receipts in kept.items():
            assert chain.verify(queries.links(connection, name)).first_bad is None
            asked = text("SELECT seq, hash, body::json->'body'->>'uid' AS uid FROM entries WHERE cluster = :of")
            rows = connection.execute(asked, {"of": name}).all()
            assert {uid: times for uid, times in Counter(row.uid for row in rows).items() if times > 1} == {}
            there = {row.uid: Receipt(seq=row.seq, hash=row.hash.hex()) for row in rows}
            assert there == receipts
        lives = connection.scalar(text("SELECT count(*) FROM lives"))
    assert lives == sum(map(len, kept.values()))


async def test_ten_clusters_write_at_once(postgres: Postgres) -> None:
    place = postgres.place(postgres.database(), WRITER)
    kept: Acknowledged = {name: {} for name in CLUSTERS}
    async with writers(place) as ledgers:
        until = time.monotonic() + 30
        await asyncio.gather(*(produce(one, name, until, 50, kept[name]) for name, one in ledgers.items()))
    check(place, kept)
    assert [len(one) for one in kept.values()] == [50] * 10


async def test_connections_are_cut_while_ten_clusters_write(postgres: Postgres) -> None:
    place = postgres.place(postgres.database(), WRITER)
    kept: Acknowledged = {name: {} for name in CLUSTERS}
    until = time.monotonic() + 3
    async with writers(place) as ledgers:
        work = [produce(one, name, until, 10**6, kept[name]) for name, one in ledgers.items()]
        await asyncio.gather(harm(postgres, until, random.Random(1), crashes=0), *work)
    check(place, kept)


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(2))
async def test_the_server_crashes_while_ten_clusters_write(own: Postgres, seed: int) -> None:
    place = own.place(own.database(), WRITER)
    kept: Acknowledged = {name: {} for name in CLUSTERS}
    until = time.monotonic() + 20
    async with writers(place) as ledgers:
        work = [produce(one, name, until, 10**6, kept[name]) for name, one in ledgers.items()]
        fallen, *_ = await asyncio.gather(harm(own, until, random.Random(seed), crashes=3), *work)
    check(place, kept)
    assert fallen >= 3
    assert all(kept.values())
