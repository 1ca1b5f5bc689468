"""Who bore a name or address last, or what a pod ran on last, where nobody does at the moment that was asked about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select

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
    when, borne, lives = microseconds(at), tables.identities, tables.lives
    texts = addresses.written(connection, attribute, value)
    end = func.coalesce(borne.c.ended, lives.c.died)
    row = connection.execute(
        select(lives.c.uid, lives.c.name, lives.c.cluster, lives.c.died, borne.c.began, borne.c.ended)
        .join(borne, and_(borne.c.uid == lives.c.uid, borne.c.declared == lives.c.declared))
        .where(borne.c.attribute == attribute, borne.c.value.in_(texts), borne.c.began <= when)
        .where(or_(borne.c.ended <= when, lives.c.died <= when))
        .where(versions.holds(borne, until), versions.holds(lives, until), lives.c.withdrawn.is_(False))
        .where(*of_cluster(cluster))
        .order_by(end.desc(), borne.c.began.desc(), lives.c.uid)
        .limit(1)
    ).first()
    return _former(row)


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
    when, ran, lives = microseconds(at), tables.placements, tables.lives
    end = func.coalesce(ran.c.ended, lives.c.died)
    row = connection.execute(
        select(lives.c.uid, lives.c.name, lives.c.cluster, lives.c.died, ran.c.began, ran.c.ended)
        .join(ran, ran.c.uid == lives.c.uid)
        .where(ran.c.namespace == namespace, ran.c.name == pod, ran.c.began <= when, ran.c.withdrawn.is_(False))
        .where(or_(ran.c.ended <= when, lives.c.died <= when))
        .where(versions.holds(ran, until), versions.holds(lives, until), lives.c.withdrawn.is_(False))
        .where(*of_cluster(cluster))
        .order_by(end.desc(), ran.c.began.desc(), lives.c.uid)
        .limit(1)
    ).first()
    return _former(row)


def _former(row: Any) -> Former | None:
    if row is None:
        return None
    over = min(one for one in (row.ended, row.died) if one is not None)
    return Former(uid=row.uid, name=row.name, cluster=row.cluster, began=moment(row.began), ended=moment(over))
