"""A ledger file beside which nothing can be written: on a read-only mount, in an archive, a snapshot of a volume, or on
one that is full to the last byte.

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

_ROOM = 65_536
"""Bytes that what is noted beside the file needs at least."""
_SHARED = 32_768
"""Bytes of what a writer shares, at least; less is what one left that found no room for it."""
_BESIDE = ("-wal", "-shm", "-journal")
_Stamp = tuple[tuple[int, int, int] | None, ...]


def still(path: Path) -> bool:
    """Whether the file can only be read as one that never changes. Raises `errors.LedgerDown` where that would leave
    out what stands beside it."""
    real = _real(path)
    writable = os.access(real.parent, os.W_OK, effective_ids=os.access in os.supports_effective_ids)
    if writable and not full(real):
        return False
    written, shared, undone = (_size(real, one) for one in _BESIDE)
    if written is not None and shared is not None and shared >= _SHARED:
        return False  # whoever writes it shared what is needed to read it
    if written or undone:
        with_it = real.name + ("-wal" if written else "-journal")
        where = "on a volume that is full" if writable else "in a folder that cannot be written"
        way = "Free disk space; or copy" if writable else "Copy"
        raise errors.LedgerDown(
            f"The ledger {path} is {where}, and some of it is still in {with_it} beside it.",
            remedy=f"{way} {real.name} and {with_it} into a folder that can be written, and name the copy by --ledger.",
        )
    return True


def full(path: Path) -> bool:
    """Whether its volume could be written and has no room left. A medium that is read-only is not called full."""
    try:
        found = os.statvfs(_real(path).parent)
    except OSError:
        return False
    used_up = found.f_bavail * found.f_frsize < _ROOM or (found.f_files > 0 and not found.f_favail)
    return used_up and not found.f_flag & os.ST_RDONLY


@contextmanager
def unchanged(path: Path) -> Iterator[bool]:
    """Within the block, which is told so, a file that is read as one that never changes may not. Raises
    `errors.LedgerDown` if it did, as no answer from it counts then; files that are read in the plain way are left
    alone."""
    before = _stamp(path) if still(path) else None
    try:
        yield before is not None
    except errors.LedgerError as trouble:
        if before is not None and before != _stamp(path):
            raise _changed(path) from trouble
        raise
    if before is not None and before != _stamp(path):
        raise _changed(path)


def _changed(path: Path) -> errors.LedgerDown:
    return errors.LedgerDown(
        f"The ledger {path} was written while it was read, where nothing could say beside it that it is read.",
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
