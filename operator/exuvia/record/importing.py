"""Taking history from elsewhere: lines into the chain and the tables, all of a file or nothing (history.md, Ledger)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import Connection, func, select

from exuvia import errors
from exuvia.model.facts import Fact, FactKind, Receipt, microseconds
from exuvia.record import appending, beginning, naming, opening, queries, tables
from exuvia.record.lines import Line
from exuvia.record.moments import moment
from exuvia.record.places import Place

PAGE = 500
IMPORTS = " imports"
"""One import at a time, of whatever cluster: two of the same feed would meet in the same rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What came of an import: lines entered, lines that went to the dead letters with (line number, reason), and the
    last entry of the chain. `made`: the ledger was made for it."""

    entered: int
    dead: tuple[tuple[int, str], ...]
    head: Receipt
    made: bool = False


def load(place: Place, lines: Iterable[Line], *, cluster: str | None = None) -> Imported:
    """Enter lines in one transaction; durable when it returns. Where there is no ledger one is made, in a folder that
    is there; not for a file that is refused, or of which nothing is kept.

    `cluster`: whose chain it goes to ("" is the one without a name); by default that of the cluster which wrote last.
    Takes leadership from nobody.
    Raises `errors.InvalidObject` for a line that cannot be used and `errors.LedgerError`: nothing was entered then.
    """
    with beginning.ledger(place) as found:
        with opening.in_words(place), found.engine.begin() as connection:
            opening.alone(connection, IMPORTS)
            writer = writer_for(connection, cluster)
            opening.alone(connection, writer.cluster)
            made = enter(connection, lines, writer)
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
    head, entered, dead = appending.head(connection, writer.cluster), 0, list[tuple[int, str]]()
    recorded, batch = max(microseconds(datetime.now(UTC)), head.recorded), appending.Batch()
    for line in lines:
        fact = Fact(kind=FactKind(line.type), at=_at(line), body=line.body)
        made = _add(connection, head, fact, writer, recorded=recorded, batch=batch, number=line.number)
        if made is None:
            dead.append((line.number, line.dead))
        else:
            head, entered = made, entered + 1
        if len(batch.entries) >= PAGE:
            batch.flush(connection)
    batch.flush(connection)
    return Imported(entered=entered, dead=tuple(dead), head=appending.receipt(head))


def _add(
    connection: Connection,
    head: appending.Head,
    fact: Fact,
    writer: appending.Writer,
    *,
    recorded: int,
    batch: appending.Batch,
    number: int,
) -> appending.Head | None:
    try:
        return appending.add(connection, head, fact, writer, recorded=recorded, batch=batch)
    except errors.InvalidObject as trouble:
        if not number:
            raise
        place = f"line {number}" + (f", {trouble.place}" if trouble.place else "")
        raise errors.InvalidObject(f"{place}: {trouble.message}", place=place, remedy=trouble.remedy) from trouble


def _at(line: Line) -> datetime:
    try:
        return moment(line.at)
    except OverflowError:
        raise errors.InvalidObject(f"line {line.number}: a time out of range", place=f"line {line.number}") from None
