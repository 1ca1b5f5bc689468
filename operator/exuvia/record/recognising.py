"""Lines that say what the ledger holds already, word for word: a file that is imported again adds nothing.

Of a line with `recordedAt` every entry counts that says the thing at that very moment, also one that another outweighs;
of one without, which says what is so as of now, the version that holds now. What was told otherwise meanwhile is told
anew.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, desc, select

from exuvia.model.facts import Fact, FactKind
from exuvia.record import chain, lines, personal, stating, wording
from exuvia.record.batches import Batch, Known
from exuvia.record.lines import Line
from exuvia.record.wording import Wording, Words


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


def known(connection: Connection, batch: Batch, page: Sequence[Told], saying: Wording, *, cluster: str) -> set[int]:
    """The places in a page of those that need not be entered: the chain of the cluster says them, or an earlier line of
    the page does. `saying`: what that chain says, asked only where something else of that moment holds; of that is read
    what will be asked for when the others are entered."""
    rows = {place: row for place, one in enumerate(page) if (row := _holding(connection, batch, one)) is not None}
    seqs = {place: row["seq"] for place, row in rows.items() if row.get("cluster", cluster) == cluster}
    entered = dict(_entries(connection, cluster, seqs.values()))
    holding = {place for place, seq in seqs.items() if entered.get(seq) == page[place].words}
    first = {one.words: place for place, one in reversed(list(enumerate(page)))}
    repeated = {place for place, one in enumerate(page) if first[one.words] < place}
    told = {place for place in rows if page[place].dated} - holding - repeated
    saying.read(connection, (page[place].line for place in told))
    said = {place for place in told if saying.says(page[place].words)}
    stating.read_ahead(connection, batch, ((page[place].line, rows[place]) for place in sorted(told - said)))
    return repeated | holding | said


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


def _entries(connection: Connection, cluster: str, seqs: Collection[int]) -> Iterator[tuple[int, Words]]:
    for one in wording.entries(connection, (cluster,), seqs):
        entry = json.loads(one.text)
        yield one.seq, (entry["type"], chain.canonical(entry["body"]))
