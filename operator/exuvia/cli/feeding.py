"""Bringing a file of a feed into the ledger: read it whole, compare it with what is known, and enter what differs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from rich.console import Console
from rich.progress import track, wrap_file

from exuvia import errors
from exuvia.model.histories import EPSS, KEV, VEX
from exuvia.observe.feeds import comparing, unpacking
from exuvia.observe.feeds.base import Asked, Feed, Release
from exuvia.observe.feeds.changes import RELEASE, Comparison, Known
from exuvia.observe.feeds.comparing import Terms
from exuvia.record import importing, places, reading, sayings
from exuvia.record import lines as history
from exuvia.record.lines import Line
from exuvia.record.places import Place

STDIN = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One import. `only_known`: pass over what was never seen on a machine and has no score of this feed either.
    `cluster`: whose chain it goes to; scores count for all."""

    feed: Feed
    file: str
    ledger: Place
    asked: Asked
    terms: Terms
    only_known: bool
    cluster: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the ledger knows: what this feed's sources said last, and what was ever seen on a machine."""

    known: tuple[Known, ...] = ()
    seen: frozenset[str] = frozenset()


def bring(job: Job, *, dry: bool) -> Comparison:
    """Enter what is new, changed or gone: all of it or nothing.

    Raises `errors.InvalidObject` with file, line and remedy, `errors.SettingsError` for a file that cannot be read, and
    `errors.LedgerError` as ever.
    """
    memory = _remember(job)
    wanted = memory.seen | {one.score.vulnerability for one in memory.known} if job.only_known else None
    with _naming(job.file):
        release = _read(job.file, job.feed, replace(job.asked, wanted=wanted))
        made = comparing.compare(job.feed, release, memory.known, job.terms)
    if made.steps and not dry:
        lines = _watched(_lines(made), sum(one.lines for one in made.steps))
        importing.load(job.ledger, lines, cluster=job.cluster)
    return made


def _remember(job: Job) -> Memory:
    """Nothing of a ledger that is not there yet: the import makes it."""
    if places.absent(job.ledger):
        return Memory()
    others = () if job.feed.sources else (EPSS, KEV, VEX)
    with reading.reading(job.ledger) as connection:
        seen = sayings.seen(connection) if job.only_known else frozenset[str]()
        known = tuple(_known(job.feed, sayings.sayings(connection, of=job.feed.sources, but=others)))
    return Memory(known=known, seen=seen)


def _known(feed: Feed, said: Iterable[sayings.Saying]) -> Iterator[Known]:
    """Of a feed with a row for each day and vulnerability only what files have in common is kept, and only once."""
    shared: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for one in said:
        body = one.body
        if feed.dated:
            words = tuple(str(body.get(key, "")) for key in RELEASE)
            body = shared.setdefault(words, dict(zip(RELEASE, words, strict=True)))
        yield Known(score=one.score, body=body)


def _read(file: str, feed: Feed, asked: Asked) -> Release:
    with _opened(file) as stream:
        return feed.read(unpacking.lines(stream), asked)


@contextmanager
def _naming(file: str) -> Iterator[None]:
    """Complaints name the file before the line."""
    try:
        yield
    except errors.InvalidObject as trouble:
        place = f"{file}, {trouble.place}" if trouble.place else file
        raise errors.InvalidObject(f"{place}: {trouble.message}", place=place, remedy=trouble.remedy) from trouble


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    """The bytes of a file, or of standard input; with a bar where a person looks on."""
    if file == STDIN:
        yield sys.stdin.buffer
        return
    path = Path(file)
    try:
        with path.open("rb") as raw, _shown(raw, path.stat().st_size) as shown:
            yield shown
    except OSError as trouble:
        why = trouble.strerror or str(trouble)
        raise errors.SettingsError(f"{file} cannot be read: {why}.", remedy="Name a file that is there.") from trouble


def _shown(raw: BinaryIO, size: int) -> AbstractContextManager[BinaryIO]:
    if not _watched_by_a_person():
        return nullcontext(raw)
    return wrap_file(raw, size, description="reading", console=Console(stderr=True), transient=True)


def _lines(made: Comparison) -> Iterator[Line]:
    for number, body in enumerate(made.bodies(), start=1):
        yield history.of(body, number=number, recorded=made.recorded)


def _watched(lines: Iterable[Line], total: int) -> Iterable[Line]:
    if not _watched_by_a_person():
        return lines
    return track(lines, "writing", total, console=Console(stderr=True), transient=True)


def _watched_by_a_person() -> bool:
    return sys.stderr.isatty()
