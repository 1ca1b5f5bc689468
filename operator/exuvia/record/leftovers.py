"""What a former ledger left beside its place. SQLite keeps the newest entries of FILE in FILE-wal: beside another file
of that name it would play them into that one, and beside a new one it would delete them."""

from __future__ import annotations

import os
from pathlib import Path

from exuvia import errors

ENDINGS = ("-wal", "-journal", "-shm")
_OF_ENTRIES = ("-wal",)
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
    """Before a file gets the name of a ledger. Raises `errors.LedgerDown` where anything of a former one is there."""
    left = [one for one in _beside(path, ENDINGS) if _size(one) is not None]
    if left and _size(_real(path)) is None:
        raise _refused(path, left[0])


def check_closed(file: Path, place: Path) -> None:
    """Before a file that was written alone gets its name, which what is beside it would not get. Raises
    `errors.LedgerDown` where some of it is not in the file itself."""
    if any(_size(one) for one in _beside(file, _OF_ENTRIES)):
        said = f"The new ledger for {place} could not be written whole. Nothing was imported."
        raise errors.LedgerDown(said, remedy="Look whether the disk is full, and run it again.")


def _refused(path: Path, left: Path) -> errors.LedgerDown:
    said = f"There is no ledger at {path}, and {left.name} of a former one still stands there: a new one is not made."
    return errors.LedgerDown(said, remedy=_REMEDY)


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
