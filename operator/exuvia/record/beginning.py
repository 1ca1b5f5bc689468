"""The ledger that an import goes to. Where there is none, a new one is made beside its place and put there once all is
well: a file that is refused, or an import that is interrupted, leaves no ledger behind.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from exuvia import errors
from exuvia.record import leftovers, opening, places
from exuvia.record.places import Place

NOTHING = "nothing was entered"
AT_THE_END = "all was entered or nothing: run it again, which enters nothing twice"
"""What an interruption left."""
_PREFIX = ".exuvia-"


@dataclass(slots=True)
class Ledger:
    """One that is open to be written. `made`: it is new. `keep`: what was entered is worth a new ledger. `ending`: what
    was entered may become durable from now on."""

    engine: Engine
    made: bool = False
    keep: bool = False
    ending: bool = False


def check(place: Place) -> None:
    """Raises `errors.SettingsError` where there is neither a ledger nor a folder to make one in, or a folder itself,
    and `errors.LedgerDown` where something of a former ledger stands in the way of a new one."""
    if isinstance(place, Path) and place.is_dir():
        raise errors.SettingsError(f"{place} is a folder, no ledger.", remedy="Name a file by --ledger.")
    if isinstance(place, Path) and places.absent(place):
        parent = Path(os.path.realpath(place)).parent
        if not parent.is_dir():
            remedy = "Name the right file by --ledger; for a new one make the folder first."
            raise errors.SettingsError(f"There is no ledger at {place}, nor a folder {parent}.", remedy=remedy)
        leftovers.check_all(place)


@contextmanager
def ledger(place: Place) -> Iterator[Ledger]:
    """Within the block it is written; durable when the block was left. Raises `errors.SettingsError` where there is
    neither a ledger nor its folder, `errors.LedgerError` as ever; a `KeyboardInterrupt` says what was entered."""
    if isinstance(place, Path) and places.absent(place):
        with _new(place) as found, _told(found):
            yield found
        return
    engine = opening.open_for_writing(place)
    try:
        found = Ledger(engine)
        with _told(found):
            yield found
    finally:
        engine.dispose()


@contextmanager
def _told(found: Ledger) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(AT_THE_END if found.ending else NOTHING) from stop


@contextmanager
def _new(place: Path) -> Iterator[Ledger]:
    """Its engine is closed, and the journal with it, before the file gets its name."""
    with _folder(place) as folder:
        file = folder / "ledger.db"
        found = Ledger(_opened(file, place))
        try:
            yield found
        finally:
            found.engine.dispose()
        if found.keep:
            _put(file, place)
            found.made = True


def _opened(file: Path, place: Path) -> Engine:
    """Trouble is about the ledger as it was named."""
    try:
        return opening.open_for_writing(file)
    except errors.LedgerError as trouble:
        said = trouble.message.replace(str(file), str(place))
        raise type(trouble)(said, remedy=trouble.remedy) from trouble


@contextmanager
def _folder(place: Path) -> Iterator[Path]:
    check(place)
    parent = Path(os.path.realpath(place)).parent
    try:
        made = tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent)
    except OSError as trouble:
        said = f"There is no ledger at {place}, and none can be made in {parent}: {trouble.strerror}."
        raise errors.LedgerDown(said, remedy="Name the right file by --ledger, or mend the rights.") from trouble
    with made as name:
        yield Path(name)


def _put(file: Path, place: Path) -> None:
    """Under its name, whole and at once, where nothing has got that name meanwhile; and the folder knows it also after
    a power loss."""
    leftovers.check_closed(file, place)
    leftovers.check_all(place)
    target = Path(os.path.realpath(place))
    try:
        os.link(file, target)
    except FileExistsError as trouble:
        said = f"Somebody else made a ledger at {place} meanwhile: nothing was imported."
        raise errors.LedgerLocked(said, remedy="Run it again.") from trouble
    except OSError as trouble:
        raise _unlinked(place, trouble) from trouble
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _unlinked(place: Path, trouble: OSError) -> errors.LedgerDown:
    return errors.LedgerDown(
        f"A new ledger cannot be put at {place}, which needs a hard link: {trouble.strerror}. Nothing was imported.",
        remedy=f"Mend the volume or its rights; where it has no hard links make an empty file there (`touch {place}`),"
        " and run it again.",
    )
