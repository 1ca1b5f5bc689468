"""Adding facts to the chain, within a transaction that somebody else began and will commit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, desc, func, insert, select, update

from exuvia import errors
from exuvia.model.facts import Fact, Receipt, microseconds
from exuvia.record import chain, projecting, tables

_ENTER = insert(tables.entries)
Head = tuple[int, bytes]
"""Number and hash of the last entry; (0, 32 zero bytes) of an empty chain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """In whose name entries are added."""

    cluster: str
    epoch: int


def head(connection: Connection) -> Head:
    """The last entry."""
    table = tables.entries
    row = connection.execute(select(table.c.seq, table.c.hash).order_by(desc(table.c.seq)).limit(1)).first()
    return (0, chain.GENESIS) if row is None else (int(row.seq), bytes(row.hash))


def hash_at(connection: Connection, seq: int) -> bytes | None:
    """The hash of the entry of that number, or None."""
    found = connection.scalar(select(tables.entries.c.hash).where(tables.entries.c.seq == seq))
    return None if found is None else bytes(found)


def greatest_epoch(connection: Connection) -> int:
    """The greatest epoch that any writer had."""
    return int(connection.scalar(select(func.max(tables.leadership.c.epoch))) or 0)


def fence(connection: Connection, writer: Writer) -> None:
    """A newer leader wrote already: we must not (safety.md, 9). Raises `errors.Fenced`."""
    table = tables.leadership
    theirs = connection.scalar(select(table.c.epoch).where(table.c.cluster == writer.cluster))
    if theirs is None:
        connection.execute(insert(table).values(cluster=writer.cluster, epoch=writer.epoch))
    elif theirs > writer.epoch:
        raise errors.Fenced(f"the ledger was written under epoch {theirs}, ours is {writer.epoch}")
    elif theirs < writer.epoch:
        connection.execute(update(table).where(table.c.cluster == writer.cluster).values(epoch=writer.epoch))


def add(connection: Connection, former: Head, fact: Fact, writer: Writer) -> Head | None:
    """The head after this fact, or None when it went to the dead letters. InvalidObject for what no entry may hold."""
    recorded = microseconds(datetime.now(UTC))
    entry = {
        "type": fact.kind.value,
        "at": microseconds(fact.at),
        "recorded": recorded,
        "cluster": writer.cluster,
        "epoch": writer.epoch,
        "body": dict(fact.body),
    }
    canonical = chain.canonical(entry)
    reason = projecting.refusal(connection, fact)
    if reason:
        connection.execute(
            insert(tables.dead_letters).values(recorded=recorded, reason=reason, body=canonical.decode())
        )
        return None
    seq, hash_ = former[0] + 1, chain.next_hash(former[1], canonical)
    row = {
        "seq": seq,
        "hash": hash_,
        "kind": fact.kind.value,
        "recorded": recorded,
        "epoch": writer.epoch,
        "body": canonical.decode(),
    }
    connection.execute(_ENTER, row)
    projecting.project(connection, seq, fact)
    return seq, hash_


def receipt(of: Head) -> Receipt:
    """What a writer is given for its last fact."""
    return Receipt(seq=of[0], hash=of[1].hex())
