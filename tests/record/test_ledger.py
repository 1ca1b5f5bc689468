"""The writer: durable when it returns, fenced, never on a file that is not the one, well again by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text

from exuvia import errors
from exuvia.model import facts
from exuvia.model.facts import FactKind, LedgerState
from exuvia.record import appending, chain, guarding, opening, queries, sqlite
from exuvia.record import ledger as ledger_module
from exuvia.record.accepting import accept
from exuvia.record.ledger import Ledger
from exuvia.record.places import Place
from exuvia.record.reading import reading
from exuvia.record.trust import Noted
from tests.record import world
from tests.record.conftest import Owner
from tests.record.postgres.server import PASSWORD
from tests.record.world import running, state


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trouble is looked at again soon."""
    monkeypatch.setattr(ledger_module, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(ledger_module, "LOOK_SECONDS", 0.05)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger" / "exuvia.db"


def entries(place: Place) -> list[tuple[int, str]]:
    with reading(place) as connection:
        return [(row.seq, row.kind) for row in connection.execute(text("select seq, kind from entries order by seq"))]


@contextmanager
def held(place: Place) -> Iterator[None]:
    """Another process writes, and takes its time."""
    engine = opening.open_for_writing(place)
    with engine.begin() as connection:
        opening.alone(connection, "c")
        yield
    engine.dispose()


def copied(path: Path, to: Path) -> None:
    """A backup, as the database makes one."""
    source, target = sqlite3.connect(path), sqlite3.connect(to)
    source.backup(target)
    source.close()
    target.close()


async def entered(ledger: Ledger, fact: facts.Fact) -> bool:
    """Whether the ledger takes it now."""
    try:
        await ledger.append(fact)
    except errors.LedgerDown:
        return False
    return True


def put_in_place(path: Path, other: Path) -> None:
    """Another file under the ledger's name."""
    for leftover in (f"{path}-wal", f"{path}-shm"):
        Path(leftover).unlink(missing_ok=True)
    other.replace(path)


async def test_append_returns_number_and_hash_of_the_last_fact(place: Place) -> None:
    async with running(place) as ledger:
        first = await ledger.append(world.birth("A"), world.birth("B"))
        second = await ledger.append(world.verdict("A", "violating", 1))
        assert (first.seq, second.seq) == (2, 3)
        assert ledger.holds(2, first.hash) is True
        assert ledger.holds(2, second.hash) is False
        assert ledger.holds(9, second.hash) is False
        assert ledger.lag() == 0.0
        assert ledger.head() == {"seq": 3, "hash": second.hash}
    with reading(place) as connection:
        said = chain.verify(queries.links(connection, "c"))
    assert (said.first_bad, said.head.hex()) == (None, second.hash)


async def test_what_was_acknowledged_outlives_a_kill(place: Place) -> None:
    program = """
import asyncio, sys
from exuvia.record import places
from tests.record import world
async def main():
    async with world.running(places.place(sys.argv[1])) as ledger:
        for number in range(100_000):
            print((await ledger.append(world.birth(f"N{number}"))).seq, flush=True)
asyncio.run(main())
"""
    secret = {**os.environ, "PGPASSWORD": PASSWORD}  # what is told of a place has none
    command = [sys.executable, "-c", program, str(place)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=secret)
    assert child.stdout is not None
    acknowledged = [int(child.stdout.readline()) for _ in range(20)]
    child.send_signal(signal.SIGKILL)
    acknowledged += [int(line) for line in child.stdout.read().split("\n")[:-1]]
    child.stdout.close()
    child.wait()
    found = [seq for seq, _ in entries(place)]
    assert set(acknowledged) <= set(found)
    with reading(place) as connection:
        assert chain.verify(queries.links(connection, "c")).first_bad is None


async def test_waiting_facts_share_one_commit(place: Place) -> None:
    async with running(place) as ledger:
        commits: list[int] = []
        event.listen(ledger._engine, "commit", lambda _: commits.append(1))
        receipts = await asyncio.gather(*(ledger.append(world.birth(f"N{n}")) for n in range(300)))
        assert sorted(one.seq for one in receipts) == list(range(1, 301))
        assert len(commits) < 30


async def test_a_full_queue_makes_writers_wait(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "QUEUED", 4)
    monkeypatch.setattr(ledger_module, "GROUP", 2)
    async with running(place) as ledger:
        with held(place):
            waiting = [asyncio.create_task(ledger.append(world.birth(f"N{n}"))) for n in range(20)]
            await asyncio.sleep(0.3)
            assert not any(one.done() for one in waiting)
            assert len(ledger._queue) == 4
        receipts = await asyncio.gather(*waiting)
        assert sorted(one.seq for one in receipts) == list(range(1, 21))


async def test_lag_is_the_age_of_what_waits(place: Place) -> None:
    async with running(place) as ledger:
        with held(place):
            waiting = asyncio.create_task(ledger.append(world.birth("A")))
            await asyncio.sleep(0.3)
            assert 0.1 < ledger.lag() < 10
        await waiting
        await asyncio.sleep(0.05)
        assert ledger.lag() == 0.0


async def test_a_greater_epoch_fences(place: Place) -> None:
    async with running(place, lambda: 1) as old, running(place, lambda: 2) as new:
        await old.append(world.birth("A"))
        await new.append(world.birth("B"))
        with pytest.raises(errors.Fenced, match="epoch 2, ours is 1"):
            await old.append(world.birth("C"))
        assert old.health().state is LedgerState.FINE
        await new.append(world.birth("D"))
    assert len(entries(place)) == 3
    with reading(place) as connection:
        assert appending.greatest_epoch(connection, "c") == 2


async def test_two_writers_of_one_epoch_keep_one_chain(place: Place) -> None:
    async with running(place) as one, running(place) as other:
        await asyncio.gather(*((one if n % 2 else other).append(world.birth(f"N{n}")) for n in range(60)))
    with reading(place) as connection:
        said = chain.verify(queries.links(connection, "c"))
    assert (said.entries, said.first_bad) == (60, None)


@settings(max_examples=15, deadline=None)
@given(writes=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3)), max_size=12))
async def test_epochs_never_go_back(tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[int, int]]) -> None:
    path = tmp_path_factory.mktemp("epochs") / "l.db"
    async with running(path, lambda: 1) as a, running(path, lambda: 2) as b, running(path, lambda: 3) as c:
        greatest = 0
        for which, count in writes:
            try:
                await (a, b, c)[which].append(*(world.birth(f"N{n}") for n in range(count)))
                assert which >= greatest
                greatest = which
            except errors.Fenced:
                assert which < greatest
    with sqlite3.connect(path) as connection:
        found = [row[0] for row in connection.execute("select epoch from entries order by seq")]
    connection.close()
    assert found == sorted(found)


async def test_a_bad_fact_is_refused_and_takes_no_other_with_it(place: Place) -> None:
    broken = [
        facts.Fact(kind=FactKind.CUSTODY, at=world.at(0), body={"score": 1.5}),
        facts.Fact(kind=FactKind.BIRTH, at=world.at(0), body={"name": "no uid"}),
        facts.Fact(kind=FactKind.CUSTODY, at=world.at(0), body={"text": "\ud800"}),
        world.birth("X", zone=["not", "a", "string"]),
        world.birth("X", pool=None),
    ]
    async with running(place) as ledger:
        good = [ledger.append(world.birth(f"N{n}")) for n in range(20)]
        bad = [ledger.append(world.birth(f"T{n}"), one) for n, one in enumerate(broken)]
        said = await asyncio.gather(*good, *bad, return_exceptions=True)
        assert [one.seq for one in said[:20] if not isinstance(one, BaseException)] == sorted(range(1, 21))
        assert all(isinstance(one, errors.InvalidObject) for one in said[20:]), said[20:]
        assert ledger.health().state is LedgerState.FINE
    assert len(entries(place)) == 20, "what was refused left nothing behind, not even the good half of a request"


async def test_subscribers_hear_of_what_was_entered_only(place: Place) -> None:
    heard: list[facts.Fact] = []
    async with running(place) as ledger:
        ledger.on_commit = heard.extend
        entered = [world.birth("A", 10), world.death("A", 20)]
        await ledger.append(entered[0], world.death("A", 5), entered[1])
        await asyncio.sleep(0)
    assert heard == entered


async def test_not_opened_yet_is_down(place: Place) -> None:
    ledger = Ledger(place, epoch=lambda: 1)
    with pytest.raises(errors.LedgerDown, match="not opened yet"):
        await ledger.append(world.birth("A"))
    assert ledger.holds(1, "00") is None


async def test_after_closing_nothing_waits_for_ever(place: Place) -> None:
    async with running(place) as ledger:
        pass
    with pytest.raises(errors.LedgerDown, match="closed"):
        await ledger.append(world.birth("A"))


async def test_what_waits_at_closing_is_written(place: Place) -> None:
    async with running(place) as ledger:
        waiting = [asyncio.create_task(ledger.append(world.birth(f"N{n}"))) for n in range(50)]
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    assert len(entries(place)) == 50


async def test_a_place_that_cannot_be_written_is_told_and_mended(tmp_path: Path) -> None:
    blocker = tmp_path / "folder"
    blocker.write_text("in the way")
    async with running(blocker / "l.db", fine=False) as ledger:
        await asyncio.sleep(0.2)
        assert ledger.health().state is LedgerState.DOWN
        with pytest.raises(errors.LedgerDown, match=r"cannot be opened or written.*Mend the volume"):
            await ledger.append(world.birth("A"))
        blocker.unlink()
        await state(ledger, LedgerState.FINE)
        assert (await ledger.append(world.birth("A"))).seq == 1


async def test_a_folder_in_its_place_is_told_and_mended(path: Path) -> None:
    path.mkdir(parents=True)
    async with running(path, fine=False) as ledger:
        await asyncio.sleep(0.2)
        assert "unable to open" in ledger.health().message
        path.rmdir()
        await state(ledger, LedgerState.FINE)


async def test_a_full_disk_is_told_and_mended(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    durable = sqlite._durable

    def small(connection: sqlite3.Connection, record: Any) -> None:
        durable(connection, record)
        connection.execute("pragma max_page_count = 1")  # SQLite takes what the file has already as the least

    with world.written(path, world.birth("A")):
        pass
    monkeypatch.setattr(sqlite, "_durable", small)
    async with running(path) as ledger:
        with pytest.raises(errors.LedgerDown, match=r"cannot grow.*Free disk space"):
            for number in range(2000):
                await ledger.append(world.birth(f"N{number}", zone="z" * 400))
        monkeypatch.setattr(sqlite, "_durable", durable)
        async with asyncio.timeout(10):
            while not await entered(ledger, world.birth("Z", zone="z" * 200_000)):
                await asyncio.sleep(0.05)
    with reading(path) as connection:
        assert chain.verify(queries.links(connection, "c")).first_bad is None


async def test_a_volume_that_takes_no_byte_stays_down(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(path) as ledger:
        await ledger.append(world.birth("A"))
    durable = sqlite._durable

    def read_only(connection: sqlite3.Connection, record: Any) -> None:
        durable(connection, record)
        connection.execute("pragma query_only = on")

    monkeypatch.setattr(sqlite, "_durable", read_only)
    async with running(path, fine=False) as ledger:
        await asyncio.sleep(0.3)
        assert ledger.health().state is LedgerState.DOWN
        assert "readonly" in ledger.health().message
        monkeypatch.setattr(sqlite, "_durable", durable)
        await state(ledger, LedgerState.FINE)


async def test_a_volume_that_becomes_read_only_is_told_while_nothing_is_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable, access = sqlite._durable, os.access

    def read_only(connection: sqlite3.Connection, record: Any) -> None:
        durable(connection, record)
        connection.execute("pragma query_only = on")

    async with running(path) as ledger:
        await ledger.append(world.birth("A"))
        monkeypatch.setattr(sqlite, "_durable", read_only)
        monkeypatch.setattr(os, "access", lambda file, mode: file != path or mode != os.W_OK)
        await state(ledger, LedgerState.DOWN)
        assert "read-only" in ledger.health().message or "readonly" in ledger.health().message
        monkeypatch.setattr(sqlite, "_durable", durable)
        monkeypatch.setattr(os, "access", access)
        await state(ledger, LedgerState.FINE)
        assert (await ledger.append(world.birth("B"))).seq == 2


async def test_a_damaged_file_is_told_and_mended(path: Path, tmp_path: Path) -> None:
    async with running(path) as ledger:
        await ledger.append(world.birth("A"))
    good = tmp_path / "good.db"
    copied(path, good)
    path.write_bytes(b"not a database at all" * 1000)
    async with running(path, fine=False) as ledger:
        await asyncio.sleep(0.2)
        assert ledger.health().state is LedgerState.DOWN
        assert "is damaged" in ledger.health().message
        with pytest.raises(errors.LedgerDown, match="Put the last good copy in its place"):
            await ledger.append(world.birth("B"))
        put_in_place(path, good)
        await state(ledger, LedgerState.FINE)
        assert (await ledger.append(world.birth("B"))).seq == 2


async def test_another_programs_database_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("create table theirs (a)")
    connection.close()
    async with running(path, fine=False) as ledger:
        await asyncio.sleep(0.2)
        assert "is no ledger of exuvia" in ledger.health().message
    with sqlite3.connect(path) as connection:
        assert [row[0] for row in connection.execute("select name from sqlite_master")] == ["theirs"]
    connection.close()


async def test_a_newer_schema_is_left_alone(path: Path) -> None:
    with world.written(path, world.birth("A")) as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    async with running(path, fine=False) as ledger:
        await asyncio.sleep(0.2)
        assert ledger.health().state is LedgerState.DOWN
        assert "newer exuvia (schema 9999)" in ledger.health().message
    with pytest.raises(errors.LedgerTooNew), reading(path):
        pass


async def test_a_lock_is_waited_for_then_told_and_mended(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "PATIENCE_MS", 300)
    async with running(path) as ledger:
        holder = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
                "c.execute('begin immediate'); print('held', flush=True); sys.stdin.read()",
                str(path),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert holder.stdin is not None and holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(errors.LedgerLocked, match="locked by another process"):
            await ledger.append(world.birth("A"))
        assert ledger.health().state is LedgerState.LOCKED
        with pytest.raises(errors.LedgerLocked):
            await asyncio.wait_for(ledger.append(world.birth("A")), 1)
        holder.communicate()
        await state(ledger, LedgerState.FINE)
        assert (await ledger.append(world.birth("A"))).seq == 1


async def test_a_lock_is_told_at_once_and_what_comes_waits_for_its_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "LOCK_MS", 100)
    async with running(path) as ledger:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("begin immediate")
        waiting = [asyncio.create_task(ledger.append(world.birth("A")))]
        await state(ledger, LedgerState.LOCKED, seconds=2)
        waiting.append(asyncio.create_task(ledger.append(world.birth("B"))))
        await asyncio.sleep(0.3)
        assert not any(one.done() for one in waiting)
        other.execute("commit")
        other.close()
        assert [(await one).seq for one in waiting] == [1, 2]
        await state(ledger, LedgerState.FINE)


async def test_what_happens_to_the_file_is_noticed_though_nothing_is_written(path: Path, tmp_path: Path) -> None:
    async with running(path) as ledger:
        await ledger.append(world.birth("A"))
        with sqlite3.connect(path) as connection:
            connection.execute("pragma wal_checkpoint(truncate)")
        connection.close()
        good = path.read_bytes()
        path.write_bytes(b"not a database at all" * 1000)
        await state(ledger, LedgerState.DOWN, seconds=2)
        assert "is damaged" in ledger.health().message
        with path.open("r+b") as file:  # never empty between: an empty file is an empty ledger
            file.write(good)
            file.truncate()
        await state(ledger, LedgerState.FINE)


async def test_a_good_copy_heals_a_broken_chain_and_so_does_a_new_file_that_is_accepted(
    path: Path, tmp_path: Path
) -> None:
    async with running(path) as ledger:
        await ledger.append(world.birth("A"))
        copied(path, tmp_path / "good.db")
        ledger.distrust_chain(1)
        assert "Restore a good copy" in ledger.health().message
        await asyncio.sleep(0.2)
        assert ledger.health().state is LedgerState.NOT_TRUSTED
        put_in_place(path, tmp_path / "good.db")
        await state(ledger, LedgerState.FINE)
        ledger.distrust_chain(1)
        for leftover in path.parent.iterdir():
            leftover.unlink()
        while not path.is_file() or not entries_there(path):
            await asyncio.sleep(0.02)
        assert ledger.health().state is LedgerState.NOT_TRUSTED
        accept(path, by="alice", reason="no good copy is left", at=world.at(1), noted=missed(ledger))
        with suppress(AssertionError):
            await state(ledger, LedgerState.FINE, seconds=2)
        if missed(ledger):  # it was found to be another file only now, so that its entries are missing as well
            accept(path, by="alice", reason="as I said", at=world.at(1), noted=missed(ledger))
        await state(ledger, LedgerState.FINE)


def noted(*names: str) -> list[Noted]:
    return [Noted(seq=int(seq), hash=hash_) for seq, _, hash_ in (one.partition(":") for one in names)]


def missed(ledger: Ledger) -> list[Noted]:
    """What the leader notes in its Lease."""
    return noted(*ledger.health().missing)


SEVEN, EIGHT = f"7:{'ab' * 32}", f"8:{'cd' * 32}"


def entries_there(path: Path) -> bool:
    try:
        return entries(path) == []
    except errors.LedgerError:
        return False


async def test_who_misses_an_entry_is_named(place: Place) -> None:
    async with running(place) as ledger:
        await ledger.append(world.birth("A"))
        ledger.distrust(7, "ab" * 32, named_by="ConfigMap exuvia-system/exuvia-ledger-head")
        names = "the last of which ConfigMap exuvia-system/exuvia-ledger-head names"
        assert f"misses entries 2 to 7, {names}" in ledger.health().message


async def test_the_same_history_in_another_file_goes_on(path: Path, tmp_path: Path) -> None:
    async with running(path) as ledger:
        await ledger.append(world.birth("A"))
        copied(path, tmp_path / "copy.db")
        put_in_place(path, tmp_path / "copy.db")
        try:
            await ledger.append(world.birth("B"))
        except errors.LedgerDown as trouble:
            assert "replaced" in str(trouble)
        await state(ledger, LedgerState.FINE)
        await ledger.append(world.birth("C"))
    with reading(path) as connection:
        assert chain.verify(queries.links(connection, "c")).first_bad is None


async def test_an_older_backup_is_not_trusted_until_the_right_file_is_back(path: Path, tmp_path: Path) -> None:
    async with running(path) as ledger:
        await ledger.append(world.birth("A"))
        copied(path, tmp_path / "old.db")
        await ledger.append(world.birth("B"))
        copied(path, tmp_path / "right.db")
        put_in_place(path, tmp_path / "old.db")
        await state(ledger, LedgerState.NOT_TRUSTED)
        with pytest.raises(errors.LedgerTruncated, match=r"misses entry 2.*exuvia ledger accept"):
            await ledger.append(world.birth("C"))
        put_in_place(path, tmp_path / "right.db")
        await state(ledger, LedgerState.FINE)
        assert (await ledger.append(world.birth("C"))).seq == 3


async def test_a_removed_file_is_not_quietly_begun_anew(path: Path) -> None:
    async with running(path) as ledger:
        receipt = await ledger.append(world.birth("A"))
        for leftover in path.parent.iterdir():
            leftover.unlink()
        await state(ledger, LedgerState.NOT_TRUSTED)
        accept(path, by="alice", reason="the disk burned", at=world.at(1), noted=missed(ledger))
        await state(ledger, LedgerState.FINE)
        assert ledger.holds(1, receipt.hash) is True, "accepted as missing"
        await ledger.append(world.birth("B"))
    assert [kind for _, kind in entries(path)] == ["accepted", "birth"]


async def test_a_file_that_vanishes_within_a_commit_takes_the_commit_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "LOOK_SECONDS", 5)
    async with running(path) as ledger:
        await ledger.append(world.birth("A"))
        with sqlite3.connect(path) as connection:
            connection.execute("pragma wal_checkpoint(truncate)")
        connection.close()
        moved = path.with_name("moved.db")

        def move(*_: object) -> None:
            path.rename(moved)

        event.listen(ledger._engine, "begin", move, once=True)
        with pytest.raises(errors.LedgerDown, match="replaced or removed"):
            await ledger.append(world.birth("B"))
    assert len(entries(moved)) == 1
    assert entries(path) == []


async def test_distrust_holds_until_a_person_accepts_also_over_a_restart(place: Place) -> None:
    missing = "ab" * 32
    async with running(place) as ledger:
        await ledger.append(world.birth("A"))
    async with running(place, lambda: 2) as ledger:
        assert ledger.holds(7, missing) is False
        ledger.distrust(7, missing)
        ledger.distrust(8, missing)
        with pytest.raises(errors.LedgerTruncated):
            await ledger.append(world.birth("B"))
        await asyncio.sleep(0.2)
        assert ledger.health().state is LedgerState.NOT_TRUSTED
        accept(place, by="alice", reason="restored the backup of Monday", at=world.at(1), noted=missed(ledger))
        await state(ledger, LedgerState.FINE)
        await ledger.append(world.birth("B"))
    async with running(place, lambda: 3) as ledger:
        assert ledger.holds(7, missing) is True
        assert ledger.holds(8, missing) is True
        assert ledger.holds(9, missing) is False
    with reading(place) as connection:
        assert chain.verify(queries.links(connection, "c")).first_bad is None


async def test_an_acceptance_while_no_operator_runs_counts_at_the_next_start(place: Place) -> None:
    async with running(place) as ledger:
        await ledger.append(world.birth("A"))
    accept(place, by="alice", reason="restored", at=world.at(1), noted=noted(SEVEN))
    async with running(place, lambda: 2) as ledger:
        assert ledger.holds(7, "ab" * 32) is True
        ledger.distrust(7, "ab" * 32)
        await state(ledger, LedgerState.FINE)


async def test_one_acceptance_is_enough_for_all_that_is_missing_and_for_nothing_else(place: Place) -> None:
    async with running(place, lambda: 2) as ledger:
        await ledger.append(world.birth("A"))
        ledger.distrust(7, "ab" * 32)
        _, lost = accept(place, by="alice", reason="restored", at=world.at(1), noted=noted(SEVEN, EIGHT))
        assert lost == [SEVEN, EIGHT]
        await state(ledger, LedgerState.FINE)
        await ledger.append(world.birth("B"))
        assert ledger.holds(8, "cd" * 32) is True
        ledger.distrust(8, "ef" * 32)
        await asyncio.sleep(0.3)
        assert ledger.health().state is LedgerState.NOT_TRUSTED
        assert (ledger.health().missing, ledger.health().losses) == ((f"8:{'ef' * 32}",), 2)


def test_where_nothing_is_missing_nothing_is_accepted(place: Place) -> None:
    with world.written(place, world.birth("A")) as connection:
        head = appending.head(connection, "c")
    there = [Noted(seq=head.seq, hash=head.hash.hex()), Noted(seq=7, hash="ab" * 32, cluster="another")]
    for some in ([], there):
        with pytest.raises(errors.Refused, match="Nothing is missing"):
            accept(place, by="alice", reason="why", at=world.at(0), noted=some)
    accept(place, by="alice", reason="why", at=world.at(0), noted=noted(SEVEN))
    with pytest.raises(errors.Refused, match="Nothing is missing"):
        accept(place, by="alice", reason="once more", at=world.at(0), noted=noted(SEVEN))
    assert [kind for _, kind in entries(place)] == ["birth", "accepted"]


async def test_a_broken_chain_is_accepted_anew(place: Place) -> None:
    broken = noted(f"1:{'00' * 32}")
    async with running(place, lambda: 2) as ledger:
        await ledger.append(world.birth("A"))
        accept(place, by="alice", reason="restored", at=world.at(1), noted=broken)
        ledger.distrust(1, "00" * 32)
        await asyncio.sleep(0.3)
        assert ledger.health().state is LedgerState.NOT_TRUSTED
        accept(place, by="alice", reason="it was put right", at=world.at(1), noted=broken)
        await state(ledger, LedgerState.FINE)


def test_a_broken_chain_cannot_be_accepted(place: Place, owner: Owner) -> None:
    with world.written(owner(place), world.birth("A")) as connection:
        guarding.unguard(connection)
        connection.execute(text("update entries set epoch = 9"))
        guarding.guard(connection)
    with pytest.raises(errors.LedgerCorrupt, match="entry 1 was changed"):
        accept(place, by="alice", reason="why", at=world.at(0), noted=noted(SEVEN))


async def test_an_acceptance_of_old_does_not_count_for_a_new_loss(place: Place) -> None:
    """One that names nothing was entered by a former version; here nobody settled it, and nothing stands behind it."""
    with world.written(place, world.birth("A"), facts.accepted(by="alice", reason="once", at=world.at(1))):
        pass
    async with running(place, lambda: 2) as ledger:
        ledger.distrust(7, "ab" * 32)
        await asyncio.sleep(0.3)
        assert ledger.health().state is LedgerState.NOT_TRUSTED


def test_accepting_needs_a_reason_and_a_ledger(path: Path) -> None:
    with pytest.raises(errors.InvalidObject, match="needs a reason"):
        accept(path, by="alice", reason="  ", at=world.at(0), noted=[])
    with pytest.raises(errors.LedgerDown, match="There is no ledger"):
        accept(path, by="alice", reason="why", at=world.at(0), noted=[])
    assert not path.exists()


def test_accepting_takes_leadership_from_nobody(place: Place) -> None:
    with world.written(place, world.birth("A")) as connection:
        connection.execute(text("insert into leadership values ('c', 5)"))
    receipt, _ = accept(place, by="alice", reason="why", at=world.at(0), noted=noted(SEVEN))
    with reading(place) as connection:
        assert appending.greatest_epoch(connection, "c") == 5
        row = connection.execute(text("select epoch, body from entries where seq = :n"), {"n": receipt.seq}).one()
    assert row.epoch == 5
    assert '"cluster":"c"' in row.body


def test_reading_holds_up_no_writer_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "with ? and % and #.db"
    with world.written(path, world.birth("A")):
        pass
    with reading(path) as reader:
        assert len(list(queries.links(reader, "c"))) == 1
        with world.written(path, world.birth("B")):
            pass
        assert len(list(queries.links(reader, "c"))) == 1, "one moment"
        with pytest.raises(Exception, match="readonly"):
            reader.exec_driver_sql("insert into leadership values ('x', 1)")
    with reading(path) as reader:
        assert len(list(queries.links(reader, "c"))) == 2


def test_reading_says_what_is_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(errors.LedgerDown, match="There is no ledger"), reading(tmp_path / "none.db"):
        pass
    (tmp_path / "text.db").write_text("hello " * 1000)
    with pytest.raises(errors.LedgerCorrupt, match="damaged"), reading(tmp_path / "text.db"):
        pass
    (tmp_path / "empty.db").touch()
    with pytest.raises(errors.LedgerCorrupt, match="no ledger of exuvia"), reading(tmp_path / "empty.db"):
        pass
