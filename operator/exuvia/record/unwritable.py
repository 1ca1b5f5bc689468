"""A ledger file in a folder that nobody may write in: a read-only mount, an archive, a snapshot of a volume.

SQLite notes beside the file who reads it, and what is not in it yet stands beside it too. Where neither can be, it can
only be read as a file that never changes (`immutable`), which gives wrong answers if it does. So it is done only where
nothing beside the file says that somebody writes it, and what was read counts only if it did not change meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exuvia import errors

_BESIDE = ("-wal", "-shm", "-journal")
_Stamp = tuple[tuple[int, int, int] | None, ...]


def still(path: Path) -> bool:
    """Whether the file can only be read as one that never changes. Raises `errors.LedgerDown` where that would leave
    out what stands beside it."""
    real = _real(path)
    if os.access(real.parent, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        return False
    written, shared, undone = (_size(real, one) for one in _BESIDE)
    if written is not None and shared is not None:
        return False  # whoever writes it shared what is needed to read it
    if written or undone:
        with_it = real.name + ("-wal" if written else "-journal")
        raise errors.LedgerDown(
            f"The ledger {path} is in a folder that cannot be written, and some of it is still in {with_it} beside it.",
            remedy=f"Copy {real.name} and {with_it} into a folder that can be written, and name the copy by --ledger.",
        )
    return True


@contextmanager
def unchanged(path: Path) -> Iterator[None]:
    """Within the block a file that is read as one that never changes may not. Raises `errors.LedgerDown` if it did, as
    no answer from it counts then; files that are read in the plain way are left alone."""
    before = _stamp(path) if still(path) else None
    try:
        yield
    except errors.LedgerError as trouble:
        if before is not None and before != _stamp(path):
            raise _changed(path) from trouble
        raise
    if before is not None and before != _stamp(path):
        raise _changed(path)


def _changed(path: Path) -> errors.LedgerDown:
    return errors.LedgerDown(
        f"The ledger {path} was written while it was read, in a folder that cannot be written from here.",
        remedy="The answer does not count: ask again, or copy the ledger and ask the copy.",
    )


def _real(path: Path) -> Path:
    """Where what belongs to it stands beside it: a link is followed, as SQLite does."""
    return Path(os.path.realpath(path))


def _size(real: Path, ending: str) -> int | None:
    try:
        return real.with_name(real.name + ending).stat().st_size
    except OSError:
        return None


def _stamp(path: Path) -> _Stamp:
    real = _real(path)
    return tuple(_state(real.with_name(real.name + ending)) for ending in ("", *_BESIDE))


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
