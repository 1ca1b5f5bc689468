"""What the ledger holds of the seats of licence pools, streamed: it may be the history of years."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, exists, select

from exuvia.model.facts import FactKind
from exuvia.record import tables

PAGE = 5000


def of_pool(connection: Connection, uid: str, cluster: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """When (microseconds) and what, of every change of the pool of that UID, oldest first. Closed where the walk ends
    early, too."""
    entries, mentions = tables.entries, tables.mentions
    chosen = (
        select(entries.c.body)
        .join(mentions, (mentions.c.cluster == entries.c.cluster) & (mentions.c.seq == entries.c.seq))
        .where(mentions.c.uid == uid, entries.c.cluster == cluster, entries.c.kind == FactKind.SEAT.value)
        .order_by(entries.c.seq)
    )
    with connection.execute(chosen.execution_options(yield_per=PAGE)) as rows:
        for (text,) in rows:
            entry = json.loads(text)
            yield int(entry["at"]), entry["body"]


def others(connection: Connection, uids: Iterable[str], cluster: str) -> dict[str, str]:
    """UID -> name of every pool that the cluster's chain tells of, but for these: one walk through its seats."""
    entries, mentions, found, seq = tables.entries, tables.mentions, dict[str, str](), 0
    known = set(uids)
    while True:
        named = (mentions.c.cluster == entries.c.cluster, mentions.c.seq == entries.c.seq, mentions.c.uid.in_(known))
        first = connection.execute(
            select(entries.c.seq, entries.c.body)
            .where(entries.c.kind == FactKind.SEAT.value, entries.c.cluster == cluster, entries.c.seq > seq)
            .where(~exists().where(*named))
            .order_by(entries.c.seq)
            .limit(1)
        ).one_or_none()
        if first is None:
            return found
        seq, body = first.seq, json.loads(first.body)["body"]
        uid = str(body["uid"])
        known.add(uid)
        found[uid] = str(body["pool"])
