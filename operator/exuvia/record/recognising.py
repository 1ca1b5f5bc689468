"""Lines that say what the ledger holds already, word for word: a file that is imported again adds nothing.

Of a line with `recordedAt` every entry counts that says the thing at that very moment, also one that another outweighs;
of one without, which says what is so as of now, the version that holds now. What was told otherwise meanwhile is told
anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import BindParameter, Connection, bindparam, desc, func, select

from exuvia.model.facts import Fact, FactKind, microseconds
from exuvia.record import chain, lines, personal, stating, tables
from exuvia.record.batches import Batch, Known
from exuvia.record.lines import Line

Words = tuple[str, bytes]
"""Type and canonical JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A line on its way into the chain: the fact that it becomes, and what the chain will say of it. `dated`: it says
    itself when it was learnt."""

    fact: Fact
    line: Line
    words: Words
    dated: bool


def told(connection: Connection, line: Line, fact: Fact, *, recorded: int) -> Told:
    """As it will stand in the chain, with the name of a person sealed; learnt at that moment if it says no other.
    Raises `errors.InvalidObject` for what no entry may hold."""
    dated = line.body.get("recordedAt") is not None
    fact = personal.sealed(connection, fact)
    if fact.kind is FactKind.SESSION or not dated:
        line = lines.of({"type": line.type, **fact.body}, recorded=recorded, number=line.number)
    return Told(fact=fact, line=line, words=(line.type, chain.canonical(line.body)), dated=dated)


def known(connection: Connection, batch: Batch, page: Sequence[Told], *, cluster: str) -> set[int]:
    """The places in a page of those that need not be entered: the chain of the cluster says them, or an earlier line of
    the page does."""
    rows = {place: _holding(connection, batch, one) for place, one in enumerate(page)}
    seqs = {place: row["seq"] for place, row in rows.items() if row and row.get("cluster", cluster) == cluster}
    entered = dict(_entries(connection, cluster, sorted(set(seqs.values()))))
    holding = {place for place, seq in seqs.items() if entered.get(seq) == page[place].words}
    first = {one.words: place for place, one in reversed(list(enumerate(page)))}
    repeated = {place for place, one in enumerate(page) if first[one.words] < place}
    told = {place for place, row in rows.items() if row and page[place].dated} - holding - repeated
    return repeated | holding | {place for place in told if _said(connection, cluster, page[place])}


def _holding(connection: Connection, batch: Batch, one: Told) -> Known | None:
    """The version of the same thing that would have to say the same, or tells that another entry may."""
    view, thing = stating.things(one.line)[0]
    recorded = one.line.version.recorded
    if one.dated:
        asked = {**dict(zip(view.names, thing, strict=True)), "recorded": recorded}
        return batch.of_the_moment(connection, view.table, asked)
    row = batch.latest(connection, view, *thing)
    return row if row is None or row["recorded"] <= recorded else _until(connection, batch, (view, thing), recorded)


def _until(connection: Connection, batch: Batch, about: stating.Thing, recorded: int) -> Known | None:
    """The version that holds at the moment of the import, where another is said to be learnt later."""
    view, thing = about
    batch.flush(connection, view.table)
    columns = view.table.c
    same = (columns[name] == value for name, value in zip(view.names, thing, strict=True))
    chosen = select(view.table).where(*same, columns.recorded <= recorded)
    row = connection.execute(chosen.order_by(desc(columns.recorded), desc(columns.rank)).limit(1)).first()
    return None if row is None else dict(row._mapping)


def _said(connection: Connection, cluster: str, one: Told) -> bool:
    """Whether any entry of the chain says a line word for word. Canonical JSON has its keys in order: body comes before
    what differs from one import to the next. It is asked only where something else of that moment holds."""
    entries, mentions, uid = tables.entries.c, tables.mentions.c, one.line.body.get("uid")
    start = f'{{"at":{microseconds(one.fact.at)},"body":{one.words[1].decode()},"cluster":'
    same = [
        entries.cluster == cluster,
        entries.kind == one.line.type,
        func.substr(entries.body, 1, len(start)) == start,
    ]
    if uid is not None:
        told = select(mentions.seq).where(mentions.uid == uid, mentions.cluster == cluster)
        same.append(entries.seq.in_(told))
    return connection.scalar(select(entries.seq).where(*same).limit(1)) is not None


def _entries(connection: Connection, cluster: str, seqs: Sequence[int]) -> Iterator[tuple[int, Words]]:
    if not seqs:
        return
    for row in connection.execute(_SAID, {"of": cluster, "seqs": seqs}):
        yield int(row.seq), (row.kind, chain.canonical(json.loads(row.body)["body"]))


_SEQS: BindParameter[list[int]] = bindparam("seqs", expanding=True)
_SAID = select(tables.entries.c.seq, tables.entries.c.kind, tables.entries.c.body).where(
    tables.entries.c.cluster == bindparam("of"), tables.entries.c.seq.in_(_SEQS)
)
