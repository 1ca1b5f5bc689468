"""`python -m bench.ledger [--instances N]`: how fast the ledger writes, how fast `who` answers, what a life costs on
disk; each beside a plain table in the same run.

Writing: births, verdicts, placements and deaths through the ledger's writer, durable when it says so, against rows of
the same text put into a plain table by the driver alone, as many to a transaction; into a file, and into a PostgreSQL
server of its own that waits for its disk. Asking: `who` by name and moment in
a history of N instances whose names are reused fifty times, against a point lookup in that plain table.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, insert
from tests.record.postgres import server as servers
from tests.record.postgres.server import Postgres

from exuvia.cli import portraying
from exuvia.model import facts
from exuvia.model.facts import DeathReason, Fact, LedgerState, microseconds
from exuvia.record import opening, tables, who
from exuvia.record.ledger import Ledger
from exuvia.record.places import Place
from exuvia.record.reading import reading

START = datetime(2026, 1, 1, tzinfo=UTC)
LIVES = 4000
AT_ONCE = 256
ASKED = 2000
REUSED = 50
PAGE = 20_000
GOAL_FACTS, GOAL_WHO = 5000, 0.010


def main() -> int:
    """Measure and print. The exit code is 0, whether goals are met or not."""
    parser = argparse.ArgumentParser(prog="python -m bench.ledger", description="Writing to and asking the ledger.")
    parser.add_argument("--instances", type=int, default=1_000_000, help="in the history that is asked")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, servers.running(durable=True) as server:
        path = Path(folder) / "written.db"
        for line in _written("SQLite", path, partial(_plain, Path(folder) / "plain.db")):
            print(line, flush=True)
        print(f"{path.stat().st_size / LIVES:,.0f} bytes on disk for each life of {len(_life(0))} facts", flush=True)
        place = server.place(server.database(), servers.WRITER)
        for line in (
            *_written("PostgreSQL", place, partial(_plain_server, server)),
            *_asked(Path(folder), given.instances),
        ):
            print(line, flush=True)
    return 0


def _written(name: str, place: Place, plain: Callable[[list[str]], float]) -> Iterator[str]:
    told = [fact for number in range(LIVES) for fact in _life(number)]
    seconds, busy = asyncio.run(_append(place, told))
    beside = plain([str(dict(one.body)) for one in told])
    rate = len(told) / seconds
    yield f"{name}: {len(told):,} facts, durable, in {seconds:.2f} s: {rate:,.0f} facts/s (goal {GOAL_FACTS:,})"
    yield f"{busy / len(told) * 1e6:.0f} us of processor time of ours a fact"
    yield f"a plain table, as many to a transaction: {len(told) / beside:,.0f} rows/s; ratio {seconds / beside:.1f}"


def _life(number: int) -> list[Fact]:
    """A machine that lives an hour: born, judged, one pod comes and goes, judged again, dead."""
    uid, at = f"uid-{number:08d}", START + timedelta(seconds=number)
    body = {"uid": uid, "kind": "Node", "name": f"vdi-{number % 100:02d}", "pool": "p", "zone": "z"}
    body |= {"providerID": f"cloud:///{number}", "machineID": f"m{number}", "bootID": f"b{number}"}
    pod = {"uid": f"pod-{number}", "namespace": "shop", "name": f"cart-{number}", "serviceAccount": "cart"}
    said = {"uid": uid, "policy": "workers", "policy_uid": "P", "severity": "High", "rules": "max-age"}
    return [
        facts.birth(instance={**body, "addresses": [f"10.0.{number // 250 % 250}.{number % 250}"]}, at=at),
        facts.verdict(**said, result="compliant", at=at + timedelta(seconds=1)),
        facts.placement(pod={**pod, "images": ["sha256:1"]}, instance=uid, event="from", at=at + timedelta(minutes=1)),
        facts.verdict(**said, result="violating", at=at + timedelta(minutes=50)),
        facts.placement(pod=pod, instance=uid, event="to", at=at + timedelta(minutes=59)),
        facts.death(uid=uid, reason=DeathReason.EXUVIA, at=at + timedelta(hours=1), by="bench"),
    ]


async def _append(place: Place, told: list[Fact]) -> tuple[float, float]:
    """Seconds, and those of the processor in this process."""
    ledger = Ledger(place, cluster="bench", epoch=lambda: 1)
    ledger.start()
    await asyncio.to_thread(_until_fine, ledger)
    began, busy = time.perf_counter(), time.process_time()
    for start in range(0, len(told), AT_ONCE):
        await asyncio.gather(*(ledger.append(one) for one in told[start : start + AT_ONCE]))
    took = time.perf_counter() - began, time.process_time() - busy
    await asyncio.to_thread(ledger.close)
    return took


def _until_fine(ledger: Ledger) -> None:
    while ledger.health().state is not LedgerState.FINE:
        time.sleep(0.01)


def _plain(path: Path, bodies: list[str]) -> float:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.execute("create table rows (id integer primary key, name text, body text)")
    began = time.perf_counter()
    for start in range(0, len(bodies), AT_ONCE):
        connection.execute("begin immediate")
        page = bodies[start : start + AT_ONCE]
        connection.executemany("insert into rows (name, body) values ('n', ?)", [(one,) for one in page])
        connection.execute("commit")
    took = time.perf_counter() - began
    connection.close()
    return took


def _plain_server(server: Postgres, bodies: list[str]) -> float:
    with server.connect(server.empty()) as connection:
        connection.execute("create table rows (id bigserial primary key, name text, body text)")
        began = time.perf_counter()
        for start in range(0, len(bodies), AT_ONCE):
            page = [(one,) for one in bodies[start : start + AT_ONCE]]
            with connection.transaction(), connection.cursor() as cursor:
                cursor.executemany("insert into rows (name, body) values ('n', %s)", page)
        return time.perf_counter() - began


def _asked(folder: Path, instances: int) -> Iterator[str]:
    path = folder / "asked.db"
    engine = opening.open_for_writing(path)
    with engine.begin() as connection:
        _insert(connection, tables.lives, (row for number in range(instances) for row in _versions(number, instances)))
        _insert(connection, tables.identities, (_named(number, instances) for number in range(instances)))
        _insert(connection, tables.presences, (_found(number, instances) for number in range(instances)))
    engine.dispose()
    chance, took, told = random.Random(1), list[float](), list[float]()
    with reading(path) as connection:
        for _ in range(ASKED):
            number = chance.randrange(instances)
            at = _born(number, instances) + timedelta(minutes=20)
            began = time.perf_counter()
            found = who.bore(connection, "name", _name(number, instances), at)
            took.append(time.perf_counter() - began)
            portraits = [portraying.portrait(connection, one, at, datetime.now(UTC)) for one in found]
            told.append(time.perf_counter() - began)
            assert [one.bearer.uid for one in portraits] == [f"uid-{number:08d}"], found
    plain = _looked_up(path, instances)
    for which, spent in (("who", took), ("with what was known of it", told)):
        p50, p99 = sorted(spent)[len(spent) // 2] * 1e3, sorted(spent)[len(spent) * 99 // 100] * 1e3
        yield f"{which} in {instances:,} instances: p50 {p50:.2f} ms, p99 {p99:.2f} ms (goal {GOAL_WHO * 1e3:g})"
    yield f"a point lookup by the driver: p99 {plain * 1e3:.3f} ms; ratio {p99 / plain / 1e3:.0f}"


def _looked_up(path: Path, instances: int) -> float:
    connection, chance, took = sqlite3.connect(path), random.Random(2), list[float]()
    for _ in range(ASKED):
        began = time.perf_counter()
        connection.execute("select * from lives where uid = ?", (f"uid-{chance.randrange(instances):08d}",)).fetchall()
        took.append(time.perf_counter() - began)
    connection.close()
    return sorted(took)[len(took) * 99 // 100]


def _name(number: int, instances: int) -> str:
    return f"vdi-{number % max(instances // REUSED, 1)}"


def _born(number: int, instances: int) -> datetime:
    """One bearer of a name after the other, an hour each."""
    return START + timedelta(hours=number // max(instances // REUSED, 1))


def _versions(number: int, instances: int) -> Iterator[dict[str, Any]]:
    born = microseconds(_born(number, instances))
    died = born + 3_600_000_000
    life = {
        "uid": f"uid-{number:08d}", "rank": 0, "cluster": "bench", "seq": 1, "declared": 1, "kind": "Node",
        "name": _name(number, instances), "pool": "p", "zone": "z", "born": born, "died_not_before": None,
        "died_by": "", "persistent": True, "withdrawn": False,
    }  # fmt: skip
    yield {**life, "recorded": born, "died": None, "reason": ""}
    yield {**life, "recorded": died, "died": died, "reason": "unknown"}


def _named(number: int, instances: int) -> dict[str, Any]:
    born = microseconds(_born(number, instances))
    return {
        "uid": f"uid-{number:08d}", "attribute": "name", "value": _name(number, instances), "began": born,
        "recorded": born, "rank": 0, "seq": 1, "declared": 1, "ended": None,
    }  # fmt: skip


def _found(number: int, instances: int) -> dict[str, Any]:
    born = microseconds(_born(number, instances))
    return {
        "uid": f"uid-{number:08d}", "vulnerability": f"CVE-{number % REUSED}", "began": born, "recorded": born,
        "rank": 0, "seq": 1, "ended": None, "closed": "", "withdrawn": False,
    }  # fmt: skip


def _insert(connection: Connection, table: Table, rows: Iterator[dict[str, Any]]) -> None:
    while page := list(islice(rows, PAGE)):
        connection.execute(insert(table), page)


if __name__ == "__main__":
    sys.exit(main())
