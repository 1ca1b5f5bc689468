"""The past of every machine as columns, page by page: for questions that look at millions of rows.

The same machines with the same versions as `histories.pasts`, but those without any life, of which nothing counts. The
store writes a column of a page as one text: a row for each would cost more than all that is reckoned from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Select, Table, Text, case, cast, func, select

from exuvia.model.histories import RETRACTED
from exuvia.model.told import DIED, NEVER, OPEN, OURS, ROTATED, UNKNOWN, WORDS, Column, Numbers, Page, Rows
from exuvia.record import belonging, departed, queries, tables

PAGE = 50_000
"""Rows of a table, or those of one machine if it has more: some 20 MB."""

_SEPARATOR = "\x1f"
_STILL = -1
"""The length of what has not ended."""


def pages(connection: Connection, until: int, *, cluster: str | None = None) -> Iterator[Page]:
    """Every machine that has a life, with all versions recorded up to then (microseconds), ordered by UID; after them
    what must be known still of those that were pruned. With `cluster` only machines of that one.

    The next page is read while the last one is looked at: until the end nobody else may use the connection.
    """
    known = Numbers()
    read = (_page(connection, part, known) for part in _parts(connection, until, cluster))
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="exuvia-pages") as beside:
        ahead = beside.submit(next, read, None)
        while (page := ahead.result()) is not None:
            ahead = beside.submit(next, read, None)
            yield page
    yield from departed.departed(connection, until, known, cluster=cluster)


def clusters(connection: Connection, until: int) -> tuple[str, ...]:
    """The clusters of which a machine was known by then, by name. One that came later changes no former answer."""
    found = queries.clusters(connection)
    if len(found) < 2:
        return found
    table = tables.lives
    chosen = select(table.c.cluster).where(table.c.recorded <= until).distinct()
    return tuple(connection.scalars(chosen.order_by(table.c.cluster)))


def named(connection: Connection, name: str, until: int, *, cluster: str | None = None) -> tuple[str, ...]:
    """The UIDs of all machines that ever bore a name, as recorded up to then, in order."""
    table = tables.lives
    chosen = select(table.c.uid).where(table.c.name == name, table.c.recorded <= until).distinct()
    if cluster is not None:
        chosen = chosen.where(table.c.cluster == cluster)
    return tuple(connection.scalars(chosen.order_by(table.c.uid)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Which rows are read together: of the machines after one UID and up to another. None: all that follow."""

    after: str
    last: str | None
    until: int
    cluster: str | None

    def rows(self, table: Table, *columns: Any) -> Select[Any]:
        """Some columns of them."""
        chosen = self._among(select(*columns).where(table.c.recorded <= self.until), table)
        if table is tables.lives and self.cluster is not None:
            chosen = chosen.where(table.c.uid.in_(self._among(belonging.members(self.cluster), tables.lives)))
        return chosen

    def _among(self, chosen: Select[Any], table: Table) -> Select[Any]:
        after = chosen.where(table.c.uid > self.after)
        return after if self.last is None else after.where(table.c.uid <= self.last)


def _parts(connection: Connection, until: int, cluster: str | None) -> Iterator[_Part]:
    after = ""
    while True:
        ends = (connection.scalar(_end(table, after)) for table in (tables.lives, tables.presences, tables.freezes))
        last = min((one for one in ends if one is not None), default=None)
        yield _Part(after=after, last=last, until=until, cluster=cluster)
        if last is None:
            return
        after = last


def _end(table: Table, after: str) -> Select[Any]:
    return select(table.c.uid).where(table.c.uid > after).order_by(table.c.uid).offset(PAGE).limit(1)


def _page(connection: Connection, part: _Part, known: Numbers) -> Page:
    machines = Numbers()
    texts, times = _read(connection, part, tables.lives, "born", "died", _DEATH)
    born = _numbered(texts[0], machines)
    return Page(
        machines=len(machines),
        lives=Rows(born, np.zeros_like(born), *times),
        presences=_beside(machines, known, *_read(connection, part, tables.presences, "began", "ended", _CLOSED)),
        freezes=_beside(machines, known, *_read(connection, part, tables.freezes, "began", "ended", _FROZEN)),
        vulnerabilities=tuple(known),
    )


def _beside(machines: Numbers, known: Numbers, texts: list[list[str]], times: tuple[Column, ...]) -> Rows:
    """Rows of the machines that have a life."""
    machine = np.fromiter(map(machines.get, texts[0], repeat(-1)), np.int64, len(texts[0]))
    what = _numbered(texts[1], known) if len(texts) > 1 else np.zeros_like(machine)
    lived, rows = machine >= 0, Rows(machine, what, *times)
    return rows if lived.all() else Rows(*(one[lived] for one in rows))


def _numbered(texts: list[str], numbers: Numbers) -> Column:
    return np.fromiter(map(numbers.__getitem__, texts), np.int64, len(texts))


def _read(
    connection: Connection, part: _Part, table: Table, began: str, ended: str, word: ColumnElement[int]
) -> tuple[list[list[str]], tuple[Column, ...]]:
    """The UIDs and vulnerabilities of rows, and when each was recorded, began and ended, and its word.

    SQLite keeps rows in the order of the key, and would copy each of them if it were asked for that order; others must
    be asked. A length is a shorter text than a moment, and so a quicker one.
    """
    names = [table.c[one] for one in ("uid", "vulnerability") if one in table.c]
    start = table.c[began]
    numbers = (table.c.recorded - start, start, func.coalesce(table.c[ended] - start, _STILL), word)
    rows = part.rows(table, *(one.label(f"c{place}") for place, one in enumerate((*names, *numbers))))
    ordered = rows.order_by(*table.primary_key.columns)
    inner = [*(rows if connection.dialect.name == "sqlite" else ordered).subquery().c]
    texts = [func.aggregate_strings(one, _SEPARATOR) for one in inner[: len(names)]]
    texts += [func.aggregate_strings(cast(one, Text), ",") for one in inner[len(names) :]]
    found = [text or "" for text in connection.execute(select(*texts)).one()]
    learnt, begins, lengths, words = (np.fromstring(text, dtype=np.int64, sep=",") for text in found[len(names) :])
    times = (begins + learnt, begins, np.where(lengths == _STILL, OPEN, begins + lengths), words)
    asked = [ordered.with_only_columns(one) for one in names]
    return [_split(connection, *one, len(begins)) for one in zip(asked, found, strict=False)], times


def _split(connection: Connection, asked: Select[Any], text: str, count: int) -> list[str]:
    """A column of texts. Where what separates them is in one of them, they are read by themselves."""
    found = text.split(_SEPARATOR) if count else []
    return found if len(found) == count else list(connection.scalars(asked))


_WORDS = ((tables.presences.c.closed == str(word), place) for place, word in enumerate(WORDS) if place != UNKNOWN)
_CLOSED = case(
    (tables.presences.c.withdrawn, NEVER),
    (tables.presences.c.closed == "", UNKNOWN),
    (tables.presences.c.closed == RETRACTED, NEVER),
    *_WORDS,
    else_=UNKNOWN,
)
_DEATH = case((tables.lives.c.withdrawn, NEVER), (tables.lives.c.reason == OURS, ROTATED), else_=DIED)
_FROZEN = case((tables.freezes.c.withdrawn, NEVER), else_=UNKNOWN)
