"""The tables that answer questions, made anew from the entries: after a migration, whatever it changed in them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import Connection, delete, select

from exuvia import errors
from exuvia.model.facts import FactKind
from exuvia.record import projecting, tables
from exuvia.record.batches import Batch
from exuvia.record.projecting import Told

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
    chosen = select(table.c.cluster, table.c.seq, table.c.body).order_by(table.c.cluster, table.c.seq).limit(PAGE)
    while True:
        after = (table.c.cluster > place[0]) | ((table.c.cluster == place[0]) & (table.c.seq > place[1]))
        rows = connection.execute(chosen.where(after)).all()
        _project(connection, [told for row in rows if (told := _told(row.cluster, row.seq, row.body)) is not None])
        if len(rows) < PAGE:
            return
        place = (rows[-1].cluster, rows[-1].seq)


def _told(cluster: str, seq: int, body: str) -> Told | None:
    try:
        entry = json.loads(body)
        return Told(
            cluster=cluster,
            seq=seq,
            kind=FactKind(entry["type"]),
            at=entry["at"],
            recorded=entry["recorded"],
            body=entry["body"],
        )
    except (ValueError, KeyError, TypeError):
        return None


def _project(connection: Connection, page: Sequence[Told]) -> None:
    batch = Batch()
    projecting.read_ahead(connection, batch, page)
    for told in page:
        try:
            projecting.take(connection, batch, told)
            batch.put(tables.mentions, *projecting.mentions(told))
        except (KeyError, TypeError, errors.InvalidObject):
            continue
    batch.flush(connection)
