"""Adding facts to the chain, within a transaction that somebody else began and will commit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, desc, func, insert, select

from exuvia import errors
from exuvia.model.facts import Fact, Receipt, microseconds
from exuvia.record import chain, personal, projecting, tables
from exuvia.record.batches import Batch as Batch
from exuvia.record.lines import Line


class Head(NamedTuple):
    """The last entry of a chain: number, hash and when it was recorded; of an empty chain 0 and 32 zero bytes."""

    seq: int = 0
    hash: bytes = chain.GENESIS
    recorded: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """In whose name entries are added."""

    cluster: str
    epoch: int


def head(connection: Connection, cluster: str) -> Head:
    """The last entry of a cluster's chain."""
    row = connection.execute(_HEAD, {"of": cluster}).first()
    return Head() if row is None else Head(int(row.seq), bytes(row.hash), int(row.recorded))


def hash_at(connection: Connection, cluster: str, seq: int) -> bytes | None:
    """The hash of the entry of that number, or None."""
    table = tables.entries
    found = connection.scalar(select(table.c.hash).where(table.c.cluster == cluster, table.c.seq == seq))
    return None if found is None else bytes(found)


def greatest_epoch(connection: Connection, cluster: str) -> int:
    """The greatest epoch that any writer of a cluster had."""
    table = tables.leadership
    return int(connection.scalar(select(func.max(table.c.epoch)).where(table.c.cluster == cluster)) or 0)


def fence(connection: Connection, writer: Writer) -> None:
    """A newer leader wrote already: we must not (safety.md, 9). Raises `errors.Fenced`."""
    theirs = greatest_epoch(connection, writer.cluster)
    if theirs > writer.epoch:
        raise errors.Fenced(f"the ledger was written under epoch {theirs}, ours is {writer.epoch}")
    if theirs < writer.epoch:
        connection.execute(insert(tables.leadership).values(cluster=writer.cluster, epoch=writer.epoch))


def register(connection: Connection, cluster: str) -> None:
    """Let the ledger know whose it is before anything is entered, so that a person's acceptance finds the chain."""
    table = tables.leadership
    if connection.scalar(select(table.c.epoch).where(table.c.cluster == cluster).limit(1)) is None:
        connection.execute(insert(table).values(cluster=cluster, epoch=0))


def add(
    connection: Connection,
    former: Head,
    fact: Fact,
    writer: Writer,
    *,
    recorded: int | None = None,
    batch: Batch | None = None,
    line: Line | None = None,
) -> Head | None:
    """The head after this fact, or None when it went to the dead letters. InvalidObject for what no entry may hold.

    It is recorded now (or at the moment given, in microseconds), and never before the entry that it follows: a clock
    that goes back makes no earlier entry. With a `batch` the caller flushes it. `line`: what the fact says, where
    that was read already, with the name of a person sealed.
    """
    if line is None:
        fact = personal.sealed(connection, fact)
    recorded = max(microseconds(datetime.now(UTC)) if recorded is None else recorded, former.recorded)
    told = projecting.Told(
        cluster=writer.cluster,
        seq=former.seq + 1,
        kind=fact.kind,
        at=microseconds(fact.at),
        recorded=recorded,
        body=fact.body,
        line=projecting.line_of(fact.kind, fact.body, recorded) if line is None else line,
    )
    canonical = chain.canonical(_entry(told, writer))
    waiting = Batch() if batch is None else batch
    reason = projecting.refusal(connection, waiting, told)
    made = None
    if reason:
        letter = {"cluster": writer.cluster, "recorded": recorded, "reason": reason, "body": canonical.decode()}
        waiting.put(tables.dead_letters, letter)
    else:
        made = Head(told.seq, chain.next_hash(former.hash, canonical), recorded)
        waiting.put(tables.entries, _row(made, told, writer, canonical))
        waiting.put(tables.mentions, *projecting.mentions(told))
        projecting.take(connection, waiting, told)
    if batch is None:
        waiting.flush(connection)
    return made


def _entry(told: projecting.Told, writer: Writer) -> dict[str, Any]:
    return {
        "type": told.kind.value,
        "at": told.at,
        "recorded": told.recorded,
        "cluster": writer.cluster,
        "epoch": writer.epoch,
        "body": dict(told.body),
    }


def _row(made: Head, told: projecting.Told, writer: Writer, canonical: bytes) -> dict[str, Any]:
    return {
        "cluster": told.cluster,
        "seq": made.seq,
        "hash": made.hash,
        "kind": told.kind.value,
        "recorded": told.recorded,
        "epoch": writer.epoch,
        "body": canonical.decode(),
    }


def receipt(of: Head) -> Receipt:
    """What a writer is given for its last fact."""
    return Receipt(seq=of.seq, hash=of.hash.hex())


_HEAD = (
    select(tables.entries.c.seq, tables.entries.c.hash, tables.entries.c.recorded)
    .where(tables.entries.c.cluster == bindparam("of"))
    .order_by(desc(tables.entries.c.seq))
    .limit(1)
)
