"""The tables that answer questions, made anew from the entries: after a migration, whatever it changed in them."""

from __future__ import annotations

import json

from sqlalchemy import Connection, delete, select

from exuvia import errors
from exuvia.model.facts import FactKind
from exuvia.record import projecting, tables, versions

DERIVED = (
    tables.lives,
    tables.identities,
    tables.placements,
    tables.sessions,
    tables.presences,
    tables.scores,
    tables.freezes,
    tables.verdicts,
    tables.operations,
    tables.intents,
    tables.outcomes,
    tables.mentions,
)
PAGE = 1000


def rebuild(connection: Connection) -> None:
    """Empty them and project every entry, in order. The entries themselves are only read.

    An entry that cannot be read any more is left out; `exuvia ledger verify` names it.
    """
    for derived in DERIVED:
        connection.execute(delete(derived))
    table, place = tables.entries, ("", 0)
    chosen = select(table).order_by(table.c.cluster, table.c.seq).limit(PAGE)
    while True:
        after = (table.c.cluster > place[0]) | ((table.c.cluster == place[0]) & (table.c.seq > place[1]))
        rows = connection.execute(chosen.where(after)).all()
        for row in rows:
            _project(connection, row.cluster, row.seq, row.body)
            place = (row.cluster, row.seq)
        if len(rows) < PAGE:
            return


def _project(connection: Connection, cluster: str, seq: int, body: str) -> None:
    try:
        entry = json.loads(body)
        told = projecting.Told(
            cluster=cluster,
            seq=seq,
            kind=FactKind(entry["type"]),
            at=entry["at"],
            recorded=entry["recorded"],
            body=entry["body"],
        )
    except (ValueError, KeyError, TypeError):
        return
    try:
        projecting.project(connection, told, ready=_nothing)
        about = projecting.mentions(told)
        if about:
            connection.execute(versions.adding(tables.mentions), about)
    except (KeyError, TypeError, errors.InvalidObject):
        return


def _nothing() -> None:
    """Every entry is in its table."""
