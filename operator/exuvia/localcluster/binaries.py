"""Finding the control plane's executables: a folder named by the user, the cache, a build from Go modules."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exuvia import errors
from exuvia.localcluster import building, versions

NAMES = tuple(one.name for one in versions.BINARIES)
FOLDER_VARIABLE = "EXUVIA_BINARIES"


def cache_root() -> Path:
    """`$XDG_CACHE_HOME/exuvia`, else `~/.cache/exuvia`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "exuvia"


def ensure(folder: str = "") -> Path:
    """The folder that holds all six executables. Builds what is missing; says what it does on stderr.

    Raises `errors.SettingsError` when a named folder is incomplete or nothing can be built; it names the ways out.
    """
    named = folder or os.environ.get(FOLDER_VARIABLE, "")
    if named:
        return _named(Path(named))
    home = cache_root() / "binaries" / versions.content_key()
    if not missing(home):
        return home
    home.parent.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(home.parent / f"{home.name}.lock"):
        if missing(home):
            _build_into(home)
    return home


def missing(folder: Path) -> list[str]:
    """Names of executables that the folder lacks."""
    return [name for name in NAMES if not os.access(folder / name, os.X_OK)]


def _named(folder: Path) -> Path:
    lacking = missing(folder)
    if lacking:
        raise errors.SettingsError(
            f"The folder {folder} lacks {', '.join(lacking)}.",
            remedy=f"Put the executables there, or unset {FOLDER_VARIABLE} to have them built.",
        )
    return folder.resolve()


def _build_into(home: Path) -> None:
    """Build into a folder beside it and move it there whole, so that a broken build never looks complete."""
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="build-", dir=home.parent) as work:
        made = building.build(Path(work), tuple(one for one in versions.BINARIES if one.name in missing(home)))
        for path in made:
            shutil.move(path, home / path.name)


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Two processes do not build the same: the second waits and then finds it done."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
