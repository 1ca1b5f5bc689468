"""Pruning, done: what a plan says goes, a checkpoint comes, in one transaction; the rest can be checked as before.

A checkpoint names each gap by its numbers, the hash of the entry before it and that of its last entry. What a person
could count before (births, deaths, ...) is carried over in it, so that no counter goes back.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, delete, func, select

from exuvia import errors
from exuvia.model.facts import Fact, FactKind, microseconds
from exuvia.record import (
    appending,
    chain,
    checkpoints,
    counts,
    departed,
    forgetting,
    groups,
    opening,
    pruning,
    queries,
    seat_spans,
    tables,
)
from exuvia.record.chain import Gap, Link
from exuvia.record.places import Place
from exuvia.record.reading import reading

log = logging.getLogger(__name__)

CHUNK = 500
_OF_MACHINES = (
    tables.lives,
    tables.identities,
    tables.placements,
    tables.sessions,
    tables.presences,
    tables.freezes,
    tables.verdicts,
    tables.operations,
)
_OF_ENTRIES = (tables.entries, tables.mentions, tables.intents)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What went, or would go: entries by reason kept, and under which checkpoint, 0 where there is none. `names`: how
    many keys to names of people went, because nothing else of them is left; `unforgotten`: why that could not be found
    out, or ""."""

    cluster: str
    entries: int
    kept: Mapping[pruning.Kept, int]
    checkpoint: int = 0
    names: int = 0
    unforgotten: str = ""


def foresee(place: Place, *, cut: datetime, cluster: str) -> Pruned:
    """What would be pruned of a chain. Reads only. Raises `errors.LedgerError`."""
    with reading(place) as connection:
        found = pruning.plan(connection, cluster, microseconds(cut))
        return Pruned(cluster=cluster, entries=len(found.doomed), kept=found.kept)


def prune(place: Place, *, cut: datetime, keep: str, by: str, at: datetime, cluster: str) -> Pruned:
    """Prune a chain; durable when it returns. Nothing happens where nothing may go.

    What goes is found out before others are kept from writing. Raises `errors.LedgerCorrupt` for a chain that is not
    sound: nothing goes of what may be needed to find out why.
    """
    engine = opening.open_for_writing(place)
    try:
        with opening.in_words(place), opening.readers(engine).begin() as connection:
            draft = _drafted(place, connection, microseconds(cut), cluster)
        if not draft.plan.doomed:
            return Pruned(cluster=cluster, entries=0, kept=draft.plan.kept)
        with opening.in_words(place), engine.begin() as connection:
            opening.alone(connection, cluster)
            if not _holds_still(connection, draft):
                draft = _drafted(place, connection, microseconds(cut), cluster)
            done = _prune(connection, draft, keep=keep, by=by, at=at)
        return _forget(place, engine, done) if done.entries else done
    finally:
        engine.dispose()


def _forget(place: Place, engine: Engine, done: Pruned) -> Pruned:
    """What was pruned is durable already: trouble here takes nothing of it back."""
    try:
        with opening.in_words(place), engine.begin() as connection:
            return replace(done, names=forgetting.forget(connection))
    except errors.LedgerError as trouble:
        log.warning("names of which nothing is left are forgotten by the next pruning: %s", trouble)
        return replace(done, unforgotten=str(trouble))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """A plan, the gaps that it leaves, and up to where the ledger was read for it."""

    plan: pruning.Plan
    gaps: Sequence[Gap]
    cluster: str
    cut: int
    head: appending.Head
    holds: int


def _drafted(place: Place, connection: Connection, cut: int, cluster: str) -> _Draft:
    found = pruning.plan(connection, cluster, cut)
    return _Draft(
        plan=found,
        gaps=_gaps(place, connection, cluster, found.doomed),
        cluster=cluster,
        cut=cut,
        head=appending.head(connection, cluster),
        holds=_holds(connection),
    )


def _holds_still(connection: Connection, draft: _Draft) -> bool:
    """Whether nothing was written since that is about what goes: no word about it, no hold, no other pruning."""
    cluster, head = draft.cluster, draft.head
    if appending.hash_at(connection, cluster, head.seq) != head.hash or _holds(connection) != draft.holds:
        return False
    changing = {FactKind.CHECKPOINT.value} | ({FactKind.SCORE.value} if draft.plan.scores else set())
    for entry in groups.walk(connection, cluster, after=head.seq):
        if entry.kind in changing or not draft.plan.uids.isdisjoint(groups.uids(entry)):
            return False
    table = tables.mentions
    return not any(
        connection.scalar(select(table.c.seq).where(table.c.uid.in_(uids), table.c.cluster != cluster).limit(1))
        for uids in _chunks(sorted(draft.plan.uids))
    )


def _holds(connection: Connection) -> int:
    table = tables.entries
    kinds = select(func.count()).select_from(table).where(table.c.kind == FactKind.HOLD.value)
    return int(connection.scalar(kinds) or 0)


def _prune(connection: Connection, draft: _Draft, *, keep: str, by: str, at: datetime) -> Pruned:
    found, cluster, now = draft.plan, draft.cluster, datetime.now(UTC)
    if not found.doomed:
        return Pruned(cluster=cluster, entries=0, kept=found.kept)
    before = counts.counts(connection, now, cluster=cluster)
    presences = _presences(connection, cluster, found)
    seats = seat_spans.to_carry(connection, cluster, sorted(found.doomed))
    with opening.removing(connection):
        _remove(connection, cluster, found, draft.cut)
    left = counts.standing(connection, now, cluster=cluster)
    said = {
        "by": by,
        "keep": keep,
        "cut": draft.cut,
        "entries": len(found.doomed),
        "pruned": sum(gap.entries for gap in draft.gaps),
        "last": draft.gaps[-1].last,
        "hash": draft.gaps[-1].hash.hex(),
        "carried": {**counts.written(counts.difference(before, left)), **presences, "seats": seats},
    }
    checkpoint = _enter(connection, cluster, said, draft.gaps, at)
    return Pruned(cluster=cluster, entries=len(found.doomed), kept=found.kept, checkpoint=checkpoint)


def _enter(connection: Connection, cluster: str, said: Mapping[str, Any], gaps: Sequence[Gap], at: datetime) -> int:
    """The checkpoint, in as many entries as its gaps need; the number of the last."""
    writer = appending.Writer(cluster=cluster, epoch=appending.greatest_epoch(connection, cluster))
    head, parts = appending.head(connection, cluster), checkpoints.written(gaps)
    for part, some in enumerate(parts, start=1):
        shared = {"part": part, "parts": len(parts), "gaps": some}
        whole = {**said, **shared} if part == len(parts) else {"cut": said["cut"], "by": said["by"], **shared}
        made = appending.add(connection, head, Fact(kind=FactKind.CHECKPOINT, at=at, body=whole), writer)
        assert made is not None, "a checkpoint is never a dead letter"
        head = made
    return head.seq


def _gaps(place: Place, connection: Connection, cluster: str, doomed: Collection[int]) -> list[Gap]:
    """The gaps that the chain has once these entries are gone, the former ones joined in. The chain is checked too."""
    links = list[Link]()
    found = chain.verify(_noted(queries.links(connection, cluster), doomed, links))
    if found.first_bad is not None:
        remedy = "Put the last good copy in its place; nothing was pruned."
        raise errors.LedgerCorrupt(f"The ledger {place} is not sound: {found.problem}.", remedy=remedy)
    return _joined(links)


def _noted(links: Iterator[Link], doomed: Collection[int], gone: list[Link]) -> Iterator[Link]:
    """The same links; noted are those that go, with the hash before each in `canonical`."""
    former = chain.GENESIS
    for link in links:
        if link.gap or link.seq in doomed:
            gone.append(Link(seq=link.seq, hash=link.hash, canonical=former, gap=link.gap))
        yield link
        former = link.hash


def _joined(gone: Sequence[Link]) -> list[Gap]:
    found = list[Gap]()
    for link in gone:
        first = link.gap.first if link.gap else link.seq
        if found and found[-1].last == first - 1:
            former = found.pop()
            found.append(Gap(first=former.first, last=link.seq, before=former.before, hash=link.hash))
        else:
            found.append(Gap(first=first, last=link.seq, before=link.canonical, hash=link.hash))
    return found


def _presences(connection: Connection, cluster: str, found: pruning.Plan) -> dict[str, list[list[Any]]]:
    """Vulnerability and how many machines had it, of all that were ever pruned."""
    former = checkpoints.carried(connection, cluster)
    carried = {name: Counter(dict(former.get(name, ()))) for name in (departed.RUNNING, departed.FROZEN)}
    for uids in _chunks(sorted(found.uids)):
        for name, counted in departed.counted(connection, uids).items():
            carried[name] += counted
    return {name: [[one, count] for one, count in sorted(counted.items())] for name, counted in carried.items()}


def _remove(connection: Connection, cluster: str, found: pruning.Plan, cut: int) -> None:
    """Entries, and the rows of the tables that were made from them."""
    for seqs in _chunks(sorted(found.doomed)):
        for table in _OF_ENTRIES:
            connection.execute(delete(table).where(table.c.cluster == cluster, table.c.seq.in_(seqs)))
        done = tables.outcomes
        connection.execute(delete(done).where(done.c.cluster == cluster, done.c.seq.in_(seqs)))
    for uids in _chunks(sorted(found.uids)):
        for table in _OF_MACHINES:
            connection.execute(delete(table).where(table.c.uid.in_(uids)))
    for things in _chunks(sorted(found.scores)):
        _take_out_scores(connection, things)
    letters = tables.dead_letters
    if not found.held:
        connection.execute(delete(letters).where(letters.c.cluster == cluster, letters.c.recorded < cut))


def _take_out_scores(connection: Connection, things: Iterable[pruning.ScoreThing]) -> None:
    """Each by its key: for a list of several columns SQLite would go through the whole table."""
    columns = [tables.scores.c[one] for one in ("vulnerability", "source", "valid_from", "recorded")]
    same = (one == bindparam(f"the_{one.name}") for one in columns)
    named = ({f"the_{one.name}": value for one, value in zip(columns, thing, strict=True)} for thing in things)
    connection.execute(delete(tables.scores).where(*same), list(named))


def _chunks(found: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(found), CHUNK):
        yield found[start : start + CHUNK]
