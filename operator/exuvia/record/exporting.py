"""Exported lines: one entry each, with its number and hash, so that anybody can check the chain (history.md)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, select

from exuvia.model.facts import FactKind
from exuvia.record import ocsf, personal, tables

PAGE = 1000


def lines(connection: Connection, cluster: str, *, since: int = 0) -> Iterator[str]:
    """`{"seq":n,"hash":"<hex>","entry":{...}}`, in order, without line ends. The entry is in canonical form already.

    With `since` (microseconds) only what was recorded from then on: a continuation of what was exported before.
    """
    for row in _rows(connection, cluster, since):
        yield f'{{"seq":{row.seq},"hash":"{bytes(row.hash).hex()}","entry":{row.body}}}'


def events(
    connection: Connection, cluster: str, *, since: int = 0, named: Callable[[str], str] = personal.subject
) -> Iterator[str]:
    """Each entry as an event of OCSF, one JSON object a line. `named` says how a sealed name of a person is written; by
    default as the token that stands for it."""
    for row in _rows(connection, cluster, since):
        entry = _readable(json.loads(row.body), named)
        event = ocsf.event(entry, seq=int(row.seq), hash_=bytes(row.hash).hex())
        yield json.dumps(event, ensure_ascii=False, separators=(",", ":"))


def _readable(entry: dict[str, Any], named: Callable[[str], str]) -> Mapping[str, Any]:
    if entry["type"] != FactKind.SESSION.value:
        return entry
    return entry | {"body": entry["body"] | {"user": named(entry["body"]["user"])}}


def _rows(connection: Connection, cluster: str, since: int) -> Iterator[Any]:
    table, after = tables.entries, 0
    chosen = select(table.c.seq, table.c.hash, table.c.body).where(table.c.cluster == cluster)
    if since:
        chosen = chosen.where(table.c.recorded >= since)
    while True:
        rows = connection.execute(chosen.where(table.c.seq > after).order_by(table.c.seq).limit(PAGE)).all()
        yield from rows
        if len(rows) < PAGE:
            return
        after = rows[-1].seq
