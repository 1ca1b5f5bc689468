"""Entries that fit a question, oldest first, of one cluster or of all: read while they are asked for, so that neither
the length of a chain nor the number of chains is a matter of memory."""

from __future__ import annotations

import heapq
import json
from collections.abc import Collection, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import BigInteger, Connection, Select, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from exuvia import errors
from exuvia.model.facts import microseconds
from exuvia.record import queries, tables

PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is looked for; None and "" ask for everything. `since`: what was so then or later. `uids`: whom it is about,
    machines or operations."""

    cluster: str | None = None
    kind: str = ""
    since: datetime | None = None
    uids: Collection[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An entry of the chain of a cluster, as it stands there."""

    cluster: str
    seq: int
    entry: dict[str, Any]


def found(connection: Connection, asked: Search, *, limit: int = 0) -> Generator[Found]:
    """The last `limit` entries (0: all), in the order in which they were recorded; read while they are asked for, so
    close it before the connection. Raises `errors.LedgerCorrupt` at an entry that cannot be read."""
    with ExitStack() as opened:
        rows = _merged(connection, asked, opened, newest_first=bool(limit))
        yield from map(_found, reversed(tuple(islice(rows, limit))) if limit else rows)


class _moment(FunctionElement[int]):
    """`at` of an entry's canonical JSON, where it is the first key; NULL or 0 where it is not."""

    inherit_cache = True
    type = BigInteger()
    name = "moment"


@compiles(_moment)
def _leading_number(element: Any, compiler: Any, **more: Any) -> str:
    return f"CAST(substr({compiler.process(element.clauses, **more)}, 7, 20) AS INTEGER)"


@compiles(_moment, "postgresql")
def _matched_number(element: Any, compiler: Any, **more: Any) -> str:
    return f"CAST(substring({compiler.process(element.clauses, **more)} from '^.\"at\"[:](-?[0-9]+)') AS BIGINT)"


def _merged(connection: Connection, asked: Search, opened: ExitStack, *, newest_first: bool) -> Iterator[Any]:
    """The rows of every chain. Within a chain nothing is recorded before what stands in front of it."""
    chosen = queries.clusters(connection) if asked.cluster is None else (asked.cluster,)
    walks = [
        opened.enter_context(connection.execute(_walk(asked, cluster, newest_first=newest_first))) for cluster in chosen
    ]
    return heapq.merge(*walks, key=_order, reverse=newest_first)


def _order(row: Any) -> tuple[int, str, int]:
    return row.recorded, row.cluster, row.seq


def _walk(asked: Search, cluster: str, *, newest_first: bool) -> Select[Any]:
    table = tables.entries
    chosen = select(table.c.cluster, table.c.seq, table.c.recorded, table.c.body).where(table.c.cluster == cluster)
    if asked.kind:
        chosen = chosen.where(table.c.kind == asked.kind)
    if asked.since is not None:
        chosen = chosen.where(_moment(table.c.body) >= microseconds(asked.since))
    if asked.uids is not None:
        named = tables.mentions
        about = select(named.c.seq).where(named.c.uid.in_(asked.uids), named.c.cluster == cluster)
        chosen = chosen.where(table.c.seq.in_(about))
    ordered = chosen.order_by(table.c.seq.desc() if newest_first else table.c.seq)
    return ordered.execution_options(yield_per=PAGE)


def _found(row: Any) -> Found:
    try:
        entry = json.loads(row.body)
        int(entry["at"]), int(entry["recorded"]), str(entry["type"]), dict(entry["body"])
    except (ValueError, TypeError, KeyError):
        said = f"Entry {row.seq} of the ledger is no entry any more: it was changed."
        raise errors.LedgerCorrupt(said, remedy="See by `exuvia ledger verify` what else is wrong.") from None
    return Found(cluster=row.cluster, seq=int(row.seq), entry=entry)
