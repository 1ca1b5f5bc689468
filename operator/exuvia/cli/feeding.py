"""Bringing a file of a feed into the ledger: read it whole, compare it with what is known, and enter what differs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from exuvia import errors
from exuvia.cli import ledgers, progress, texts
from exuvia.model.histories import EPSS, KEV, VEX
from exuvia.observe.feeds import comparing, unpacking
from exuvia.observe.feeds.base import Asked, Feed, Release
from exuvia.observe.feeds.changes import RELEASE, Comparison, Known
from exuvia.observe.feeds.comparing import Terms
from exuvia.record import beginning, importing, places, preparing, reading, sayings
from exuvia.record import lines as history
from exuvia.record.importing import Imported
from exuvia.record.lines import Line
from exuvia.record.places import Place, Server


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One import. `only_known`: pass over what was never seen on a machine and has no score of this feed either.
    `cluster`: whose chain it goes to; scores count for all. `new`: there is no ledger yet, see `absent`."""

    feed: Feed
    file: str
    ledger: Place
    asked: Asked
    terms: Terms
    only_known: bool
    cluster: str | None = None
    new: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the ledger knows: what this feed's sources said last, and what was ever seen on a machine."""

    known: tuple[Known, ...] = ()
    seen: frozenset[str] = frozenset()


def absent(ledger: Place) -> bool:
    """Whether there is no ledger yet and the import makes it: no file, or a database that holds nothing. Raises
    `errors.LedgerError`."""
    return preparing.vacant(ledger) if isinstance(ledger, Server) else places.absent(ledger)


def bring(job: Job, *, dry: bool) -> tuple[Comparison, Imported | None]:
    """Enter what is new, changed or gone: all of it or nothing. Also gives what came of the entering, if there was any.

    Raises `errors.InvalidObject` with file, line and remedy, `errors.SettingsError` for a file that cannot be read, and
    `errors.LedgerError` as ever.
    """
    memory = _remember(job)
    wanted = memory.seen | {one.score.vulnerability for one in memory.known} if job.only_known else None
    with _naming(job.file):
        release = _read(job.file, job.feed, replace(job.asked, wanted=wanted))
        made = comparing.compare(job.feed, release, memory.known, job.terms)
    if made.steps and not dry:
        _begin(job)
        total = sum(one.lines for one in made.steps)
        with closing(progress.shown(_lines(made), "writing", total=total)) as lines:
            return made, importing.load(job.ledger, lines, cluster=job.cluster)
    return made, None


def _begin(job: Job) -> None:
    """A file is made by the import itself."""
    if job.new and isinstance(job.ledger, Server) and not ledgers.begin(job.ledger):
        said = f"Somebody else began a ledger in {job.ledger} meanwhile: nothing was imported."
        raise errors.LedgerLocked(said, remedy="Run it again.")


def _remember(job: Job) -> Memory:
    """Nothing of a ledger that is not there yet: the import makes it."""
    if job.new:
        beginning.check(job.ledger)
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
    with texts.lines(file, "reading", unpacking.FEED) as lines:
        first = next(lines, None)
        if first is None:
            raise errors.InvalidObject("the file is empty", place="line 1", remedy="Fetch it again.")
        return feed.read(chain([first], lines), asked)


@contextmanager
def _naming(file: str) -> Iterator[None]:
    """Complaints name the file before the line."""
    try:
        yield
    except errors.InvalidObject as trouble:
        place = f"{file}, {trouble.place}" if trouble.place else file
        raise errors.InvalidObject(f"{place}: {trouble.message}", place=place, remedy=trouble.remedy) from trouble


def _lines(made: Comparison) -> Iterator[Line]:
    for number, body in enumerate(made.bodies(), start=1):
        yield history.of(body, number=number, recorded=made.recorded)
