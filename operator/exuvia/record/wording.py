"""Which lines a chain says word for word, in the words of any of its entries, also one that another outweighs.

An import may ask for each of its lines. So each entry is read once at most, when it is first needed, and what is
entered meanwhile is added. Remembered are digests: of what is about a machine those of the machines that were asked
for; of all else, of which a chain may hold millions, those which the import tells itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, Connection, Select, bindparam, select

from exuvia.model.histories import Score
from exuvia.record import groups, tables
from exuvia.record.batches import TOGETHER
from exuvia.record.lines import Line
from exuvia.record.octets import octets

PAGE = 1000
"""So many entries are in memory at a time."""

Words = tuple[str, bytes]
"""Type and canonical JSON."""


class Entry(NamedTuple):
    """An entry of a chain; `text` is its canonical JSON."""

    cluster: str
    seq: int
    text: str


def digest(words: Words) -> bytes:
    """Which words, in few bytes."""
    kind, body = words
    return hashlib.blake2b(body, digest_size=16, key=kind.encode()).digest()


def machine(line: Line) -> str | None:
    """Whom a line is about; a score is about no machine, whatever else it says."""
    return None if isinstance(line.version, Score) else line.version.uid


class Wording:
    """What one chain says. `told`: digests of the lines of the import that are about no machine."""

    def __init__(self, cluster: str, told: Collection[bytes]) -> None:
        self._cluster = cluster
        self._told = told
        self._read = set[tuple[str, str | None]]()
        self._said = set[bytes]()

    def read(self, connection: Connection, asked: Iterable[Line]) -> None:
        """Whatever says these lines, unless it was read before. All that was entered is in its table."""
        wanted = {(one.type, machine(one)) for one in asked} - self._read
        for kind in sorted({kind for kind, _ in wanted}):
            uids = sorted(uid for of, uid in wanted if of == kind and uid is not None)
            for some in groups.parts(uids):
                self._said.update(_digests(connection, kind, _about(self._cluster, kind, some)))
            if (kind, None) in wanted:
                found = _digests(connection, kind, _all(self._cluster, kind))
                self._said.update(one for one in found if one in self._told)
        self._read |= wanted

    def says(self, words: Words) -> bool:
        """Whether the chain says it, of what was read."""
        return digest(words) in self._said

    def add(self, line: Line, words: Words) -> None:
        """One more line that is entered."""
        if (line.type, machine(line)) in self._read:
            self._said.add(digest(words))


def entries(connection: Connection, clusters: Collection[str], seqs: Collection[int]) -> Iterator[Entry]:
    """The entries of these numbers in some chains."""
    listed = sorted(set(seqs))
    for start in range(0, len(listed), TOGETHER):
        some = listed[start : start + TOGETHER]
        asked = {"first": some[0], "last": some[-1], "seqs": [*some, *some[-1:] * (TOGETHER - len(some))]}
        for row in connection.execute(_OF_NUMBERS, {**asked, "clusters": list(clusters)}):
            yield Entry(row.cluster, int(row.seq), row.body)


def _digests(connection: Connection, kind: str, chosen: Select[Any]) -> Iterator[bytes]:
    with connection.execute(chosen.execution_options(yield_per=PAGE)) as rows:
        for raw in rows.scalars():
            yield digest((kind, _body(bytes(raw or b""))))


def _body(raw: bytes) -> bytes:
    """What an entry says. Canonical JSON has its keys in order: the moment, the body, the cluster."""
    return raw[raw.find(_BEFORE) + len(_BEFORE) : raw.rfind(_AFTER)]


def _all(cluster: str, kind: str) -> Select[Any]:
    entries = tables.entries.c
    return select(octets(entries.body)).where(entries.cluster == cluster, entries.kind == kind)


def _about(cluster: str, kind: str, uids: Collection[str]) -> Select[Any]:
    entries, mentions = tables.entries, tables.mentions
    there = (mentions.c.cluster == entries.c.cluster) & (mentions.c.seq == entries.c.seq)
    named = _all(cluster, kind).join(mentions, there)
    return named.where(mentions.c.cluster == cluster, mentions.c.uid.in_(uids))


_BEFORE, _AFTER = b',"body":', b',"cluster":"'
"""Neither stands within a string, where quotes have a backslash; and no `cluster` of a body comes last."""

_CLUSTERS: BindParameter[list[str]] = bindparam("clusters", expanding=True)
_SEQS: BindParameter[list[int]] = bindparam("seqs", expanding=True)
_OF_NUMBERS = (
    select(tables.entries.c.cluster, tables.entries.c.seq, tables.entries.c.body)
    .where(tables.entries.c.cluster.in_(_CLUSTERS), tables.entries.c.seq.in_(_SEQS))
    .where(tables.entries.c.seq.between(bindparam("first"), bindparam("last")))
)
"""The span says nothing more; but a server that knows nothing of the table yet looks for it in the index."""
