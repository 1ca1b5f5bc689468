"""What stands open by the ledger: pods that run, freezes, gaps and vulnerabilities of machines that live; and which
machines it knows at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, or_, select

from exuvia.model.facts import FactKind, GapKind
from exuvia.record import tables, versions
from exuvia.record.moments import moment

CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A pod that runs, as last recorded. `instance`: the UID of its machine; `images`: as its kubelet names them."""

    instance: str
    began: datetime
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """A vulnerability that is on a machine. `image` and `workload` say what brought it, where that is known."""

    vulnerability: str
    began: datetime
    image: str = ""
    workload: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A score that a source gave, as last recorded."""

    value: str
    valid_from: datetime


def placements(connection: Connection, cluster: str) -> dict[str, Placed]:
    """UID of a pod -> every placement without an end on a machine that is not dead."""
    table, lives = tables.placements, tables.lives
    holding = select(lives).where(versions.holds(lives)).subquery()
    rows = connection.execute(
        select(table.c.pod_uid, table.c.uid, table.c.began, table.c.images)
        .select_from(table.outerjoin(holding, holding.c.uid == table.c.uid))
        .where(
            table.c.ended.is_(None),
            table.c.withdrawn.is_(False),
            versions.holds(table),
            holding.c.died.is_(None),
            or_(holding.c.uid.is_(None), holding.c.cluster == cluster),
        )
    )
    shared: dict[str, tuple[str, ...]] = {}  # the pods of one workload run the same images
    return {
        row.pod_uid: Placed(instance=row.uid, began=moment(row.began), images=_images(row.images, shared))
        for row in rows
    }


def _images(text: str, shared: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    found = shared.get(text)
    if found is None:
        found = shared[text] = tuple(json.loads(text))
    return found


def known(connection: Connection, uids: Iterable[str]) -> set[str]:
    """Those of these machines whose birth was ever recorded."""
    table, asked, found = tables.lives, sorted(set(uids)), set[str]()
    for start in range(0, len(asked), CHUNK):
        some = table.c.uid.in_(asked[start : start + CHUNK])
        found |= set(connection.scalars(select(table.c.uid).where(some).distinct()))
    return found


def freed(connection: Connection, names: Iterable[str]) -> dict[str, datetime]:
    """Name -> when the last machine that bore it died, of those that are dead."""
    named, lives, asked = tables.identities, tables.lives, sorted(set(names))
    found: dict[str, datetime] = {}
    for start in range(0, len(asked), CHUNK):
        rows = connection.execute(
            select(named.c.value, func.max(lives.c.died).label("died"))
            .join(lives, (lives.c.uid == named.c.uid) & (lives.c.declared == named.c.declared))
            .where(named.c.attribute == "name", named.c.value.in_(asked[start : start + CHUNK]))
            .where(lives.c.died.is_not(None), versions.holds(lives))
            .group_by(named.c.value)
        )
        found |= {row.value: moment(row.died) for row in rows}
    return found


def freezes(connection: Connection, cluster: str) -> dict[str, datetime]:
    """UID of a machine -> since when it is frozen, of every freeze without an end."""
    table, lives = tables.freezes, tables.lives
    rows = connection.execute(
        select(table.c.uid, table.c.began)
        .join(lives, lives.c.uid == table.c.uid)
        .where(lives.c.cluster == cluster, versions.holds(lives))
        .where(table.c.ended.is_(None), table.c.withdrawn.is_(False), versions.holds(table))
    )
    return {row.uid: moment(row.began) for row in rows}


def froze(connection: Connection, uids: Iterable[str]) -> set[tuple[str, datetime]]:
    """(UID, since when) of every freeze of these machines, also of those that are over."""
    table, asked, found = tables.freezes, sorted(set(uids)), set[tuple[str, datetime]]()
    for start in range(0, len(asked), CHUNK):
        some = table.c.uid.in_(asked[start : start + CHUNK])
        rows = connection.execute(select(table.c.uid, table.c.began).where(some).distinct())
        found |= {(row.uid, moment(row.began)) for row in rows}
    return found


def gaps(connection: Connection, cluster: str) -> dict[tuple[str, GapKind], datetime]:
    """(UID of a machine that lives, what is missing) -> since when, of every gap without an end."""
    open_: dict[tuple[str, GapKind], datetime] = {}
    for body in _bodies_of_living(connection, cluster, FactKind.GAP):
        key = (body["uid"], GapKind(body["what"]))
        if body["to"] is None:
            open_[key] = datetime.fromisoformat(body["from"])
        else:
            open_.pop(key, None)
    return open_


def _bodies_of_living(connection: Connection, cluster: str, kind: FactKind) -> Iterator[Mapping[str, Any]]:
    entries, named, lives = tables.entries, tables.mentions, tables.lives
    rows = connection.scalars(
        select(entries.c.body)
        .join(named, (named.c.cluster == entries.c.cluster) & (named.c.seq == entries.c.seq))
        .join(lives, lives.c.uid == named.c.uid)
        .where(entries.c.kind == kind.value, entries.c.cluster == cluster)
        .where(versions.holds(lives), lives.c.died.is_(None))
        .order_by(entries.c.seq)
    )
    return (json.loads(one)["body"] for one in rows)


def presences(connection: Connection, cluster: str, uid: str) -> dict[str, Present]:
    """Vulnerability -> what is open of it on one machine; of several the one that began first."""
    table, entries = tables.presences, tables.entries
    rows = connection.execute(
        select(table.c.vulnerability, table.c.began, entries.c.body)
        .join(entries, (entries.c.seq == table.c.seq) & (entries.c.cluster == cluster))
        .where(table.c.uid == uid, table.c.ended.is_(None), table.c.withdrawn.is_(False), versions.holds(table))
        .order_by(table.c.began.desc())
    )
    return {row.vulnerability: _present(row.vulnerability, row.began, row.body) for row in rows}


def vulnerable(connection: Connection, cluster: str) -> set[str]:
    """UIDs of the living machines with a vulnerability that is open."""
    table, lives = tables.presences, tables.lives
    rows = connection.scalars(
        select(table.c.uid)
        .join(lives, lives.c.uid == table.c.uid)
        .where(lives.c.cluster == cluster, lives.c.died.is_(None), versions.holds(lives))
        .where(table.c.ended.is_(None), table.c.withdrawn.is_(False), versions.holds(table))
        .distinct()
    )
    return set(rows)


def left(connection: Connection, uid: str) -> dict[str, datetime]:
    """Image, as its kubelet names it -> when the last pod with it left a machine."""
    table, found = tables.placements, dict[str, datetime]()
    rows = connection.execute(
        select(table.c.images, table.c.ended)
        .where(table.c.uid == uid, table.c.ended.is_not(None), table.c.withdrawn.is_(False), versions.holds(table))
        .order_by(table.c.ended)
    )
    for row in rows:
        found |= dict.fromkeys(json.loads(row.images), moment(row.ended))
    return found


def _present(vulnerability: str, began: int, entry: str) -> Present:
    body = json.loads(entry)["body"]
    return Present(
        vulnerability=vulnerability,
        began=moment(began),
        image=str(body.get("image") or ""),
        workload=str(body.get("workload") or ""),
    )


def scores(connection: Connection, source: str) -> dict[str, Scored]:
    """Vulnerability -> the score of one source that is valid from the latest moment."""
    table = tables.scores
    rows = connection.execute(
        select(table.c.vulnerability, table.c.value, table.c.valid_from)
        .where(table.c.source == source, table.c.withdrawn.is_(False), versions.holds(table))
        .order_by(table.c.valid_from)
    )
    return {row.vulnerability: Scored(value=row.value, valid_from=moment(row.valid_from)) for row in rows}
