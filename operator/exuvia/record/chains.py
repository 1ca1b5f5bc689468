"""An exported chain (`ledger export`) taken in again: as the chain of its own cluster, or as what follows on it.

It is checked from its first line to its last before anything is entered, and entered as it is: numbers, hashes and
moments stay. It is all of a file or nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Engine, insert, select

from exuvia import errors
from exuvia.model.facts import FactKind
from exuvia.record import appending, beginning, chain, checkpoints, naming, opening, projecting, tables
from exuvia.record.batches import Batch
from exuvia.record.places import Place

KEYS = {"seq", "hash", "entry"}
PAGE = 500
"""So many entries are written together."""

_AGAIN = "Export the chain again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What came of it: whose chain, entries that are new, entries that were there already, and the head. `made`: the
    ledger was made for it; `begun`: the chain was."""

    cluster: str
    entered: int
    known: int
    head: appending.Head
    begun: bool = False
    made: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exported:
    number: int
    link: chain.Link
    entry: Mapping[str, Any]


def is_chain(line: str) -> bool:
    """Whether a line is one of an exported chain, and no line of facts."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and set(found) == KEYS


def load(place: Place, texts: Iterable[str], *, cluster: str | None = None) -> Taken:
    """Check a chain, then enter it; durable when it returns. `texts` are its lines, which begin anew each time that
    they are asked for: all is checked before anything is entered.

    `cluster`: whose chain it is ("" is the one without a name); by default the one that its last entry names. Raises
    `errors.InvalidObject` for a line that cannot be used and a chain that does not fit, `errors.LedgerError` as ever:
    nothing was entered then.
    """
    assert not isinstance(texts, Iterator), "what can be read only once would be checked, and nothing of it entered"
    with beginning.ledger(place) as found:
        checked = _checked(place, found.engine, texts, cluster)
        with opening.in_words(place), found.engine.begin() as connection:
            taken = _enter(connection, texts, checked)
            found.ending = True
        found.keep = True
    return replace(taken, made=found.made)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checked:
    """A chain in a file that is sound from its first line to its last, if it follows on `start`."""

    cluster: str
    first: _Exported
    last: _Exported
    start: chain.Link | None


def _checked(place: Place, engine: Engine, texts: Iterable[str], cluster: str | None) -> _Checked:
    """All that takes long and needs no lock: meanwhile others write."""
    first, last, gaps = _survey(texts)
    named = str(last.entry["cluster"]) if cluster is None else cluster
    with opening.in_words(place), opening.readers(engine).begin() as connection:
        start = _start(connection, named, appending.head(connection, named), first)
    _check(_links(texts), gaps, start)
    return _Checked(cluster=named, first=first, last=last, start=start)


def _enter(connection: Connection, texts: Iterable[str], checked: _Checked) -> Taken:
    named = checked.cluster
    opening.alone(connection, named)
    head = appending.head(connection, named)
    if _start(connection, named, head, checked.first) != checked.start:
        said = f"In the ledger {naming.called(named)} was written meanwhile: nothing was imported."
        raise errors.LedgerLocked(said, remedy="Run it again.")
    entered, known = 0, 0
    told = _read(texts)
    while page := list(islice(told, PAGE)):
        new = [one for one in page if one.link.seq > head.seq]
        _check_known(connection, named, [one for one in page if one.link.seq <= head.seq])
        _add(connection, named, new)
        entered, known = entered + len(new), known + len(page) - len(new)
    _register(connection, named, int(checked.last.entry["epoch"]))
    last_entry = appending.head(connection, named)
    return Taken(cluster=named, entered=entered, known=known, head=last_entry, begun=not head.seq)


def _survey(texts: Iterable[str]) -> tuple[_Exported, _Exported, dict[int, chain.Gap]]:
    """The first and the last line, and the gaps that the last checkpoint in it vouches for."""
    first = last = None
    bodies = list[Mapping[str, Any]]()
    for one in _read(texts):
        first, last = first or one, one
        if one.entry["type"] == FactKind.CHECKPOINT.value:
            bodies = [*(bodies if one.entry["body"].get("part", 1) > 1 else ()), one.entry["body"]]
    if first is None or last is None:
        raise errors.InvalidObject("There is no line in it.", remedy="Write it by `exuvia ledger export`.")
    return first, last, checkpoints.read(bodies)


def _start(connection: Connection, cluster: str, head: appending.Head, first: _Exported) -> chain.Link | None:
    """The entry that the first line follows on; None: it begins at entry 1, or with what was pruned before it."""
    if not head.seq:
        return None
    before = first.link.seq - 1
    if before == 0:
        return None
    hash_ = appending.hash_at(connection, cluster, before)
    if hash_ is None:
        raise errors.InvalidObject(
            f"In the ledger {naming.called(cluster)} ends at entry {head.seq}, and this file begins at {before + 1}.",
            remedy="Export what is between, or import into a new ledger.",
        )
    return chain.Link(seq=before, hash=hash_, canonical=b"")


def _check(links: Iterable[chain.Link], gaps: Mapping[int, chain.Gap], start: chain.Link | None) -> None:
    begin = 1 if start is None else start.seq + 1
    found = chain.verify(checkpoints.bridged(links, gaps, expected=begin), start=start)
    if found.first_bad is not None:
        raise errors.InvalidObject(
            f"The chain in the file is not sound: {found.problem}. Nothing was imported.",
            remedy="Export it again where it is sound (`exuvia ledger verify`).",
        )


def _check_known(connection: Connection, cluster: str, page: Sequence[_Exported]) -> None:
    if not page:
        return
    table, seqs = tables.entries, [one.link.seq for one in page]
    chosen = select(table.c.seq, table.c.hash).where(table.c.cluster == cluster, table.c.seq.in_(seqs))
    stored = {int(row.seq): bytes(row.hash) for row in connection.execute(chosen)}
    other = next((one for one in page if stored.get(one.link.seq) != one.link.hash), None)
    if other is not None:
        raise errors.InvalidObject(
            f"The ledger holds {naming.called(cluster)} already, and it is another one: its entry {other.link.seq} is"
            f" not the one on line {other.number} of the file.",
            remedy="Name a new ledger by --ledger, or say by --cluster NAME under which other name to take it in.",
        )


def _add(connection: Connection, cluster: str, page: Sequence[_Exported]) -> None:
    """Read for and written together. Raises `errors.InvalidObject`."""
    batch, told = Batch(), [_told(cluster, one) for one in page]
    projecting.read_ahead(connection, batch, told)
    for one, said in zip(page, told, strict=True):
        batch.put(tables.entries, _row(one, said))
        batch.put(tables.mentions, *projecting.mentions(said))
        try:
            projecting.take(connection, batch, said)
        except (KeyError, TypeError, errors.InvalidObject) as trouble:
            why = f"{trouble} is missing" if isinstance(trouble, KeyError) else str(trouble)
            raise errors.InvalidObject(
                f"line {one.number}: entry {said.seq} does not say what a {said.kind} must: {why}.",
                place=f"line {one.number}",
                remedy="Export the chain again; if that is how it is, update exuvia.",
            ) from trouble
    batch.flush(connection)


def _told(cluster: str, one: _Exported) -> projecting.Told:
    entry = one.entry
    return projecting.Told(
        cluster=cluster,
        seq=one.link.seq,
        kind=FactKind(entry["type"]),
        at=entry["at"],
        recorded=entry["recorded"],
        body=entry["body"],
    )


def _row(one: _Exported, said: projecting.Told) -> dict[str, Any]:
    return {
        "cluster": said.cluster,
        "seq": said.seq,
        "hash": one.link.hash,
        "kind": said.kind.value,
        "recorded": said.recorded,
        "epoch": one.entry["epoch"],
        "body": one.link.canonical.decode(),
    }


def _register(connection: Connection, cluster: str, epoch: int) -> None:
    """Its epochs count as if it had been written here, so that an older leader stays locked out."""
    if appending.greatest_epoch(connection, cluster) < epoch:
        connection.execute(insert(tables.leadership).values(cluster=cluster, epoch=epoch))
    else:
        appending.register(connection, cluster)


def _links(texts: Iterable[str]) -> Iterator[chain.Link]:
    return (one.link for one in _read(texts))


def _read(texts: Iterable[str]) -> Iterator[_Exported]:
    """Every line from the first on. Raises `errors.InvalidObject` with its number."""
    for number, text in enumerate(texts, start=1):
        if text.strip():
            yield _parsed(text, number)


def _parsed(text: str, number: int) -> _Exported:
    place = f"line {number}"
    try:
        found = json.loads(text)
        seq, hash_, entry = found["seq"], bytes.fromhex(found["hash"]), found["entry"]
        whole = isinstance(seq, int) and seq > 0 and len(hash_) == 32
        FactKind(entry["type"])
        told = [type(entry[one]) is int for one in ("at", "recorded", "epoch")]
        whole = whole and all(told) and isinstance(entry["cluster"], str) and isinstance(entry["body"], dict)
    except (ValueError, KeyError, TypeError, RecursionError) as trouble:
        said = f"{place}: no line of an exported chain: {_why(trouble)}."
        raise errors.InvalidObject(said, place=place, remedy=_AGAIN) from None
    if not whole:
        raise errors.InvalidObject(f"{place}: no line of an exported chain.", place=place, remedy=_AGAIN)
    link = chain.Link(seq=seq, hash=hash_, canonical=chain.canonical(entry))
    return _Exported(number=number, link=link, entry=entry)


def _why(trouble: Exception) -> str:
    match trouble:
        case json.JSONDecodeError():
            return f"{trouble.msg} (character {trouble.pos + 1})"
        case KeyError():
            return f"{trouble} is missing"
        case RecursionError():
            return "it is nested too deeply"
        case _:
            return str(trouble)
