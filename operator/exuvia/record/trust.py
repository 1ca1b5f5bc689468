"""Trust: which missing entries a person accepted, and what a chain that lost entries still proves.

A person's acceptance (`exuvia ledger accept`) names each entry that it is about, by number and hash. So it never counts
for what is lost later. Entries of that kind which name nothing are of a former version: they count for nothing new.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, desc, select

from exuvia.model.facts import FactKind, microseconds
from exuvia.record import appending, chain, checkpoints, queries, tables
from exuvia.record.missing import Missing
from exuvia.record.moments import moment

Lost = Mapping[int, bytes]
"""Entries that must be there: number -> hash."""

NEVER = "0"
"""In place of the last acceptance, where there is none."""

WATCHED = (FactKind.BIRTH, FactKind.DEATH, FactKind.IDENTITY)
"""Entered by nobody but a leader that watches machines; what else it enters is of kinds that an import brings, too, or
says nothing of machines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """An entry that is noted outside of the ledger; `hash` in hex. `cluster`: whose chain; None: not said."""

    seq: int
    hash: str
    cluster: str | None = None


def holds(connection: Connection, cluster: str, seq: int, hash_: str) -> bool:
    """Whether the entry of that number has that hash, or a person accepted that it is missing."""
    found = appending.hash_at(connection, cluster, seq)
    return (found is not None and found.hex() == hash_) or known_missing(connection, cluster, seq, hash_)


def stands(connection: Connection, cluster: str, seq: int, hash_: bytes) -> bool:
    """Whether the entry of that number is there, or was pruned under a checkpoint, which vouches for its place in the
    chain. That the chain itself is broken there no checkpoint mends."""
    found = appending.hash_at(connection, cluster, seq)
    if found is not None or hash_ == chain.GENESIS:
        return found == hash_
    return checkpoints.covers(connection, cluster, seq)


def settle(
    connection: Connection, head: appending.Head, looked_for: Lost, missing: Missing, cluster: str
) -> appending.Head | None:
    """The head, where all that is looked for is there, or accepted as missing by a person; else None. That the chain
    itself is broken must be accepted after it was seen. A checkpoint vouches for what the chain held when it was seen:
    for entries that were lost, and whose numbers others bear since, it does not."""
    accepted = _names(connection, cluster)
    for seq, hash_ in looked_for.items():
        pruned = seq <= missing.after and stands(connection, cluster, seq, hash_)
        if pruned or appending.hash_at(connection, cluster, seq) == hash_:
            continue
        after = missing.after if hash_ == chain.GENESIS else 0
        if accepted.get(f"{seq}:{hash_.hex()}", 0) <= after:
            return None
    return head


def unaccepted(connection: Connection, cluster: str, noted: Iterable[Noted]) -> list[str]:
    """Those that the chain misses, `number:hash`, and that nobody accepted yet. A broken chain is accepted anew. What
    another chain holds is about that one, where nobody says whose it is."""
    ours: dict[tuple[int, str], bool] = {}
    for one in noted:
        if one.cluster in (None, cluster):
            ours[one.seq, one.hash] = ours.get((one.seq, one.hash), False) or one.cluster is not None
    lost = (one for one in sorted(ours) if one[1] == chain.GENESIS.hex() or not holds(connection, cluster, *one))
    return [f"{seq}:{hash_}" for seq, hash_ in lost if ours[seq, hash_] or not _elsewhere(connection, seq, hash_)]


def _elsewhere(connection: Connection, seq: int, hash_: str) -> bool:
    """Whether any chain holds that very entry: no two have the same."""
    found = (appending.hash_at(connection, one, seq) for one in queries.clusters(connection))
    return any(one is not None and one.hex() == hash_ for one in found)


def known_missing(connection: Connection, cluster: str, seq: int, hash_: str) -> bool:
    """Whether a person accepted that this very entry is missing, or it was pruned under a checkpoint."""
    return f"{seq}:{hash_}" in _names(connection, cluster) or checkpoints.covers(connection, cluster, seq)


def last_acceptance(connection: Connection, cluster: str, until: datetime | None = None) -> str:
    """`number:hash` of the last one (recorded until then), else `NEVER`: what is known by a ledger counts until there
    is another."""
    table = tables.entries
    chosen = select(table.c.seq, table.c.hash).where(
        table.c.cluster == cluster, table.c.kind == FactKind.ACCEPTED.value
    )
    if until is not None:
        chosen = chosen.where(table.c.recorded <= microseconds(until))
    found = connection.execute(chosen.order_by(desc(table.c.seq)).limit(1)).first()
    return NEVER if found is None else f"{found.seq}:{bytes(found.hash).hex()}"


def proven(connection: Connection, cluster: str, known_by: str) -> datetime | None:
    """The last moment at which a leader is known to have watched, by what stands before the loss that was accepted
    after the acceptance `known_by`, or before the last loss where that one is lost itself. None: there is nothing."""
    table = tables.entries
    found = connection.scalar(
        select(table.c.recorded)
        .where(table.c.cluster == cluster, table.c.kind.in_([one.value for one in WATCHED]))
        .where(table.c.seq < _loss(connection, cluster, known_by))
        .order_by(desc(table.c.seq))
        .limit(1)
    )
    return None if found is None else moment(found)


def _loss(connection: Connection, cluster: str, known_by: str) -> int:
    """The number of the entry by which it was accepted; where nobody did yet, that of the next entry."""
    accepted = [seq for seq, _ in _accepted(connection, cluster)]
    coming = appending.head(connection, cluster).seq + 1
    if known_by == NEVER:
        return min(accepted, default=coming)
    former, _, hash_ = known_by.partition(":")
    kept = appending.hash_at(connection, cluster, int(former))
    if kept is None or kept.hex() != hash_:
        return max(accepted, default=coming)
    return min((seq for seq in accepted if seq > int(former)), default=coming)


def _names(connection: Connection, cluster: str) -> dict[str, int]:
    """`number:hash` of what was accepted as missing -> the last entry that says so."""
    return {name: seq for seq, names in _accepted(connection, cluster) for name in names}


def _accepted(connection: Connection, cluster: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    table = tables.entries
    rows = connection.execute(
        select(table.c.seq, table.c.body)
        .where(table.c.cluster == cluster, table.c.kind == FactKind.ACCEPTED.value)
        .order_by(table.c.seq)
    )
    for row in rows:
        yield int(row.seq), tuple(json.loads(row.body)["body"].get("missing", ()))
