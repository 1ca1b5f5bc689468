"""Who bore a name or address last, or what a pod ran on last, where nobody does at the moment that was asked about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, func, or_, select

from exuvia.model.facts import microseconds
from exuvia.record import addresses, tables, versions
from exuvia.record.moments import moment
from exuvia.record.who import of_cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """An instance that bore it, or that it ran on, from `began` until `ended`."""

    uid: str
    name: str
    cluster: str
    began: datetime
    ended: datetime


def last(
    connection: Connection,
    attribute: str,
    value: str,
    at: datetime,
    *,
    until: int = versions.INSTANT,
    cluster: str | None = None,
) -> Former | None:
    """The instance that bore the value of an attribute last, and no more at that moment, by what was recorded up to
    `until` (microseconds); of one cluster, or of all; None where nobody ever did."""
    borne, lives = tables.identities, tables.lives
    texts = addresses.written(connection, attribute, value)
    same = and_(borne.c.uid == lives.c.uid, borne.c.declared == lives.c.declared)
    wanted = (borne.c.attribute == attribute, borne.c.value.in_(texts))
    return _last(connection, _ended(borne, same, at, until, cluster).where(*wanted))


def ran_last(
    connection: Connection,
    namespace: str,
    pod: str,
    at: datetime,
    *,
    until: int = versions.INSTANT,
    cluster: str | None = None,
) -> Former | None:
    """The instance that a pod of that name ran on last, and on none at that moment."""
    table = tables.placements
    wanted = (table.c.namespace == namespace, table.c.name == pod, table.c.withdrawn.is_(False))
    same = table.c.uid == tables.lives.c.uid
    return _last(connection, _ended(table, same, at, until, cluster).where(*wanted))


def _ended(table: Table, same: ColumnElement[bool], at: datetime, until: int, cluster: str | None) -> Select[Any]:
    """What began before a moment and was over at it, with the machine whose it was; what ended last first."""
    when, lives = microseconds(at), tables.lives
    chosen = select(lives.c.uid, lives.c.name, lives.c.cluster, lives.c.died, table.c.began, table.c.ended)
    return (
        chosen.join(table, same)
        .where(table.c.began <= when, or_(table.c.ended <= when, lives.c.died <= when))
        .where(versions.holds(table, until), versions.holds(lives, until), lives.c.withdrawn.is_(False))
        .where(*of_cluster(cluster))
        .order_by(func.coalesce(table.c.ended, lives.c.died).desc(), table.c.began.desc(), lives.c.uid)
    )


def _last(connection: Connection, chosen: Select[Any]) -> Former | None:
    row = connection.execute(chosen.limit(1)).first()
    if row is None:
        return None
    over = min(one for one in (row.ended, row.died) if one is not None)
    return Former(uid=row.uid, name=row.name, cluster=row.cluster, began=moment(row.began), ended=moment(over))
