"""A ledger where nobody may write, not even beside it: read whole or refused, never read in part."""

from __future__ import annotations

import ctypes
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from exuvia import errors
from exuvia.record import sqlite, unwritable
from exuvia.record.reading import reading
from tests.record import lives, world

_CAP_DAC_OVERRIDE = 1 << 1
_VERSION_3 = 0x20080522


@contextmanager
def as_anybody() -> Iterator[None]:
    """This thread obeys the bits of files, as root does not: the one capability that overrides them is put aside."""
    if os.geteuid():
        yield
        return
    libc, header = ctypes.CDLL(None, use_errno=True), (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    before = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable, twice
    assert libc.capget(header, before) == 0
    less = (ctypes.c_uint32 * 6)(before[0] & ~_CAP_DAC_OVERRIDE, *before[1:])
    assert libc.capset(header, less) == 0
    try:
        yield
    finally:
        assert libc.capset(header, before) == 0


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody may write in the folder."""
    folder.chmod(0o555)
    try:
        with as_anybody():
            assert not os.access(folder, os.W_OK, effective_ids=True)
            yield
    finally:
        folder.chmod(0o755)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "kept" / "l.db"
    with world.written(path, world.birth("A"), world.death("A", 60)):
        pass
    assert {one.name for one in path.parent.iterdir()} == {"l.db"}
    return path


def unfinished(file: Path, folder: Path, *beside: str) -> Path:
    """A copy made while somebody writes it: a part is still beside the file."""
    folder.mkdir()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA user_version = 77")
        connection.commit()
        for ending in ("", *beside):
            shutil.copy(f"{file}{ending}", f"{folder / file.name}{ending}")
    return folder / file.name


def version(path: Path) -> int:
    with reading(path) as connection:
        return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def test_one_that_was_closed_is_read_and_nothing_is_left_beside_it(file: Path) -> None:
    with locked(file.parent):
        with reading(file) as connection:
            assert [one["type"] for one in lives.life(connection, "A")] == ["birth", "death"]
        assert unwritable.still(file)
    assert {one.name for one in file.parent.iterdir()} == {"l.db"}


def used_up(monkeypatch: pytest.MonkeyPatch, **found: int) -> None:
    """The volume has no room left, by what it says of itself."""
    room = {"f_bavail": 15, "f_frsize": 4096, "f_files": 100, "f_favail": 10, "f_flag": 0}
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(**room | found))


@pytest.mark.parametrize("found", [{}, {"f_bavail": 9999, "f_favail": 0}])
def test_one_on_a_full_volume_is_read_and_nothing_is_written_beside_it(
    file: Path, monkeypatch: pytest.MonkeyPatch, found: dict[str, int]
) -> None:
    used_up(monkeypatch, **found)
    with reading(file) as connection:
        assert [one["type"] for one in lives.life(connection, "A")] == ["birth", "death"]
        assert {one.name for one in file.parent.iterdir()} == {"l.db"}
    file.with_name("l.db-wal").touch()
    file.with_name("l.db-shm").write_bytes(b"\0" * 3)  # as a writer leaves them that found no room
    assert version(file) == 0


def test_one_on_a_full_volume_that_is_written_is_read_with_what_stands_beside_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 77")
        connection.commit()
        used_up(monkeypatch)
        assert version(file) == 77


def test_a_part_of_one_on_a_full_volume_is_named(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = unfinished(file, tmp_path / "part", "-wal")
    used_up(monkeypatch)
    with pytest.raises(
        errors.LedgerDown, match=r"on a volume that is full, and some of it is still in l\.db-wal.*Free disk"
    ):
        version(copy)


def test_a_full_volume_is_said_to_be_full(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite says no more than `disk I/O error` where there is no room for what stands beside the file."""
    trouble = sqlite3.OperationalError("disk I/O error")
    assert "cannot grow" not in str(sqlite.explained(file, trouble))
    used_up(monkeypatch)
    assert "cannot grow: its volume is full (disk I/O error). Free disk space" in str(sqlite.explained(file, trouble))
    used_up(monkeypatch, f_flag=os.ST_RDONLY)
    assert "cannot grow" not in str(sqlite.explained(file, trouble)), "a read-only medium is always used up"


def test_a_link_to_it_is_followed(file: Path, tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(file)
    with locked(file.parent):
        assert version(tmp_path / "link.db") == 0


def test_a_part_that_cannot_be_read_is_named_and_how_to_read_it(file: Path, tmp_path: Path) -> None:
    copy = unfinished(file, tmp_path / "part", "-wal")
    with locked(copy.parent), pytest.raises(errors.LedgerDown) as refused:
        version(copy)
    assert "some of it is still in l.db-wal beside it" in str(refused.value)
    assert "Copy l.db and l.db-wal into a folder that can be written" in str(refused.value)
    assert version(copy) == 77, "and there it is whole"


def test_a_part_that_its_writer_shared_is_read(file: Path, tmp_path: Path) -> None:
    copy = unfinished(file, tmp_path / "whole", "-wal", "-shm")
    with locked(copy.parent):
        assert not unwritable.still(copy)
        assert version(copy) == 77


@pytest.mark.parametrize("ending", ["-wal", "-shm"])
def test_what_is_empty_or_left_over_beside_it_says_nothing(file: Path, ending: str) -> None:
    Path(f"{file}{ending}").write_bytes(b"")
    with locked(file.parent):
        assert version(file) == 0


def test_what_changed_while_it_was_read_does_not_count(file: Path) -> None:
    """Somebody who may write there did, from elsewhere."""
    said = "was written while it was read"
    with locked(file.parent), pytest.raises(errors.LedgerDown, match=said), reading(file):
        os.utime(file, ns=(1, 1))
    with locked(file.parent), pytest.raises(errors.LedgerDown, match=said), reading(file) as connection:
        os.utime(file, ns=(2, 2))
        connection.exec_driver_sql("SELECT * FROM nowhere")


def test_where_it_can_be_written_it_is_read_with_its_writer(file: Path) -> None:
    assert not unwritable.still(file)
    with reading(file) as before:
        assert lives.life(before, "B") == []
        with world.written(file, world.birth("B")):
            pass
        assert lives.life(before, "B") == [], "it sees one moment"
        with reading(file) as after:
            assert [one["type"] for one in lives.life(after, "B")] == ["birth"]
