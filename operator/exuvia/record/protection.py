"""Which holds keep a machine: with it all that belongs to it, the names of those who were on it too.

Pruning asks of all machines of a chain; who wants to take one thing out asks of a few, and reads these only.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, select

from exuvia.record import groups, holds, personal, tables, versions
from exuvia.record.groups import Group, Groups


def keeps(hold: holds.Hold, group: Group, members: Collection[str]) -> bool:
    """Whether a hold is on what belongs together: one machine of it, its span of time, or a person who was there."""
    if hold.spans:
        return hold.overlaps(group.first, group.last)
    return hold.instance in members or hold.subject in {personal.subject(one) for one in group.subjects}


def keeping(connection: Connection, uids: Collection[str]) -> tuple[str, ...]:
    """The names of all holds that keep one of these machines, in whatever chain it is told of; sorted.

    A machine that is not known to be dead lasts, so that a span to come may be on it too.
    """
    active = holds.active(connection)
    if not (active and uids):
        return ()
    found, names = Groups(), set[str]()
    for entry in groups.about(connection, uids):
        found.add(entry)
    for members in [*found.members().values(), *([one] for one in uids if found.of(one) is None)]:
        group = found.of(members[0]) or Group(first=-versions.INSTANT, last=versions.INSTANT, known=0)
        if not _over(connection, members, uids):
            group.last = versions.INSTANT
        names |= {one.name for one in active if keeps(one, group, members)}
    return tuple(sorted(names))


def _over(connection: Connection, members: Collection[str], machines: Collection[str]) -> bool:
    """Whether every machine among them is known to be dead, or never to have been."""
    table, known = tables.lives, dict[str, bool]()
    for part in groups.parts(members):
        chosen = select(table.c.uid, table.c.died, table.c.withdrawn).where(table.c.uid.in_(part))
        for row in connection.execute(chosen.where(versions.holds(table))):
            known[row.uid] = bool(row.withdrawn) or row.died is not None
    return all(known.get(one, one not in machines) for one in members)
