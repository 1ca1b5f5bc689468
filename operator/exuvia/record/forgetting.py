"""Keys to the names of people of whom nothing is left: they go with what was pruned.

A name that is sealed just now has its key before it has its entry. So all chains are kept from being written for the
moment in which it is found out whose names are still there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlalchemy import Connection, delete, select

from exuvia.record import holds, importing, opening, personal, queries, tables

CHUNK = 500
_SEALED = re.compile(re.escape(personal.PREFIX) + r"([A-Za-z0-9_-]+):")


def forget(connection: Connection) -> int:
    """Delete these keys, within a transaction that the caller began as the owner and will commit; how many they were.

    The name of somebody who is on a machine by any entry, in a dead letter or under a hold stays known.
    """
    _keep_from_writing(connection)
    table = tables.subjects
    unused = sorted(set(connection.scalars(select(table.c.subject))) - set(_named(connection)))
    with opening.removing(connection):
        for start in range(0, len(unused), CHUNK):
            connection.execute(delete(table).where(table.c.subject.in_(unused[start : start + CHUNK])))
    return len(unused)


def _keep_from_writing(connection: Connection) -> None:
    """Always in the same order, imports first as they do themselves: else two would wait for one another for ever."""
    led = connection.scalars(select(tables.leadership.c.cluster).distinct())
    for name in (importing.IMPORTS, *sorted({*led, *queries.clusters(connection)})):
        opening.alone(connection, name)


def _named(connection: Connection) -> Iterator[str]:
    """The tokens of everybody who is named anywhere."""
    for user in connection.scalars(select(tables.sessions.c.user).distinct()):
        yield personal.subject(user)
    letters = tables.dead_letters
    for body in connection.scalars(select(letters.c.body).where(letters.c.body.contains(personal.PREFIX))):
        yield from _SEALED.findall(body)
    for hold in holds.active(connection):
        yield hold.subject
