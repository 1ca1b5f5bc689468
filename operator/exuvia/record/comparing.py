"""Whether the tables that answer questions say what the entries say: all made anew beside the ledger, and compared."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    String,
    Table,
    and_,
    collate,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
)

from exuvia.record import opening, queries, rebuilding, tables
from exuvia.record.moments import moment

_MOMENTS = {"recorded", "born", "died", "died_not_before", "began", "ended", "valid_from", "at"}
PAGE = 2000


def differences(connection: Connection) -> Iterator[tuple[str, str]]:
    """(table, the first row that differs, in words) of every table that was not made from the entries as they are.

    A whole ledger is made anew in a folder for temporary files: it needs as much room as this one.
    """
    with tempfile.TemporaryDirectory(prefix="exuvia-") as folder:
        engine = opening.open_for_writing(Path(folder) / "anew.db")
        try:
            with engine.begin() as anew:
                _copy(connection, anew)
                rebuilding.rebuild(anew)
                several = len(queries.clusters(connection)) > 1
                for table in rebuilding.DERIVED:
                    found = _difference(table, connection, anew, several=several)
                    if found:
                        yield table.name, found
        finally:
            engine.dispose()


def told_beyond(connection: Connection, cluster: str, head: int) -> int | None:
    """The first entry after the head of a chain that a table tells of all the same: it was there, and is gone. None
    where no table does. Where there are several chains only tables are asked whose rows are of one chain each: a row of
    a life keeps the chain that told the birth, though another told the death."""
    alone = len(queries.clusters(connection)) <= 1
    found = []
    for table in rebuilding.DERIVED:
        if "seq" in table.c and (alone or "cluster" in table.primary_key.columns):
            mine = [table.c.cluster == cluster] if "cluster" in table.c else []
            found.append(connection.scalar(select(func.min(table.c.seq)).where(table.c.seq > head, *mine)))
    return min((one for one in found if one is not None), default=None)


def _copy(source: Connection, target: Connection) -> None:
    table, place = tables.entries, ("", -1)
    chosen = select(table).order_by(table.c.cluster, table.c.seq).limit(PAGE)
    while True:
        after = (table.c.cluster > place[0]) | ((table.c.cluster == place[0]) & (table.c.seq > place[1]))
        rows = source.execute(chosen.where(after)).all()
        if not rows:
            return
        target.execute(insert(table), [dict(row._mapping) for row in rows])
        place = (rows[-1].cluster, rows[-1].seq)


def _difference(table: Table, stored: Connection, anew: Connection, *, several: bool) -> str:
    for one, other in zip_longest(_rows(table, stored, several), _rows(table, anew, several)):
        if one != other:
            return _said(table, _named(table, one, several), _named(table, other, several))
    return ""


def _named(table: Table, row: tuple[Any, ...] | None, several: bool) -> Mapping[str, Any]:
    return {} if row is None else dict(zip(_kept(table, several), row, strict=True))


def _said(table: Table, stored: Mapping[str, Any], anew: Mapping[str, Any]) -> str:
    """One of the two may be empty: there is no such row."""
    if not stored:
        return f"the row of {_thing(table, anew)} is missing"
    if not anew:
        return f"the row of {_thing(table, stored)} is there, and the entries say nothing of it"
    if _thing(table, stored) != _thing(table, anew):
        return f"there is a row of {_thing(table, stored)} where the entries say one of {_thing(table, anew)}"
    odd = ((name, value, anew[name]) for name, value in stored.items() if value != anew[name])
    words = ", ".join(
        f"{name} is {_word(name, value)} and should be {_word(name, right)}" for name, value, right in odd
    )
    return f"in the row of {_thing(table, stored)} {words}"


def _thing(table: Table, row: Mapping[str, Any]) -> str:
    """What a row is about, as its key says."""
    names = [column.name for column in table.primary_key.columns if column.name in row]
    return ", ".join(f"{name} {_word(name, row[name])}" for name in names)


def _word(name: str, value: Any) -> str:
    if name not in _MOMENTS or not isinstance(value, int):
        return "nothing" if value in (None, "") else str(value)
    try:
        return moment(value).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return str(value)


def damage(connection: Connection) -> str:
    """What is wrong with the file below its tables, first of all an index that does not lead to every row: answers are
    found by it. "" where nothing is. A server looks after its own files."""
    if connection.dialect.name != "sqlite":
        return ""
    said = str(connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one())
    return "" if said == "ok" else said


def _kept(table: Table, several: bool) -> list[str]:
    """The columns that are compared."""
    names = [column.name for column in table.columns]
    left_out = {"rank", "seq"} if several and "cluster" not in names else {"rank"}
    return [name for name in names if name not in left_out]


def _rows(table: Table, connection: Connection, several: bool) -> Iterator[tuple[Any, ...]]:
    """By key, byte by byte, as both databases and every collation order them alike; a page at a time.

    Of versions of one moment the one that holds, without its rank: what it outweighed is asked for by nobody, and is
    there or not by the order in which lines came. With several chains a number alone says nothing: two may tell alike;
    and of who bears a name counts what is said by the life that holds.
    """
    names = [column.name for column in table.columns]
    kept = [names.index(name) for name in _kept(table, several)]
    at = [names.index(column.name) for column in table.primary_key.columns if column.name != "rank"]
    asked = _borne() if several and table is tables.identities else literal(1)
    chosen = select(*table.columns, asked.label("asked"))
    chosen = chosen.order_by(*(_bytewise(one, connection) for one in table.primary_key.columns))
    with connection.execute(chosen.execution_options(yield_per=PAGE)) as found:
        for _, versions in groupby(found, key=lambda row: tuple(row[one] for one in at)):
            *_, last = versions
            if last.asked:
                yield tuple(last[place] for place in kept)


def _borne() -> ColumnElement[Any]:
    """Whether a life says it that holds of its moment, and still held when it was learnt."""
    borne, life, later = tables.identities, tables.lives.alias("life"), tables.lives.alias("later")
    outweighed = and_(later.c.recorded == life.c.recorded, later.c.rank > life.c.rank)
    superseded = and_(later.c.recorded > life.c.recorded, later.c.recorded <= borne.c.recorded)
    over = exists().where(later.c.uid == life.c.uid, or_(outweighed, superseded))
    return exists().where(life.c.uid == borne.c.uid, life.c.declared == borne.c.declared, ~over)


def _bytewise(column: Column[Any], connection: Connection) -> ColumnElement[Any]:
    text = isinstance(column.type, String) and connection.dialect.name == "postgresql"
    return collate(column, "C") if text else column
