"""The lives of machines, from a file of facts (history.md) or from the ledger: of each the version that holds now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from exuvia import errors
from exuvia.cli import clusters, texts
from exuvia.model.histories import Life
from exuvia.record import chain, lines, lived
from exuvia.record.lines import Line
from exuvia.record.places import Place
from exuvia.record.reading import reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the lives of a ledger with several clusters are from: the cluster that was asked for (None: all), and that
    of each UID."""

    asked: str | None
    clusters: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lives:
    """One life a UID. `dead` are the lines that say what cannot have been; they were left out. `origin`: only
    where there are several clusters; a file names none."""

    lives: tuple[Life, ...]
    dead: tuple[Line, ...] = ()
    origin: Origin | None = None


def read(file: str, *, recorded: int) -> Lives:
    """The lives of a file, plain or gzip, or - for standard input; lines of other types are checked and passed over.
    `recorded` counts where a line has no `recordedAt`. Raises `errors.InvalidObject` naming the first line that
    cannot be used, `errors.SettingsError`."""
    try:
        with texts.lines(file, "reading", texts.HISTORY) as told:
            return known(lines.read(told, recorded=recorded))
    except errors.InvalidObject as trouble:
        named = trouble.message.startswith(trouble.place)
        said = trouble.message if named else f"{trouble.place}: {trouble.message}"
        raise errors.InvalidObject(f"{file}: {said}", place=trouble.place, remedy=trouble.remedy) from None


def remembered(ledger: Place, *, until: int, named: str | None) -> Lives:
    """The lives of a ledger, as recorded up to a moment (microseconds); of a cluster, or of all. Raises
    `errors.LedgerError`, and `errors.SettingsError` for a cluster that it has not."""
    with reading(ledger) as connection:
        asked = clusters.chosen(connection, named)
        found = tuple(lived.lives(connection, until, cluster=asked))
        several = clusters.several(connection)
    origin = Origin(asked=asked, clusters={life.uid: of for of, life in found}) if several else None
    return Lives(lives=tuple(life for _, life in found), origin=origin)


def known(found: Iterable[Line]) -> Lives:
    """What holds of each life: the version recorded last; of equal ones the greater canonical JSON."""
    best: dict[str, tuple[tuple[int, bytes], Life]] = {}
    dead = []
    for line in found:
        life = line.version
        if not isinstance(life, Life):
            continue
        if line.dead:
            dead.append(line)
            continue
        rank = (life.recorded, _canonical(line))
        if life.uid not in best or best[life.uid][0] < rank:
            best[life.uid] = (rank, life)
    return Lives(lives=tuple(life for _, life in best.values() if not life.withdrawn), dead=tuple(dead))


def _canonical(line: Line) -> bytes:
    try:
        return chain.canonical(line.body)
    except errors.InvalidObject as trouble:
        place = f"line {line.number}"
        raise errors.InvalidObject(f"{place}: {trouble.message}", place=place, remedy=trouble.remedy) from trouble
