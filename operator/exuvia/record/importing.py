"""Taking history from elsewhere: lines into the chain and the tables, all of a file or nothing (history.md, Ledger).

While they are entered nobody else can write to a file: so they are read, checked and settled before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sqlalchemy import Connection, func, select

from exuvia import errors
from exuvia.model.facts import Fact, FactKind, Receipt, microseconds
from exuvia.record import (
    appending,
    beginning,
    chain,
    naming,
    opening,
    projecting,
    queries,
    recognising,
    settling,
    tables,
)
from exuvia.record.lines import Line
from exuvia.record.moments import moment
from exuvia.record.places import Place
from exuvia.record.recognising import Told
from exuvia.record.settling import Settled
from exuvia.record.wording import Wording, Words

IMPORTS = " imports"
"""One import at a time, of whatever cluster: two of the same feed would meet in the same rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What came of an import: lines entered, lines that went to the dead letters with (line number, reason), and the
    last entry of the chain, which is that of `cluster`. `known`: lines that were there already, word for word.
    `outweighed`: lines about the same thing as another line of the file, which holds as of now. `made`: the ledger was
    made for it; `begun`: the chain was."""

    cluster: str
    entered: int
    dead: tuple[tuple[int, str], ...]
    head: Receipt
    known: int = 0
    outweighed: int = 0
    begun: bool = False
    made: bool = False


def load(place: Place, lines: Iterable[Line], *, cluster: str | None = None) -> Imported:
    """Enter lines in one transaction; durable when it returns. Where there is no ledger one is made, in a folder that
    is there; not for a file that is refused, or of which nothing is kept.

    `cluster`: whose chain it goes to ("" is the one without a name); by default that of the cluster which wrote last.
    Takes leadership from nobody.
    Raises `errors.InvalidObject` for a line that cannot be used and `errors.LedgerError`: nothing was entered then.
    """
    with beginning.ledger(place) as found, settling.settled(lines) as settled:
        with opening.in_words(place), found.engine.begin() as connection:
            opening.alone(connection, IMPORTS)
            writer = writer_for(connection, cluster)
            opening.alone(connection, writer.cluster)
            made = _enter(connection, settled, writer)
            found.ending = True
        found.keep = bool(made.entered or made.dead)
    return replace(made, made=found.made)


def writer_for(connection: Connection, cluster: str | None) -> appending.Writer:
    """In whose name a person adds to the ledger: the named cluster, else the one that led last, else the only one.

    Raises `errors.SettingsError` where there are several and none is named.
    """
    named = _found(connection) if cluster is None else cluster
    return appending.Writer(cluster=named, epoch=appending.greatest_epoch(connection, named))


def _found(connection: Connection) -> str:
    led, shared = _led(connection), connection.dialect.name == "postgresql"
    if led:
        return naming.only(led) if shared else led[0]
    return naming.only(queries.clusters(connection) or ("",))


def _led(connection: Connection) -> tuple[str, ...]:
    """Whoever led, the last one first: in a file epochs are of one installation; in a database each cluster has its
    own, and they tell no order."""
    table = tables.leadership
    chosen = select(table.c.cluster).group_by(table.c.cluster).order_by(func.max(table.c.epoch).desc())
    return tuple(connection.scalars(chosen))


def enter(connection: Connection, lines: Iterable[Line], writer: appending.Writer) -> Imported:
    """Enter lines within a transaction that somebody else began and will commit. One moment of recording for all."""
    with settling.settled(lines) as settled:
        return _enter(connection, settled, writer)


def _enter(connection: Connection, settled: Settled, writer: appending.Writer) -> Imported:
    """Recorded later than all that the chain has, also where a clock went back: what is told now holds from now on."""
    head = appending.head(connection, writer.cluster)
    recorded = max(microseconds(datetime.now(UTC)), head.recorded + 1)
    wording = Wording(writer.cluster, settled.scores)
    task = _Task(connection=connection, writer=writer, recorded=recorded, head=head, wording=wording)
    for page in settled.pages():
        told = [one for one in page if not settled.outweighed(one)]
        task.outweighed += len(page) - len(told)
        task.take(told)
    return Imported(
        cluster=writer.cluster,
        entered=task.entered,
        known=task.known,
        outweighed=task.outweighed,
        dead=tuple(task.dead),
        head=appending.receipt(task.head),
        begun=not head.seq and task.head.seq > 0,
    )


@dataclass(slots=True, kw_only=True)
class _Task:
    """Entering the lines of one import, page by page: each page is read for and written together."""

    connection: Connection
    writer: appending.Writer
    recorded: int
    head: appending.Head
    wording: Wording
    entered: int = 0
    known: int = 0
    outweighed: int = 0
    dead: list[tuple[int, str]] = field(default_factory=list)
    letters: set[Words] | None = None

    def take(self, page: Sequence[Line]) -> None:
        """Enter what is new of a page."""
        batch = appending.Batch()
        told = [self._told(one) for one in page]
        projecting.read_ahead(self.connection, batch, (self._ahead(one) for one in told))
        alive = [one for one in told if not one.line.dead]
        for one in told:
            if one.line.dead:
                self._bury(batch, one)
        known = recognising.known(self.connection, batch, alive, self.wording, cluster=self.writer.cluster)
        for place, one in enumerate(alive):
            if place not in known:
                self._add(batch, one)
                self.wording.add(one.line, one.words)
        self.known += len(known)
        self.entered += len(alive) - len(known)
        batch.flush(self.connection)

    def _told(self, line: Line) -> Told:
        with _naming(line):
            fact = Fact(kind=FactKind(line.type), at=_at(line), body=line.body)
            return recognising.told(self.connection, line, fact, recorded=self.recorded)

    def _ahead(self, one: Told) -> projecting.Told:
        """As it is asked for; its number is not known yet."""
        line, kind, at = one.line, one.fact.kind, one.line.at
        return projecting.Told(
            cluster=self.writer.cluster, seq=0, kind=kind, at=at, recorded=self.recorded, body=line.body, line=line
        )

    def _add(self, batch: appending.Batch, one: Told) -> None:
        with _naming(one.line):
            made = appending.add(
                self.connection,
                self.head,
                one.fact,
                self.writer,
                recorded=self.recorded,
                batch=batch,
                line=one.line,
            )
            self.head = made or self.head

    def _bury(self, batch: appending.Batch, one: Told) -> None:
        """What cannot have been so is named each time, and kept once."""
        self.dead.append((one.line.number, one.line.dead))
        if self.letters is None:
            self.letters = set(_letters(self.connection, self.writer.cluster))
        if one.words not in self.letters:
            self.letters.add(one.words)
            self._add(batch, one)


def _letters(connection: Connection, cluster: str) -> Iterator[Words]:
    """What lies there already."""
    table = tables.dead_letters
    for body in connection.scalars(select(table.c.body).where(table.c.cluster == cluster)):
        entry = json.loads(body)
        yield entry["type"], chain.canonical(entry["body"])


@contextmanager
def _naming(line: Line) -> Iterator[None]:
    """Complaints name the line, if it is one of a file."""
    try:
        yield
    except errors.InvalidObject as trouble:
        if not line.number:
            raise
        key, said = trouble.place.removeprefix("entry."), trouble.message.removeprefix(f"{trouble.place}: ")
        place = f"line {line.number}" + (f", {key}" if key else "")
        raise errors.InvalidObject(f"{place}: {said}", place=place, remedy=trouble.remedy) from trouble


def _at(line: Line) -> datetime:
    try:
        return moment(line.at)
    except OverflowError:
        raise errors.InvalidObject("a time out of range", remedy="Write a year from 1 to 9999.") from None
