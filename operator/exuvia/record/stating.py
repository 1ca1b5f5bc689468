"""Lines of history into their tables: each a whole version of its thing.

Of versions that were recorded at the same moment the one with the greater canonical JSON holds; of lives that are told
alike the one of the greater cluster. So neither the order in which lines are entered nor that in which chains come into
one database says anything (history.md, Ledger).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Table

from exuvia import errors
from exuvia.model.histories import Freeze, Life, Presence, Score, Session, Stay
from exuvia.record import batches, chain, lines, queries, tables, versions, wording
from exuvia.record.batches import Batch, Known, View
from exuvia.record.bearing import borne
from exuvia.record.lines import Line, Version
from exuvia.record.wording import Entry

Thing = tuple[View, tuple[Any, ...]]
"""Where to look for the versions of a thing, and which thing it is."""

Weight = tuple[bytes, str]
"""Of two versions of one moment the greater holds: canonical JSON, and the cluster where the table has it."""


def stated(connection: Connection, batch: Batch, line: Line, *, cluster: str, seq: int) -> None:
    """Add the version that a line says, unless one of the same moment outweighs it."""
    version = line.version
    table = _TABLES[type(version)]
    row = {**_row(version), "recorded": version.recorded, "seq": seq, "withdrawn": version.withdrawn}
    if isinstance(version, Life):
        row |= {"cluster": cluster, "declared": seq}
    former = batch.of_the_moment(connection, table, row)
    holds = former is None or _outweighs(connection, batch, line, (cluster, seq), former)
    if holds:
        batch.add(table, row, rank=0 if former is None else former["rank"] + 1)
    if isinstance(version, Life):
        _bear(connection, batch, line.body, version, seq, holds=holds)


def read_ahead(connection: Connection, batch: Batch, told: Iterable[tuple[Line, Known]]) -> None:
    """What the entries say that may have said these versions, each of the moment of a line that will be stated."""
    asked = {_named(_TABLES[type(line.version)], former): former for line, former in told}
    if not asked:
        return
    batch.flush(connection, tables.entries)
    found: dict[int, list[Entry]] = {}
    numbers = {former["seq"] for former in asked.values()}
    for entry in wording.entries(connection, queries.clusters(connection), numbers):
        found.setdefault(entry.seq, []).append(entry)
    batch.sayers |= {name: found.get(former["seq"], []) for name, former in asked.items()}


def things(line: Line) -> list[Thing]:
    """What will be asked for when a line is stated."""
    version = line.version
    view = batches.of(_TABLES[type(version)])
    row = _row(version)
    found = [(view, tuple(row[one] for one in view.names))]
    if isinstance(version, Life):
        named = batches.of(tables.identities)
        found += [(named, tuple(row[one] for one in named.names)) for row in _borne(line.body, version, 0)]
    return found


def _outweighs(connection: Connection, batch: Batch, line: Line, own: tuple[str, int], former: Known) -> bool:
    """Whether a line holds against the version of the same moment that held so far."""
    theirs = max(_weights(connection, batch, line, own, former), default=None)
    return theirs is None or _weight(line.body, own[0], former) > theirs


def _weight(body: Mapping[str, Any], cluster: str, former: Known) -> Weight:
    return chain.canonical(body), cluster if "cluster" in former else ""


def _weights(connection: Connection, batch: Batch, line: Line, own: tuple[str, int], former: Known) -> Iterator[Weight]:
    """Of the entry that said the former version. Most rows do not tell of which chain it is: then it is the one that
    says this very row, of the entries of that number; also entries that are not in their tables yet may stand there,
    while these are made anew."""
    name = _named(_TABLES[type(line.version)], former)
    if name not in batch.sayers:
        read_ahead(connection, batch, ((line, former),))
    told = [one for one in batch.sayers[name] if one.cluster == former.get("cluster", one.cluster)]
    others = [(one.cluster, json.loads(one.text)) for one in told if (one.cluster, one.seq) != own]
    for cluster, entry in others:
        if len(others) == 1 or _says(entry, line, former):
            yield _weight(entry["body"], cluster, former)


def _named(table: Table, version: Known) -> tuple[Any, ...]:
    """Which version of which thing."""
    return table.name, *(version[one] for one in (*versions.key(table), *versions.KNOWN))


def _says(entry: Mapping[str, Any], line: Line, former: Known) -> bool:
    """Whether an entry is a line about the same thing, recorded at the same moment, that says what a row holds."""
    try:
        other = lines.of({**entry["body"], "type": entry["type"]}, recorded=entry["recorded"])
    except errors.InvalidObject:
        return False
    version = other.version
    if version.recorded != line.version.recorded or things(other)[0] != things(line)[0]:
        return False
    row = {**_row(version), "withdrawn": version.withdrawn}
    return all(former[name] == value for name, value in row.items())


def _bear(connection: Connection, batch: Batch, body: Mapping[str, Any], life: Life, seq: int, *, holds: bool) -> None:
    """What a line says an instance bears holds all its life, for as long as this line holds. One that is outweighed
    leaves what it alone says, which nobody asks for, so that the order in which they came says nothing."""
    for row in _borne(body, life, seq):
        former = batch.of_the_moment(connection, tables.identities, row)
        if former is None or holds:
            batch.add(tables.identities, row, rank=0 if former is None else former["rank"] + 1)


def _borne(body: Mapping[str, Any], life: Life, seq: int) -> Iterator[dict[str, Any]]:
    for attribute, value in borne(body):
        row = {"uid": life.uid, "attribute": attribute, "value": value, "began": life.born}
        yield {**row, "recorded": life.recorded, "seq": seq, "declared": seq, "ended": None}


def _row(version: Version) -> dict[str, Any]:
    """The columns of a version beside those that every version has."""
    match version:
        case Life():
            return {
                "uid": version.uid,
                "kind": version.kind,
                "name": version.name,
                "pool": version.pool,
                "zone": version.zone,
                "born": version.born,
                "died": version.died,
                "died_not_before": version.not_before,
                "reason": version.reason,
                "died_by": "",
                "persistent": version.persistent,
            }
        case Presence():
            return _interval(version) | {"vulnerability": version.vulnerability, "closed": version.closed}
        case Score():
            return {
                "vulnerability": version.vulnerability,
                "source": version.source,
                "valid_from": version.valid_from,
                "value": version.value,
                "basis": version.basis,
            }
        case Freeze():
            return _interval(version)
        case Session():
            return _interval(version) | {"user": version.user}
        case Stay():
            return _interval(version) | {
                "pod_uid": version.pod_uid,
                "namespace": version.namespace,
                "name": version.name,
                "service_account": version.service_account,
                "owner": version.owner,
                "images": json.dumps(version.images),
            }


def _interval(version: Presence | Freeze | Session | Stay) -> dict[str, Any]:
    return {"uid": version.uid, "began": version.began, "ended": version.ended}


_TABLES: dict[type, Table] = {
    Life: tables.lives,
    Presence: tables.presences,
    Score: tables.scores,
    Freeze: tables.freezes,
    Session: tables.sessions,
    Stay: tables.placements,
}
