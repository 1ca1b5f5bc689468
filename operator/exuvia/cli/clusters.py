"""Of which cluster a question is: one database may hold the chains of many."""

from __future__ import annotations

import click
from sqlalchemy import Connection

from exuvia import errors
from exuvia.record import queries

NAMELESS = "one without a name ('')"

cluster_filter_option = click.option(
    "--cluster",
    "named",
    envvar="EXUVIA_CLUSTER",
    default=None,
    metavar="NAME",
    help="Only what this cluster told; '' is the one without a name. Default: all.",
)
"""`named: str | None`: None asks for all of them, "" for the chain without a name. Give it to `chosen`."""


def chosen(connection: Connection, named: str | None) -> str | None:
    """The cluster that was named, None for all. Raises `errors.SettingsError`, naming those that the ledger holds."""
    if named is None or named in (there := queries.clusters(connection)):
        return named
    asked = f"cluster {named}" if named else "a cluster without a name"
    if not there:
        raise errors.SettingsError(f"The ledger holds nothing of {asked}: it is empty.", remedy="Leave --cluster out.")
    listed = ", ".join(one or NAMELESS for one in there)
    raise errors.SettingsError(f"The ledger holds nothing of {asked}.", remedy=f"It holds {listed}.")


def several(connection: Connection) -> bool:
    """Whether it holds more than one cluster, so that an answer for people must say of which it speaks."""
    return len(queries.clusters(connection)) > 1
