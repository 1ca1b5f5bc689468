"""Of which cluster a question is: one database may hold the chains of many."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection

from exuvia.cli.ledgers import chains, cluster_option
from exuvia.record import naming, queries

cluster_filter_option = cluster_option("Only what this cluster told. Default: all.")
"""`named: str | None`: None asks for all of them, "" for the chain without a name. Give it to `chosen`."""

machines_filter_option = cluster_option("Only machines that this cluster told of. Default: all.")
"""The same where machines are asked for: a UID is one machine, and what another cluster tells of it counts too."""


def chosen(connection: Connection, named: str | None, *, beside: Collection[str] = ()) -> str | None:
    """The cluster that was named, None for all. `beside`: others than those that have a chain. Raises
    `errors.SettingsError`, naming those that the ledger holds."""
    if named is not None and named not in beside:
        chains(connection, named)
    return named


def several(connection: Connection) -> bool:
    """Whether it holds more than one cluster, so that an answer for people must say of which it speaks."""
    return len(queries.clusters(connection)) > 1


def within(named: str | None) -> str:
    """` in cluster berlin`, for a sentence; "" where all were asked."""
    if named is None:
        return ""
    return f" in cluster {named}" if named else f" in {naming.NAMELESS}"
