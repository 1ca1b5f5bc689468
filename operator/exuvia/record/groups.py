"""What belongs together in a chain: all entries about a machine, its operations, pods, people and seats.

Pruning takes such a group whole or leaves it whole, so that what is left is told as it ever was. One walk over the
chain; kept is one small record for each machine, not its entries.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from exuvia import errors
from exuvia.model.facts import FactKind, microseconds
from exuvia.record import missing, tables

PAGE = 2000
CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry on the walk."""

    seq: int
    kind: str
    at: int
    recorded: int
    body: Mapping[str, Any]

    @property
    def known(self) -> int:
        """When it was learnt: what a line says itself counts."""
        said = self.body.get("recordedAt")
        return self.recorded if not isinstance(said, str) else moment_of(said)


@dataclass(slots=True)
class Group:
    """What is known of one of them. `first`, `last`: the span of all its moments; `known`: when the last was learnt."""

    first: int
    last: int
    known: int
    sealed: bool = False
    due: dict[tuple[str, str], int] = field(default_factory=dict)
    owed: set[tuple[str, int]] = field(default_factory=set)
    subjects: set[str] = field(default_factory=set)

    def seated(self, cut: int) -> bool:
        """Whether a seat of its is kept for the dead at `cut` (microseconds) still, or its vendor is still to be told.
        Any other seat ends with its machine, though its pool be gone and nobody there to say so."""
        return bool(self.owed) or any(due >= cut for due in self.due.values())


class Groups:
    """Groups by the UIDs that entries name; entries that name several join them."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}
        self._groups: dict[str, Group] = {}

    def add(self, entry: Entry) -> None:
        """Take one more entry in; one that names nobody is passed over."""
        named = uids(entry)
        if not named:
            return
        root, *others = dict.fromkeys(self._root(one) for one in named)
        for other in others:
            self._join(root, other)
        group = self._groups.setdefault(root, Group(first=entry.at, last=entry.at, known=entry.known))
        _take(group, entry)

    def of(self, uid: str) -> Group | None:
        """The group that a UID belongs to."""
        return self._groups.get(self._root(uid)) if uid in self._parents else None

    def members(self) -> dict[str, list[str]]:
        """Root -> every UID of its group."""
        found = dict[str, list[str]]()
        for uid in self._parents:
            found.setdefault(self._root(uid), []).append(uid)
        return found

    def _root(self, uid: str) -> str:
        self._parents.setdefault(uid, uid)
        root = uid
        while self._parents[root] != root:
            root = self._parents[root]
        while self._parents[uid] != root:
            self._parents[uid], uid = root, self._parents[uid]
        return root

    def _join(self, root: str, other: str) -> None:
        self._parents[other] = root
        theirs, ours = self._groups.pop(other, None), self._groups.get(root)
        if theirs is None:
            return
        if ours is None:
            self._groups[root] = theirs
            return
        ours.first, ours.last = min(ours.first, theirs.first), max(ours.last, theirs.last)
        ours.known, ours.sealed = max(ours.known, theirs.known), ours.sealed or theirs.sealed
        ours.due |= theirs.due
        ours.owed |= theirs.owed
        ours.subjects |= theirs.subjects


def _take(group: Group, entry: Entry) -> None:
    moments = [entry.at, *_ends(entry.body)]
    group.first, group.last = min(group.first, *moments), max(group.last, *moments)
    group.known = max(group.known, entry.known, entry.at)
    match entry.kind:
        case FactKind.EVIDENCE.value | FactKind.CUSTODY.value:
            group.sealed = True
        case FactKind.SEAT.value:
            _seat(group, entry.body)
        case FactKind.SESSION.value:
            group.subjects.add(str(entry.body.get("user")))


def _seat(group: Group, body: Mapping[str, Any]) -> None:
    pool, event = str(body.get("uid")), str(body.get("event"))
    if event == "reported":
        group.owed.discard((pool, int(body["order"])))
        return
    seat = (pool, str(body.get("instance")))
    if event == "ending":
        group.due[seat] = int(body["due"])
    elif event in ("kept", "returned"):
        group.due.pop(seat, None)
    if event == "returned" and body.get("owed"):
        group.owed.add((pool, int(body["order"])))


def _ends(body: Mapping[str, Any]) -> list[int]:
    return [moment_of(body[key]) for key in ("died", "to") if isinstance(body.get(key), str)]


def uids(entry: Entry) -> tuple[str, ...]:
    """Whom an entry is about: instances and operations. The UID of a pool of seats, or of a pod, joins nobody."""
    apart = entry.kind == FactKind.SEAT.value or (entry.kind == FactKind.PLACEMENT.value and "event" in entry.body)
    named = (None if apart else entry.body.get("uid"), entry.body.get("instance"), entry.body.get("operation"))
    held = entry.kind in (FactKind.HOLD.value, FactKind.CHECKPOINT.value, FactKind.ERASED.value)
    return () if held else tuple(one for one in named if isinstance(one, str) and one)


def walk(connection: Connection, cluster: str, *, after: int = 0) -> Iterator[Entry]:
    """Every entry of a chain behind that number, in order. Raises `errors.LedgerCorrupt` for one that is none."""
    table = tables.entries
    chosen = select(table.c.seq, table.c.body).where(table.c.cluster == cluster).order_by(table.c.seq).limit(PAGE)
    while rows := connection.execute(chosen.where(table.c.seq > after)).all():
        for row in rows:
            yield _entry(int(row.seq), row.body)
        after = rows[-1].seq


def about(connection: Connection, whom: Collection[str]) -> Iterator[Entry]:
    """Every entry, of all chains, that is in one group with these machines and operations: each once, in no order, and
    read are these only. Raises `errors.LedgerCorrupt`."""
    read, known, waiting = set[tuple[str, int]](), set(whom), set(whom)
    while waiting:
        joined = set[str]()
        for key, text in _mentioning(connection, waiting):
            if key not in read:
                read.add(key)
                entry = _entry(key[1], text)
                joined.update(uids(entry))
                yield entry
        waiting = joined - known
        known |= waiting


def _mentioning(connection: Connection, whom: Collection[str]) -> Iterator[tuple[tuple[str, int], str]]:
    entries, named = tables.entries, tables.mentions
    there = (named.c.cluster == entries.c.cluster) & (named.c.seq == entries.c.seq)
    chosen = select(entries.c.cluster, entries.c.seq, entries.c.body).join(named, there)
    for part in parts(whom):
        for row in connection.execute(chosen.where(named.c.uid.in_(part))).all():
            yield (row.cluster, int(row.seq)), row.body


def parts(found: Collection[str]) -> Iterator[list[str]]:
    """The same, as many at a time as a statement can name."""
    listed = list(found)
    for start in range(0, len(listed), CHUNK):
        yield listed[start : start + CHUNK]


def _entry(seq: int, text: str) -> Entry:
    try:
        said = json.loads(text)
        return Entry(seq=seq, kind=said["type"], at=said["at"], recorded=said["recorded"], body=dict(said["body"]))
    except (KeyError, TypeError, ValueError) as trouble:
        remedy = f"{missing.DAMAGED_WAY_OUT} Nothing was taken out."
        raise errors.LedgerCorrupt(f"Entry {seq} of the ledger cannot be read.", remedy=remedy) from trouble


def moment_of(text: str) -> int:
    """Microseconds of a time in a line."""
    return microseconds(datetime.fromisoformat(text))
