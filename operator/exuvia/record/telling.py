"""The past of every instance as plain rows, machine by machine: for questions that look at millions of them.

The same machines with the same versions as `histories.pasts`, but those without any life, of which nothing counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Integer, Select, Table, cast, func, select, type_coerce

from exuvia.model.told import PresenceRow, Told
from exuvia.record import departed, tables

PAGE = 5000
TOGETHER = 500
"""Machines for which rows are read by one question."""

_SEPARATOR = "\x1f"
_OPEN = 1 << 62
_uid = itemgetter(0)

_Found = tuple[str, list[Any], Any, Sequence[Any]]
"""A UID, its lives, what its presences have in common if it has any, and its freezes."""


def machines(connection: Connection, until: int) -> Iterator[Told]:
    """Every machine that has a life, with all versions recorded up to then (microseconds), ordered by UID; after them
    what must be known still of those that were pruned.

    The store says by machine what its presences have in common: mostly all, and then they are not read one by one.
    """
    with ExitStack() as opened:
        lives = _rows(opened, connection, _versions(tables.lives, until, "recorded", "born", "died", "reason"))
        presences = _Beside(_rows(opened, connection, _common(until)))
        freezes = _Beside(_rows(opened, connection, _versions(tables.freezes, until, "recorded", "began", "ended")))
        found = (
            (uid, list(versions), presences.first(uid), freezes.of(uid)) for uid, versions in groupby(lives, key=_uid)
        )
        while some := list(islice(found, TOGETHER)):
            yield from _whole(connection, until, some)
    yield from departed.departed(connection, until)


def _common(until: int) -> Select[Any]:
    """By machine: the vulnerabilities, their number, and the least and greatest of all else."""
    table = tables.presences
    columns = (table.c.recorded, table.c.began, func.coalesce(table.c.ended, _OPEN), table.c.closed)
    names = func.aggregate_strings(table.c.vulnerability, _SEPARATOR)
    bounds = (bound(one) for one in columns for bound in (func.min, func.max))
    others = (func.max(table.c.rank), func.max(cast(table.c.withdrawn, Integer)))
    chosen = select(table.c.uid, names, func.count(), *bounds, *others).where(table.c.recorded <= until)
    return chosen.group_by(table.c.uid).order_by(table.c.uid)


def _alike(common: Any) -> tuple[PresenceRow, list[str]] | None:
    """The presences of a machine as one row, and their vulnerabilities; None if they differ."""
    uid, text, number, recorded, last, began, latest, ended, longest, closed, greatest, rank, withdrawn = common
    if recorded != last or began != latest or ended != longest or closed != greatest or rank or withdrawn:
        return None
    names = text.split(_SEPARATOR)
    row = (uid, "", recorded, began, None if ended == _OPEN else ended, closed, False)
    return (row, names) if len(names) == number else None


def _whole(connection: Connection, until: int, found: list[_Found]) -> Iterator[Told]:
    alike = [None if common is None else _alike(common) for _, _, common, _ in found]
    apart = [one[0] for one, same in zip(found, alike, strict=True) if same is None and one[2] is not None]
    rows = _presences(connection, until, apart)
    for (uid, lives, _, freezes), same in zip(found, alike, strict=True):
        if same is None:
            yield Told(uid, lives, rows.get(uid, ()), freezes)
        else:
            yield Told(uid, lives, (same[0],), freezes, same[1])


def _presences(connection: Connection, until: int, uids: list[str]) -> dict[str, list[Any]]:
    if not uids:
        return {}
    names = ("vulnerability", "recorded", "began", "ended", "closed")
    chosen = _versions(tables.presences, until, *names).where(tables.presences.c.uid.in_(uids))
    return {uid: list(rows) for uid, rows in groupby(connection.execute(chosen), key=_uid)}


def named(connection: Connection, name: str, until: int) -> tuple[str, ...]:
    """The UIDs of all machines that ever bore a name, as recorded up to then, in order."""
    table = tables.lives
    chosen = select(table.c.uid).where(table.c.name == name, table.c.recorded <= until).distinct()
    return tuple(connection.scalars(chosen.order_by(table.c.uid)))


class _Beside:
    """Rows in order of UID that are read beside others in the same order."""

    def __init__(self, rows: Iterator[Any]) -> None:
        self._groups = groupby(rows, key=_uid)
        self._uid = ""
        self._rows: Sequence[Any] = ()

    def of(self, uid: str) -> Sequence[Any]:
        """Those of a UID; each is asked for once and in order. What nobody asks for is passed over."""
        while self._uid < uid:
            found = next(self._groups, None)
            if found is None:
                self._uid, self._rows = uid, ()
            else:
                self._uid, self._rows = found[0], list(found[1])
        return self._rows if self._uid == uid else ()

    def first(self, uid: str) -> Any:
        """The first of a UID, or None."""
        found = self.of(uid)
        return found[0] if found else None


def _versions(table: Table, until: int, *names: str) -> Select[Any]:
    """Whether it is withdrawn stands last, as the store has it: making booleans of it takes longer than reading it."""
    wanted = [table.c.uid, *(table.c[one] for one in names), type_coerce(table.c.withdrawn, Integer)]
    return select(*wanted).where(table.c.recorded <= until).order_by(*table.primary_key.columns)


def _rows(opened: ExitStack, connection: Connection, chosen: Select[Any]) -> Iterator[Any]:
    return iter(opened.enter_context(connection.execution_options(yield_per=PAGE).execute(chosen)))
