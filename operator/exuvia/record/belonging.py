"""Whose a row is. Tables that answer questions are shared by all clusters of a ledger, and some rows do not name one:
the entry that made them does."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Select, Table, exists, select

from exuvia.record import tables


def told_in(table: Table, cluster: str) -> ColumnElement[bool]:
    """Whether a row, with `uid` and `seq`, was made from an entry of that cluster's chain; by the primary key."""
    named = tables.mentions
    return exists().where(named.c.uid == table.c.uid, named.c.cluster == cluster, named.c.seq == table.c.seq)


def members(cluster: str | ColumnElement[str]) -> Select[tuple[str]]:
    """The UIDs of the machines of a cluster: of those that it ever told a life of."""
    return select(tables.lives.c.uid).where(tables.lives.c.cluster == cluster)
