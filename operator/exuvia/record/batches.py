"""What one transaction adds: rows that are kept back and put into their tables many at once, and what holds of the
things that they are about, read for many at once. A statement for each row, and a question before it, costs more than
all else, above all on a server.

What holds of a thing is told by what was read and by what was added since, as if every row had gone to its table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    Column,
    Connection,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    desc,
    select,
    union_all,
)

from exuvia.record import tables, versions

TOGETHER = 100
"""Things that are read by one question, always as many: a server prepares a question once for each number."""

Thing = tuple[Any, ...]
Known = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """Of the rows that share these columns the one that was learnt last is looked for."""

    table: Table
    names: tuple[str, ...]


def of(table: Table) -> View:
    """The versions of one thing."""
    return _VIEWS[table][0]


class Batch:
    """Rows on their way. The caller flushes it before the transaction is committed. `sayers`: of versions that were
    learnt before, the entries that may have said them, as far as they were read."""

    def __init__(self) -> None:
        self.sayers: dict[Thing, Sequence[Any]] = {}
        self._rows: dict[Table, list[Known]] = {}
        self._held: dict[View, dict[Thing, Known | None]] = {}
        self._unread: set[Table] = set()

    @property
    def entries(self) -> list[Known]:
        """Entries of the chain that are not in their table yet."""
        return self._rows.get(tables.entries, [])

    def put(self, table: Table, *rows: Known) -> None:
        """Rows that have no versions."""
        self._rows.setdefault(table, []).extend(rows)

    def add(self, table: Table, row: Known, *, rank: int = 0) -> None:
        """A version of a thing as it was learnt; `rank` tells it from others of the same moment."""
        version = {**row, "rank": rank}
        self.put(table, version)
        for view in _VIEWS[table]:
            held, thing = self._held.get(view, {}), tuple(row[one] for one in view.names)
            if thing not in held:
                self._unread.add(table)
            elif _later(version, held[thing]):
                held[thing] = version

    def follow(self, table: Table, row: Known, former: Known | None = None) -> None:
        """A version that holds after `former`, that of the same thing which held so far."""
        if former is None or former["recorded"] < row["recorded"]:
            self.add(table, row)
        else:
            self.add(table, {**row, "recorded": former["recorded"]}, rank=former["rank"] + 1)

    def latest(self, connection: Connection, view: View, *thing: Any) -> Known | None:
        """The version that holds, or None."""
        held = self._held.setdefault(view, {})
        if thing not in held:
            if view.table in self._unread:
                self.flush(connection, view.table)
            named = {f"the_{name}": value for name, value in zip(view.names, thing, strict=True)}
            held[thing] = _known(connection.execute(_latest(view), named).first())
        return held[thing]

    def of_the_moment(self, connection: Connection, table: Table, row: Known) -> Known | None:
        """Of what was learnt of the same thing at the same moment the version that holds, or None."""
        latest = self.latest(connection, of(table), *(row[one] for one in of(table).names))
        if latest is None or latest["recorded"] <= row["recorded"]:
            return latest if latest is not None and latest["recorded"] == row["recorded"] else None
        self.flush(connection, table)
        named = {f"the_{one}": row[one] for one in (*of(table).names, "recorded")}
        return _known(connection.execute(_of_a_moment(table), named).first())

    def read_ahead(self, connection: Connection, view: View, things: Iterable[Thing]) -> None:
        """What holds of these things, before it is asked for one by one."""
        held = self._held.setdefault(view, {})
        asked = [one for one in dict.fromkeys(things) if one not in held]
        if asked and view.table in self._unread:
            self.flush(connection, view.table)
        for start in range(0, len(asked), TOGETHER):
            some = asked[start : start + TOGETHER]
            held |= dict.fromkeys(some)
            for row in connection.execute(_among(view), _asked(view, some)):
                thing, version = tuple(getattr(row, one) for one in view.names), row._mapping
                if _later(version, held[thing]):
                    held[thing] = dict(version)

    def flush(self, connection: Connection, *only: Table) -> None:
        """Put all rows, or those of some tables, where they belong: before anything else asks for them."""
        for table in only or tuple(self._rows):
            rows = self._rows.pop(table, None)
            if rows:
                connection.execute(versions.adding(table), rows)
            self._unread.discard(table)
        if not only:
            self._held.clear()
            self.sayers.clear()


def _later(one: Mapping[Any, Any], other: Known | None) -> bool:
    return other is None or (one["recorded"], one["rank"]) > (other["recorded"], other["rank"])


def _known(row: Row[Any] | None) -> Known | None:
    return None if row is None else dict(row._mapping)


def _asked(view: View, some: list[Thing]) -> dict[str, Any]:
    """Always of the same length, so that the statement is made once. A place that is left over asks for nothing."""
    left = TOGETHER - len(some)
    if len(view.names) == 1:
        return {"things": [*(one for (one,) in some), *some[-1] * left]}
    whole = [*some, *((None,) * len(view.names) for _ in range(left))]
    return {
        f"{name}_{place}": value for place, one in enumerate(whole) for name, value in zip(view.names, one, strict=True)
    }


@lru_cache(maxsize=16)
def _among(view: View) -> Select[Any]:
    """Each thing is looked for by itself in the index: a list of several columns, or a choice of them, SQLite and
    PostgreSQL answer by going through all that shares the first column, or through the whole table."""
    columns = [view.table.c[one] for one in view.names]
    if len(columns) == 1:
        things: BindParameter[list[Any]] = bindparam("things", expanding=True)
        return select(view.table).where(columns[0].in_(things))
    asked = union_all(*(_thing(columns, place) for place in range(TOGETHER))).cte("asked")
    return select(view.table).join(asked, and_(*(one == asked.c[one.name] for one in columns)))


def _thing(columns: Iterable[Column[Any]], place: int) -> Select[Any]:
    return select(*(bindparam(f"{one.name}_{place}", type_=one.type).label(one.name) for one in columns))


@lru_cache(maxsize=16)
def _latest(view: View) -> Select[Any]:
    columns = view.table.c
    same = (columns[one] == bindparam(f"the_{one}") for one in view.names)
    return select(view.table).where(*same).order_by(desc(columns.recorded), desc(columns.rank)).limit(1)


@lru_cache(maxsize=16)
def _of_a_moment(table: Table) -> Select[Any]:
    columns = table.c
    same = (columns[one] == bindparam(f"the_{one}") for one in (*versions.key(table), "recorded"))
    return select(table).where(*same).order_by(desc(columns.rank)).limit(1)


LIVES = View(tables.lives, versions.key(tables.lives))
PODS = View(tables.placements, ("pod_uid",))

_VIEWS: dict[Table, tuple[View, ...]] = {
    tables.lives: (LIVES,),
    tables.placements: (View(tables.placements, versions.key(tables.placements)), PODS),
    **{
        table: (View(table, versions.key(table)),)
        for table in (tables.identities, tables.presences, tables.scores, tables.freezes, tables.sessions)
    },
}
