"""What a former ledger left beside its place is neither played into a new one nor deleted for it."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from exuvia import errors
from exuvia.model.facts import LedgerState
from exuvia.record import chains, exporting, importing, leftovers, opening
from exuvia.record.ledger import Ledger
from exuvia.record.lines import Line
from exuvia.record.reading import reading
from tests.record import lives, world
from tests.record.test_importing import instance, parsed


def killed(path: Path, uid: str) -> None:
    """The files of a writer that was killed: its newest entry is only in the journal."""
    done = path.with_name("done.db")
    opening.open_for_writing(done).dispose()
    with closing(sqlite3.connect(done)) as reader:
        reader.execute("select count(*) from entries").fetchall()
        with world.written(done, world.birth(uid)):
            pass
        for ending in ("", "-wal", "-shm"):
            path.with_name(path.name + ending).write_bytes(done.with_name(done.name + ending).read_bytes())
    done.unlink()
    assert path.with_name(f"{path.name}-wal").stat().st_size


def uids(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        return [one for (one,) in connection.execute("select uid from lives order by uid")]


def test_an_import_never_meets_the_journal_of_a_former_ledger(tmp_path: Path) -> None:
    path, moved = tmp_path / "l.db", tmp_path / "moved.db"
    killed(path, "OLD")
    path.rename(moved)
    with pytest.raises(errors.LedgerDown, match=r"no ledger at .*/l\.db, and l\.db-wal of a former one still stands"):
        importing.load(path, parsed(instance("A", 0, 5, 0)))
    assert not path.exists()
    (tmp_path / "l.db-wal").rename(tmp_path / "moved.db-wal")
    assert importing.load(path, parsed(instance("A", 0, 5, 0))).made
    assert (uids(path), uids(moved)) == (["A"], ["OLD"])


def test_what_a_read_left_is_no_trace_of_a_former_ledger(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    importing.load(path, parsed(instance("OLD", 0, 5, 0)))
    with reading(path) as connection:
        assert lives.life(connection, "OLD")
    path.unlink()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["l.db-shm", "l.db-wal"]
    assert importing.load(path, parsed(instance("A", 0, 5, 0))).made
    assert uids(path) == ["A"]
    opening.open_for_writing(path).dispose()
    assert uids(path) == ["A"]


def test_who_has_a_former_ledger_open_is_not_given_a_new_one(tmp_path: Path) -> None:
    """Both would take what stands in FILE-shm for their own: how many pages there are, and what is in the journal."""
    path = tmp_path / "l.db"
    importing.load(path, parsed(instance("OLD", 0, 5, 0)))
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('select * from entries').fetchall();"
        " print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None and reader.stdout.readline() == "open\n"
        path.unlink()
        with pytest.raises(errors.LedgerDown, match=r"has a former one open still, by l\.db-shm.*End that process"):
            importing.load(path, parsed(instance("A", 0, 5, 0)))
        reader.communicate("")
    assert importing.load(path, parsed(instance("A", 0, 5, 0))).made
    assert uids(path) == ["A"]


@pytest.mark.parametrize("ending", ["-wal", "-journal"])
def test_what_came_beside_the_place_meanwhile_refuses_facts_and_a_chain(tmp_path: Path, ending: str) -> None:
    left = tmp_path / f"l.db{ending}"

    def lines_of_one() -> Iterator[Line]:
        yield from parsed(instance("A", 0, 5, 0))
        left.write_bytes(b"x")

    with pytest.raises(errors.LedgerDown, match=f"l.db{ending} of a former one"):
        importing.load(tmp_path / "l.db", lines_of_one())
    with world.written(tmp_path / "source.db", world.birth("A")) as connection:
        texts = list(exporting.lines(connection, "c"))
    with pytest.raises(errors.LedgerDown, match=f"l.db{ending} of a former one"):
        chains.load(tmp_path / "l.db", texts)
    assert sorted(one.name for one in tmp_path.iterdir() if one.name.startswith(("l.db", "."))) == [f"l.db{ending}"]


def test_who_opens_the_place_while_a_ledger_is_put_there_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator that starts in this very moment."""
    path, real = tmp_path / "l.db", os.link

    def link(*names: Path) -> None:
        monkeypatch.undo()
        with world.written(path, world.birth("OPERATOR")):
            pass
        real(*names)

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(errors.LedgerLocked, match="Somebody else made a ledger"):
        importing.load(path, parsed(instance("A", 0, 5, 0)))
    assert uids(path) == ["OPERATOR"]
    importing.load(path, parsed(instance("A", 0, 5, 0)), cluster="c")
    assert uids(path) == ["A", "OPERATOR"]


def test_a_volume_without_hard_links_is_named_and_has_a_way_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(errors.LedgerDown, match=r"needs a hard link: Operation not permitted.*`touch .*/l\.db`"):
        importing.load(tmp_path / "l.db", parsed(instance("A", 0, 5, 0)))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "l.db").touch()
    assert importing.load(tmp_path / "l.db", parsed(instance("A", 0, 5, 0))).entered == 1
    assert uids(tmp_path / "l.db") == ["A"]


@pytest.mark.parametrize("begun", [None, b""])
async def test_an_operator_deletes_no_journal_and_goes_on_without(tmp_path: Path, begun: bytes | None) -> None:
    path, away = tmp_path / "l.db", tmp_path / "away"
    away.mkdir()
    killed(path, "OLD")
    path.rename(away / "l.db")
    if begun is not None:
        path.write_bytes(begun)
    ledger = Ledger(path, cluster="c", epoch=lambda: 1)
    ledger.start()
    try:
        await asyncio.sleep(0.2)
        health = ledger.health()
        assert health.state is LedgerState.DOWN
        assert "l.db-wal of a former one still stands there" in health.message
        (tmp_path / "l.db-wal").rename(away / "l.db-wal")
        async with asyncio.timeout(10):
            while ledger.health().state is not LedgerState.FINE:
                await asyncio.sleep(0.05)
        await ledger.append(world.birth("NEW"))
    finally:
        ledger.close()
    assert (uids(path), uids(away / "l.db")) == (["NEW"], ["OLD"])


def test_what_a_crash_left_of_the_very_making_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "l.db").touch()
    for ending in ("-wal", "-shm", "-journal"):
        (tmp_path / f"l.db{ending}").touch()
    (tmp_path / "l.db-journal").write_bytes(b"\0" * 512)
    opening.open_for_writing(tmp_path / "l.db").dispose()
    with reading(tmp_path / "l.db") as connection:
        assert lives.life(connection, "A") == []


def test_a_shared_file_that_may_not_be_written_is_nobodys_that_would_share_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite says itself that it may not; nobody is told to end a process that there is not."""
    (tmp_path / "l.db-shm").touch()

    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", refused)
    leftovers.check_all(tmp_path / "l.db")
