"""What a former ledger left beside its place. SQLite keeps the newest entries of FILE in FILE-wal: beside another file
of that name it would play them into that one, and beside a new one it would delete them. A read leaves one that is
empty, and FILE-shm, which holds no entries: these are no trace, as long as nobody has the former ledger open."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from exuvia import errors

SHARED = "-shm"
_OF_ENTRIES = ("-wal",)
_OF_CONTENT = ("-wal", "-journal")
_IN_USE = 128
"""The byte of FILE-shm on which SQLite keeps a lock for each process that has FILE open."""
_REMEDY = (
    "Put the file back in its place, or move what stands there into the folder where the file went: its newest entries"
    " may be only there. A running exuvia goes on by itself."
)


def check(path: Path) -> None:
    """Before a ledger is begun by opening it. Raises `errors.LedgerDown` where that would destroy entries of a former
    one; no file, and an empty one, say that it is begun."""
    left = [one for one in _beside(path, _OF_ENTRIES) if _size(one)]
    if left and not _size(_real(path)):  # asked last: one that is being made by somebody has its journal later
        raise _refused(path, left[0])


def check_all(path: Path) -> None:
    """Before a file gets the name of a ledger. Raises `errors.LedgerDown` where a former one is open still, or left
    more than empty files."""
    left = [one for one in _beside(path, _OF_CONTENT) if _size(one)]
    shared = _beside(path, (SHARED,))[0]
    if left and _size(_real(path)) is None:
        raise _refused(path, left[0])
    if _size(_real(path)) is None and _in_use(shared):
        said = f"There is no ledger at {path}, but a process has a former one open still, by {shared.name}:"
        raise errors.LedgerDown(f"{said} a new one is not made.", remedy="End that process, and run it again.")


def check_closed(file: Path, place: Path) -> None:
    """Before a file that was written alone gets its name, which what is beside it would not get. Raises
    `errors.LedgerDown` where some of it is not in the file itself."""
    if any(_size(one) for one in _beside(file, _OF_ENTRIES)):
        said = f"The new ledger for {place} could not be written whole. Nothing was imported."
        raise errors.LedgerDown(said, remedy="Look whether the disk is full, and run it again.")


def _refused(path: Path, left: Path) -> errors.LedgerDown:
    said = f"There is no ledger at {path}, and {left.name} of a former one still stands there: a new one is not made."
    return errors.LedgerDown(said, remedy=_REMEDY)


def _in_use(shared: Path) -> bool:
    """Whether another process has that ledger open: it would go on with what it knows of it in the new one. So has one
    that cannot be asked. What may not be written SQLite will not share."""
    try:
        with shared.open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _IN_USE)
    except (FileNotFoundError, PermissionError):
        return False
    except OSError:
        return True
    return False


def _beside(path: Path, endings: tuple[str, ...]) -> list[Path]:
    real = _real(path)
    return [real.with_name(real.name + one) for one in endings]


def _real(path: Path) -> Path:
    """Where what belongs to it stands beside it: a link is followed, as SQLite does."""
    return Path(os.path.realpath(path))


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
