"""Taking history from elsewhere: lines into the chain and the tables, all of a file or nothing (history.md, Ledger)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, select

from exuvia import errors
from exuvia.model.facts import Fact, FactKind, Receipt, microseconds
from exuvia.record import appending, opening, queries, tables
from exuvia.record.lines import Line
from exuvia.record.moments import moment
from exuvia.record.places import Place

PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What came of an import: lines entered, lines that went to the dead letters with (line number, reason), and the
    last entry of the chain."""

    entered: int
    dead: tuple[tuple[int, str], ...]
    head: Receipt


def load(place: Place, lines: Iterable[Line], *, cluster: str = "") -> Imported:
    """Enter lines in one transaction; durable when it returns. Makes the ledger where there is none.

    `cluster`: whose chain it goes to; by default that of the cluster which wrote last. Takes leadership from nobody.
    Raises `errors.InvalidObject` for a line that cannot be used and `errors.LedgerError`: nothing was entered then.
    """
    engine = opening.open_for_writing(place)
    try:
        with opening.in_words(place), engine.begin() as connection:
            writer = writer_for(connection, cluster)
            opening.alone(connection, writer.cluster)
            return enter(connection, lines, writer)
    finally:
        engine.dispose()


def writer_for(connection: Connection, cluster: str) -> appending.Writer:
    """In whose name a person adds to the ledger: the named cluster, else the one that led last, else the only one."""
    named = cluster or _led_last(connection) or _only(queries.clusters(connection))
    return appending.Writer(cluster=named, epoch=appending.greatest_epoch(connection, named))


def _led_last(connection: Connection) -> str:
    table = tables.leadership
    return connection.scalar(select(table.c.cluster).order_by(table.c.epoch.desc()).limit(1)) or ""


def _only(clusters: tuple[str, ...]) -> str:
    return clusters[0] if len(clusters) == 1 else ""


def enter(connection: Connection, lines: Iterable[Line], writer: appending.Writer) -> Imported:
    """Enter lines within a transaction that somebody else began and will commit. One moment of recording for all."""
    head, entered, dead = appending.head(connection, writer.cluster), 0, list[tuple[int, str]]()
    recorded, batch = max(microseconds(datetime.now(UTC)), head.recorded), appending.Batch()
    for line in lines:
        fact = Fact(kind=FactKind(line.type), at=_at(line), body=line.body)
        made = appending.add(connection, head, fact, writer, recorded=recorded, batch=batch)
        if made is None:
            dead.append((line.number, line.dead))
        else:
            head, entered = made, entered + 1
        if len(batch.entries) >= PAGE:
            batch.flush(connection)
    batch.flush(connection)
    return Imported(entered=entered, dead=tuple(dead), head=appending.receipt(head))


def _at(line: Line) -> datetime:
    try:
        return moment(line.at)
    except OverflowError:
        raise errors.InvalidObject(f"line {line.number}: a time out of range", place=f"line {line.number}") from None
