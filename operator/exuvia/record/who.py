"""Who was it: the instance that bore a name or address at a moment, what ran on it and who was on it (history.md)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, Table, and_, bindparam, exists, or_, select

from exuvia.model.facts import microseconds
from exuvia.record import addresses, personal, tables, versions
from exuvia.record.moments import moment

AT: Any = bindparam("at", type_=BigInteger)
UNTIL: Any = bindparam("until", type_=BigInteger)
UID: Any = bindparam("uid")
"""What the statements leave open, which are made once: building them would cost more than asking them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A pod that ran on an instance; `ended` None: it runs still."""

    pod_uid: str
    namespace: str
    name: str
    service_account: str
    owner: str
    images: tuple[str, ...]
    began: datetime
    ended: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Somebody who was on an instance; `ended` None: still. `user` is `erased` where the name was forgotten."""

    user: str
    began: datetime
    ended: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """An instance that bore what was asked for. `certainty`: certain, uncertain (its end is known only within an
    interval, which begins before what was asked about), ambiguous (several bore it). `not_before`: where that interval
    begins, which `died` ends; None where the end is known. `cluster`: whose chain tells of it, "" for the one without a
    name."""

    uid: str
    name: str
    cluster: str
    born: datetime
    died: datetime | None
    not_before: datetime | None
    certainty: str
    reason: str
    placements: tuple[Placement, ...]
    sessions: tuple[Visit, ...]


def bore(
    connection: Connection,
    attribute: str,
    value: str,
    at: datetime,
    *,
    until: int = versions.INSTANT,
    cluster: str | None = None,
) -> tuple[Bearer, ...]:
    """Every instance that bore the value of an attribute (`name`, `address`, `providerID`, ...) at that moment, by what
    was recorded up to `until` (microseconds); of one cluster, or of all. An address is found however it was told."""
    when, texts = microseconds(at), addresses.written(connection, attribute, value)
    asked = {"attribute": attribute, "texts": sorted(texts), "at": when, "until": until, "cluster": cluster}
    found = connection.execute(_bearing(cluster is not None), asked).all()
    return _bearers(connection, found, when, until)


def ran(
    connection: Connection,
    namespace: str,
    pod: str,
    at: datetime,
    *,
    until: int = versions.INSTANT,
    cluster: str | None = None,
) -> tuple[Bearer, ...]:
    """Every instance that a pod of that name ran on at that moment; of one cluster, or of all."""
    when = microseconds(at)
    asked = {"namespace": namespace, "pod": pod, "at": when, "until": until, "cluster": cluster}
    return _bearers(connection, connection.execute(_running(cluster is not None), asked).all(), when, until)


@lru_cache(maxsize=2)
def _bearing(one_cluster: bool) -> Select[Any]:
    table, lives = tables.identities, tables.lives
    return (
        select(lives)
        .join(table, and_(table.c.uid == lives.c.uid, table.c.declared == lives.c.declared))
        .where(table.c.attribute == bindparam("attribute"), table.c.value.in_(bindparam("texts", expanding=True)))
        .where(covers(table), versions.holds(table, UNTIL), *_alive(), *_of_the_cluster(one_cluster))
        .distinct()
        .order_by(lives.c.born, lives.c.uid)
    )


@lru_cache(maxsize=2)
def _running(one_cluster: bool) -> Select[Any]:
    table, lives = tables.placements, tables.lives
    return (
        select(lives)
        .join(table, table.c.uid == lives.c.uid)
        .where(table.c.namespace == bindparam("namespace"), table.c.name == bindparam("pod"), covers(table))
        .where(versions.holds(table, UNTIL), table.c.withdrawn.is_(False), *_alive(), *_of_the_cluster(one_cluster))
        .distinct()
        .order_by(lives.c.born, lives.c.uid)
    )


def of_cluster(cluster: Any) -> tuple[ColumnElement[bool], ...]:
    """Of `lives`: those that a cluster ever told of, whoever told what holds of them; None for all."""
    table = tables.lives.alias()
    told = exists().where(table.c.uid == tables.lives.c.uid, table.c.cluster == cluster)
    return () if cluster is None else (told,)


def _of_the_cluster(one_cluster: bool) -> tuple[ColumnElement[bool], ...]:
    return of_cluster(bindparam("cluster")) if one_cluster else ()


def covers(table: Table) -> ColumnElement[bool]:
    """Whether what a row says was so at the moment that is asked about."""
    return and_(table.c.began <= AT, or_(table.c.ended.is_(None), table.c.ended > AT))


def _alive() -> tuple[ColumnElement[bool], ...]:
    lives = tables.lives
    return (
        versions.holds(lives, UNTIL),
        lives.c.withdrawn.is_(False),
        lives.c.born <= AT,
        or_(lives.c.died.is_(None), lives.c.died > AT),
    )


def _bearers(connection: Connection, found: Any, when: int, until: int) -> tuple[Bearer, ...]:
    return tuple(_bearer(connection, row, when, until, several=len(found) > 1) for row in found)


def _bearer(connection: Connection, row: Any, when: int, until: int, *, several: bool) -> Bearer:
    within = row.died_not_before is not None and row.died_not_before <= when
    certainty = "ambiguous" if several else ("uncertain" if within else "certain")
    return Bearer(
        uid=row.uid,
        name=row.name,
        cluster=row.cluster,
        born=moment(row.born),
        died=None if row.died is None else moment(row.died),
        not_before=None if row.died_not_before is None else moment(row.died_not_before),
        certainty=certainty,
        reason=row.reason,
        placements=tuple(_placements(connection, row, when, until)),
        sessions=tuple(_sessions(connection, row, when, until)),
    )


def _placements(connection: Connection, life: Any, when: int, until: int) -> Iterator[Placement]:
    for row in connection.execute(_PLACEMENTS, {"uid": life.uid, "at": when, "until": until}):
        yield Placement(
            pod_uid=row.pod_uid,
            namespace=row.namespace,
            name=row.name,
            service_account=row.service_account,
            owner=row.owner,
            images=tuple(json.loads(row.images)),
            began=moment(row.began),
            ended=_ended(row.ended, life.died),
        )


def _sessions(connection: Connection, life: Any, when: int, until: int) -> Iterator[Visit]:
    for row in connection.execute(_SESSIONS, {"uid": life.uid, "at": when, "until": until}):
        yield Visit(
            user=personal.revealed(connection, row.user), began=moment(row.began), ended=_ended(row.ended, life.died)
        )


def _ended(ended: int | None, died: int | None) -> datetime | None:
    """What was on a machine ended with it at the latest."""
    known = [one for one in (ended, died) if one is not None]
    return moment(min(known)) if known else None


def _on_it(table: Table, *order: str) -> Select[Any]:
    """What was on a machine."""
    chosen = select(table).where(table.c.uid == UID, covers(table), table.c.withdrawn.is_(False))
    return chosen.where(versions.holds(table, UNTIL)).order_by(*(table.c[one] for one in order))


_PLACEMENTS = _on_it(tables.placements, "namespace", "name", "pod_uid")
_SESSIONS = _on_it(tables.sessions, "began", "user")
