"""Trust: whether a ledger that misses entries was accepted by a person, and for which missing entries that holds.

A person's acceptance (`exuvia ledger accept`) names nobody's entries; what exactly was missing is entered by the
operator once it sees the acceptance, so that the same operations are not held against the ledger at the next start.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, select

from exuvia.model import facts
from exuvia.model.facts import FactKind
from exuvia.record import appending, checkpoints, tables
from exuvia.record.missing import Missing

Lost = Mapping[int, bytes]
"""Entries that must be there: number -> hash."""


def acceptance(connection: Connection, writer: appending.Writer, *, after: int, at_start: bool) -> int | None:
    """The number of the acceptance that counts, or None.

    One that was added after the loss was seen (`after`) counts. Of what is found missing at the start of a leadership
    one also counts that was added while no operator wrote: nothing of another epoch than ours stands behind it.
    """
    latest = next((row for row in _accepted(connection, writer.cluster) if "missing" not in _body(row)), None)
    if latest is None:
        return None
    if latest.seq > after or (at_start and _untouched(connection, latest.seq, writer)):
        return int(latest.seq)
    return None


def holds(connection: Connection, cluster: str, seq: int, hash_: str) -> bool:
    """Whether the entry of that number has that hash, or a person accepted that it is missing."""
    found = appending.hash_at(connection, cluster, seq)
    return (found is not None and found.hex() == hash_) or known_missing(connection, cluster, seq, hash_)


def settle(
    connection: Connection, head: appending.Head, looked_for: Lost, missing: Missing, writer: appending.Writer
) -> appending.Head | None:
    """Where entries are missing that are looked for: enter that a person's acceptance was about them.

    The head then; None while something is missing that nobody accepted.
    """
    lost = {seq: one for seq, one in looked_for.items() if appending.hash_at(connection, writer.cluster, seq) != one}
    if not lost:
        return head
    accepted = acceptance(connection, writer, after=missing.after, at_start=missing.at_start)
    if accepted is None:
        return None
    appending.fence(connection, writer)
    said = f"settles the acceptance of entry {accepted}"
    fact = facts.accepted(by="exuvia", reason=said, at=datetime.now(UTC), missing=named(lost))
    return appending.add(connection, head, fact, writer)


def known_missing(connection: Connection, cluster: str, seq: int, hash_: str) -> bool:
    """Whether a person accepted that this very entry is missing, or it was pruned under a checkpoint."""
    wanted = f"{seq}:{hash_}"
    accepted = any(wanted in _body(row).get("missing", ()) for row in _accepted(connection, cluster))
    return accepted or checkpoints.covers(connection, cluster, seq)


def named(lost: Lost) -> list[str]:
    """As a settlement lists them: `number:hash`."""
    return [f"{seq}:{hash_.hex()}" for seq, hash_ in sorted(lost.items())]


def _untouched(connection: Connection, accepted: int, writer: appending.Writer) -> bool:
    table = tables.entries
    return not connection.scalar(
        select(func.count()).where(
            table.c.cluster == writer.cluster, table.c.seq > accepted, table.c.epoch != writer.epoch
        )
    )


def _accepted(connection: Connection, cluster: str) -> Sequence[Any]:
    table = tables.entries
    return connection.execute(
        select(table.c.seq, table.c.body)
        .where(table.c.cluster == cluster, table.c.kind == FactKind.ACCEPTED.value)
        .order_by(table.c.seq.desc())
    ).all()


def _body(row: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row.body)["body"]
    return found
