"""The past of every machine as columns, page by page: for questions that look at millions of rows.

The same machines with the same versions as `histories.pasts`, but those without any life, of which nothing counts. The
store writes a column of a page as one text: a row for each would cost more than all that is reckoned from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from typing import Any

import numpy as np
from sqlalchemy import Connection, Executable, Select, Table, Text, bindparam, case, cast, func, null, select

from exuvia.model.histories import RETRACTED
from exuvia.model.told import DIED, NEVER, OPEN, OURS, ROTATED, UNKNOWN, WORDS, Column, Numbers, Page, Rows
from exuvia.record import belonging, departed, queries, tables

PAGE = 50_000
"""Rows of a table, or those of one machine if it has more: some 20 MB."""

_SEPARATOR = "\x1f"
_STILL = -1
"""The length of what has not ended."""
_ROOM = 8
"""More than there are words."""


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

    @property
    def shape(self) -> tuple[bool, bool]:
        """Whether its statements ask for a last UID, and for a cluster."""
        return self.last is not None, self.cluster is not None

    @property
    def asked(self) -> dict[str, Any]:
        """What they are asked with."""
        return {"after": self.after, "last": self.last, "until": self.until, "cluster": self.cluster}


def _rows(table: Table, shape: tuple[bool, bool], *columns: Any) -> Select[Any]:
    """Some columns of the rows of a part."""
    bounded, clustered = shape
    chosen = _among(select(*columns).where(table.c.recorded <= bindparam("until")), table, bounded)
    if table is tables.lives and clustered:
        members = belonging.members(bindparam("cluster"))
        chosen = chosen.where(table.c.uid.in_(_among(members, table, bounded)))
    return chosen


def _among(chosen: Select[Any], table: Table, bounded: bool) -> Select[Any]:
    after = chosen.where(table.c.uid > bindparam("after"))
    return after.where(table.c.uid <= bindparam("last")) if bounded else after


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
    uids, versions = _counted(connection, part, tables.lives)
    born = np.repeat(np.arange(len(uids)), versions)
    _, times = _read(connection, part, tables.lives)
    machines = {uid: number for number, uid in enumerate(uids)}
    return Page(
        machines=len(machines),
        lives=Rows(born, np.zeros_like(born), *times),
        presences=_beside(connection, part, tables.presences, machines, known),
        freezes=_beside(connection, part, tables.freezes, machines, known),
        vulnerabilities=tuple(known),
    )


def _beside(connection: Connection, part: _Part, table: Table, machines: dict[str, int], known: Numbers) -> Rows:
    """Rows of the machines that have a life."""
    uids, counts = _counted(connection, part, table)
    names, times = _read(connection, part, table)
    machine = np.repeat(np.fromiter(map(machines.get, uids, repeat(-1)), np.int64, len(uids)), counts)
    what = np.fromiter(map(known.__getitem__, names), np.int64, len(names)) if names else np.zeros_like(machine)
    lived, rows = machine >= 0, Rows(machine, what, *times)
    return rows if lived.all() else Rows(*(one[lived] for one in rows))


def _counted(connection: Connection, part: _Part, table: Table) -> tuple[list[str], Column]:
    """Of which machines there are rows, and how many of each: less to read than whose each row is."""
    whole, alone = _counting(table, part.shape)
    uids, counts = connection.execute(whole, part.asked).one()
    found = _numbers(counts)
    return _split(connection, alone, part, uids, len(found)), found


def _read(connection: Connection, part: _Part, table: Table) -> tuple[list[str], tuple[Column, ...]]:
    """The vulnerabilities of rows, none where there are no such, and when each was recorded, began and ended, and its
    word."""
    whole, alone = _reading(table, part.shape, connection.dialect.name == "sqlite")
    *numbers, names = connection.execute(whole, part.asked).one()
    learnt, begins, lengths = map(_numbers, numbers)
    ends = np.where(lengths // _ROOM == _STILL, OPEN, begins + lengths // _ROOM)
    split = [] if alone is None else _split(connection, alone, part, names, len(begins))
    return split, (begins + learnt, begins, ends, lengths % _ROOM + NEVER)


@lru_cache(maxsize=32)
def _counting(table: Table, shape: tuple[bool, bool]) -> tuple[Executable, Select[Any]]:
    """The statement for all machines and their numbers of rows, and that for the machines one by one. Statements are
    made once: to make one costs as much as to read thousands of rows."""
    uid = table.c.uid
    rows = _rows(table, shape, uid, func.count().label("rows")).group_by(uid).order_by(uid)
    inner = rows.subquery().c
    counts = func.aggregate_strings(cast(inner.rows, Text), ",")
    return select(func.aggregate_strings(inner.uid, _SEPARATOR), counts), rows.with_only_columns(uid)


@lru_cache(maxsize=32)
def _reading(table: Table, shape: tuple[bool, bool], in_order: bool) -> tuple[Executable, Select[Any] | None]:
    """The statement for all columns of rows, and that for the vulnerabilities one by one.

    SQLite keeps rows `in_order` of the key, and would copy each of them if it were asked for that order; others must
    be asked. A length is a shorter text than a moment, and so a quicker one; the word shares its number.
    """
    began, ended, word = _COLUMNS[table]
    length = func.coalesce(ended - began, _STILL) * _ROOM + (word - NEVER)
    name = table.c.vulnerability if "vulnerability" in table.c else None
    named = null() if name is None else name
    columns = (cast(table.c.recorded - began, Text), cast(began, Text), cast(length, Text), named)
    rows = _rows(table, shape, *(one.label(f"c{place}") for place, one in enumerate(columns)))
    ordered = rows.order_by(*table.primary_key.columns)
    *numbers, names = (rows if in_order else ordered).subquery().c
    listed = null() if name is None else func.aggregate_strings(names, _SEPARATOR)
    whole = select(*(func.aggregate_strings(one, ",") for one in numbers), listed)
    return whole, None if name is None else ordered.with_only_columns(name)


def _numbers(text: str | None) -> Column:
    return np.fromstring(text or "", dtype=np.int64, sep=",")


def _split(connection: Connection, alone: Select[Any], part: _Part, text: str | None, count: int) -> list[str]:
    """A column of texts. Where what separates them is in one of them, they are read by themselves."""
    found = (text or "").split(_SEPARATOR) if count else []
    return found if len(found) == count else list(connection.scalars(alone, part.asked))


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
_COLUMNS = {
    tables.lives: (tables.lives.c.born, tables.lives.c.died, _DEATH),
    tables.presences: (tables.presences.c.began, tables.presences.c.ended, _CLOSED),
    tables.freezes: (tables.freezes.c.began, tables.freezes.c.ended, _FROZEN),
}
"""When something began and ended, and its word."""
