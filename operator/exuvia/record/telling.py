"""The past of every instance as plain rows, machine by machine: for questions that look at millions of them.

The same machines with the same versions as `histories.pasts`, but those without any life, of which nothing counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Integer, Table, select, type_coerce

from exuvia.model.told import Told
from exuvia.record import tables

PAGE = 5000

_uid = itemgetter(0)


def machines(connection: Connection, until: int) -> Iterator[Told]:
    """Every machine that has a life, with all versions recorded up to then (microseconds), ordered by UID."""
    with ExitStack() as opened:
        lives = _rows(opened, connection, tables.lives, until, "recorded", "born", "died", "reason")
        presences = _Beside(_rows(opened, connection, tables.presences, until, *_PRESENCE))
        freezes = _Beside(_rows(opened, connection, tables.freezes, until, "recorded", "began", "ended"))
        for uid, versions in groupby(lives, key=_uid):
            yield Told(uid, list(versions), presences.of(uid), freezes.of(uid))


def named(connection: Connection, name: str, until: int) -> tuple[str, ...]:
    """The UIDs of all machines that ever bore a name, as recorded up to then, in order."""
    table = tables.lives
    chosen = select(table.c.uid).where(table.c.name == name, table.c.recorded <= until).distinct()
    return tuple(connection.scalars(chosen.order_by(table.c.uid)))


_PRESENCE = ("vulnerability", "recorded", "began", "ended", "closed")


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


def _rows(opened: ExitStack, connection: Connection, table: Table, until: int, *names: str) -> Iterator[Any]:
    """Whether it is withdrawn stands last, as the store has it: making booleans of it takes longer than reading it."""
    wanted = [table.c.uid, *(table.c[one] for one in names), type_coerce(table.c.withdrawn, Integer)]
    chosen = select(*wanted).where(table.c.recorded <= until).order_by(*table.primary_key.columns)
    return iter(opened.enter_context(connection.execution_options(yield_per=PAGE).execute(chosen)))
