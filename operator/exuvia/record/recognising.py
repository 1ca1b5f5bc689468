"""Lines that say what the ledger holds already, word for word: a file that is imported again adds nothing.

Of a line with `recordedAt` it is the version of that very moment that counts; of one without, which says what is so as
of now, the version that holds now. What was told otherwise meanwhile is told anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import BindParameter, Connection, bindparam, select

from exuvia.model.facts import Fact, FactKind
from exuvia.record import chain, lines, personal, stating, tables
from exuvia.record.batches import Batch, Known
from exuvia.record.lines import Line

Words = tuple[str, bytes]
"""Type and canonical JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A line on its way into the chain: the fact that it becomes, and what the chain will say of it."""

    fact: Fact
    line: Line
    words: Words


def told(connection: Connection, line: Line, fact: Fact) -> Told:
    """As it will stand in the chain, with the name of a person sealed. Raises `errors.InvalidObject` for what no entry
    may hold."""
    if fact.kind is FactKind.SESSION:
        body = {"type": line.type, **personal.sealed(connection, fact).body}
        line = lines.of(body, recorded=line.version.recorded, number=line.number)
    return Told(fact=fact, line=line, words=(line.type, chain.canonical(line.body)))


def known(connection: Connection, batch: Batch, page: Sequence[Told], *, cluster: str, recorded: int) -> set[int]:
    """The places in a page of those that need not be entered: the chain of the cluster says them, or an earlier line of
    the page does. `recorded`: the moment of the import."""
    rows = {place: _holding(connection, batch, one.line, recorded) for place, one in enumerate(page)}
    seqs = {place: row["seq"] for place, row in rows.items() if row and row.get("cluster", cluster) == cluster}
    entered = dict(_entries(connection, cluster, sorted(set(seqs.values()))))
    first = {one.words: place for place, one in reversed(list(enumerate(page)))}
    repeated = {place for place, one in enumerate(page) if first[one.words] < place}
    return repeated | {place for place, seq in seqs.items() if entered.get(seq) == page[place].words}


def _holding(connection: Connection, batch: Batch, line: Line, recorded: int) -> Known | None:
    """The version of the same thing that would have to say the same."""
    view, thing = stating.things(line)[0]
    if line.body.get("recordedAt") is not None:
        asked = {**dict(zip(view.names, thing, strict=True)), "recorded": line.version.recorded}
        return batch.of_the_moment(connection, view.table, asked)
    row = batch.latest(connection, view, *thing)
    return row if row is not None and row["recorded"] <= recorded else None


def _entries(connection: Connection, cluster: str, seqs: Sequence[int]) -> Iterator[tuple[int, Words]]:
    if not seqs:
        return
    for row in connection.execute(_SAID, {"of": cluster, "seqs": seqs}):
        yield int(row.seq), (row.kind, chain.canonical(json.loads(row.body)["body"]))


_SEQS: BindParameter[list[int]] = bindparam("seqs", expanding=True)
_SAID = select(tables.entries.c.seq, tables.entries.c.kind, tables.entries.c.body).where(
    tables.entries.c.cluster == bindparam("of"), tables.entries.c.seq.in_(_SEQS)
)
