"""For how long seats of a pool were held, and wanted in vain, by what its entries say: where its counters begin.

Each entry about a machine ends what the former one began. A machine is pruned with all that was told of it, so what its
entries add up to is carried over by the checkpoint.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from exuvia.model.facts import FactKind
from exuvia.record import checkpoints, tables

CHUNK = 500
HELD, UNMET = "held", "unmet"
_MILLISECOND = 1000
_BEGINS = {"granted": HELD, "queued": UNMET, "denied": UNMET, "left": ""}
"""What a machine does from an event on; of others only a return says that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Microseconds that seats of a pool were held, and that machines which wanted one had none."""

    held: int = 0
    unmet: int = 0


@dataclass(slots=True)
class Spans:
    """Adds up entries of one chain, given in its order."""

    _totals: Counter[tuple[str, str]] = field(default_factory=Counter)
    _open: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)

    def through(self, told: Iterable[tuple[int, Mapping[str, Any]]]) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """The same moments and bodies, taken note of on their way."""
        for at, body in told:
            self.note(at, body)
            yield at, body

    def note(self, at: int, body: Mapping[str, Any]) -> None:
        """One more entry; `at` in microseconds."""
        event, key = body.get("event"), (str(body.get("uid")), str(body.get("instance")))
        lapsed = UNMET if body.get("cause") == "expiry" else ""
        begins = lapsed if event == "returned" else _BEGINS.get(str(event))
        if begins is None:
            return
        what, since = self._open.pop(key, ("", at))
        self._totals[key[0], what] += max(0, at - since)
        if begins:
            self._open[key] = begins, at

    def spent(self, pool: str, *, until: int) -> Spent:
        """Of the pool of that UID, what is open counted up to a moment."""
        found = {what: self._totals[pool, what] for what in (HELD, UNMET)}
        for (of, _), (what, since) in self._open.items():
            if of == pool:
                found[what] += max(0, until - since)
        return Spent(**found)


def carried(connection: Connection, pool: str, cluster: str) -> Spent:
    """Of the pool of that UID, what was pruned."""
    for uid, held, unmet in checkpoints.carried(connection, cluster).get("seats", ()):
        if uid == pool:
            return Spent(held=held * _MILLISECOND, unmet=unmet * _MILLISECOND)
    return Spent()


def to_carry(connection: Connection, cluster: str, doomed: Sequence[int]) -> list[list[Any]]:
    """UID of a pool and milliseconds held and unmet, of all that was ever pruned, with the entries of these numbers, in
    order: as a checkpoint holds it."""
    spans, former = Spans(), {row[0]: row for row in checkpoints.carried(connection, cluster).get("seats", ())}
    pools = set(former)
    for at, body in _told(connection, cluster, doomed):
        spans.note(at, body)
        pools.add(str(body.get("uid")))
    return [_row(spans.spent(uid, until=0), former.get(uid, [uid, 0, 0])) for uid in sorted(pools)]


def _row(more: Spent, former: Sequence[Any]) -> list[Any]:
    uid, held, unmet = former
    return [uid, held + more.held // _MILLISECOND, unmet + more.unmet // _MILLISECOND]


def _told(connection: Connection, cluster: str, seqs: Sequence[int]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    table = tables.entries
    chosen = select(table.c.body).where(table.c.cluster == cluster, table.c.kind == FactKind.SEAT.value)
    for start in range(0, len(seqs), CHUNK):
        some = table.c.seq.in_(seqs[start : start + CHUNK])
        for text in connection.scalars(chosen.where(some).order_by(table.c.seq)):
            entry = json.loads(text)
            yield int(entry["at"]), entry["body"]
