"""Questions to the ledger: which chains there are, what is open, and the chain itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Connection, LargeBinary, cast, func, or_, select

from exuvia.model.facts import microseconds
from exuvia.record import chain, checkpoints, tables, versions
from exuvia.record.belonging import told_in
from exuvia.record.counts import verdict_changes
from exuvia.record.moments import moment
from exuvia.record.octets import octets

PAGE = 1000
"""So many entries of a chain are in memory at a time."""


def clusters(connection: Connection) -> tuple[str, ...]:
    """Every cluster that the ledger has a chain of, by name. One look at the index for each: a chain may be long."""
    named, found = tables.entries.c.cluster, list[str]()
    one = connection.scalar(select(func.min(named)))
    while one is not None:
        found.append(one)
        one = connection.scalar(select(func.min(named)).where(named > one))
    return tuple(found)


def with_operations(connection: Connection, uid: str) -> set[str]:
    """An instance and its operations, by UID."""
    table = tables.operations
    return {uid, *connection.scalars(select(table.c.uid).where(table.c.instance == uid).distinct())}


def starts(connection: Connection, kind: str, since: datetime, *, cluster: str) -> list[tuple[str, datetime]]:
    """(operation UID, started) of every operation of a kind that started since, in one cluster."""
    table = tables.operations
    rows = connection.execute(
        select(table.c.uid, table.c.at).where(
            table.c.event == "started", table.c.kind == kind, table.c.at >= microseconds(since), told_in(table, cluster)
        )
    )
    return [(row.uid, moment(row.at)) for row in rows]


def open_verdicts(connection: Connection, cluster: str) -> dict[tuple[str, str], str]:
    """(instance UID, policy) -> verdict as last recorded, of machines that are not dead."""
    changes, lives = verdict_changes(cluster), tables.lives
    holding = select(lives).where(versions.holds(lives)).subquery()
    rows = connection.execute(
        select(changes.c.uid, changes.c.policy, changes.c.result)
        .select_from(changes.outerjoin(holding, holding.c.uid == changes.c.uid))
        .where(
            changes.c.following.is_(None),
            changes.c.result != "",
            holding.c.died.is_(None),
            or_(holding.c.uid.is_(None), holding.c.cluster == cluster),
        )
    )
    return {(row.uid, row.policy): row.result for row in rows}


def last_recorded(connection: Connection, cluster: str) -> datetime | None:
    """When the last entry of a cluster was recorded."""
    table = tables.entries
    found = connection.scalar(select(func.max(table.c.recorded)).where(table.c.cluster == cluster))
    return None if found is None else moment(found)


def links(connection: Connection, cluster: str) -> Iterator[chain.Link]:
    """A chain as stored, in order. A row whose columns say something else than its entry counts as changed. Where
    entries were pruned stands one link for the gap that a checkpoint vouches for."""
    return checkpoints.bridged(_stored(connection, cluster), checkpoints.gaps(connection, cluster))


def _stored(connection: Connection, cluster: str) -> Iterator[chain.Link]:
    table = tables.entries
    raw = octets(table.c.body).label("raw")  # bytes: a changed one need not be UTF-8
    columns = (table.c.seq, cast(table.c.hash, LargeBinary).label("hash"), raw)
    claims = (table.c.kind, table.c.recorded, table.c.epoch)
    chosen = select(*columns, *claims).where(table.c.cluster == cluster).order_by(table.c.seq)
    with connection.execute(chosen.execution_options(yield_per=PAGE)) as rows:  # closed where the walk ends early, too
        for row in rows:
            body = bytes(row.raw or b"")
            honest = _agrees(body, (row.kind, row.recorded, row.epoch))
            yield chain.Link(seq=int(row.seq), hash=bytes(row.hash or b""), canonical=body if honest else b"")


def _agrees(body: bytes, claims: tuple[object, ...]) -> bool:
    try:
        entry = json.loads(body)
        return (entry["type"], entry["recorded"], entry["epoch"]) == claims
    except (ValueError, KeyError, TypeError):
        return False
