"""Lines of history into their tables: each a whole version of its thing.

Of versions that were recorded at the same moment the one with the greater canonical JSON holds, so that the order in
which they are entered says nothing (history.md, Ledger).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Select, Table, bindparam, desc, select

from exuvia.model.histories import Freeze, Life, Presence, Score, Session, Stay
from exuvia.record import chain, tables, versions
from exuvia.record.bearing import borne
from exuvia.record.lines import Line, Version


def stated(connection: Connection, line: Line, *, cluster: str, seq: int, ready: Callable[[], None]) -> None:
    """Add the version that a line says, unless one of the same moment outweighs it. `ready` is called before entries
    are read."""
    version = line.version
    table = _TABLES[type(version)]
    row = {**_row(version), "recorded": version.recorded, "seq": seq, "withdrawn": version.withdrawn}
    if isinstance(version, Life):
        row |= {"cluster": cluster, "declared": seq}
    former = _of_the_moment(connection, table, row)
    if former is None:
        versions.add(connection, table, row)
    else:
        ready()
        if not _outweighs(connection, line, cluster, former.seq):
            return
        versions.add(connection, table, row, rank=former.rank + 1)
    if isinstance(version, Life):
        _bear(connection, line.body, version, seq)


def _of_the_moment(connection: Connection, table: Table, row: Mapping[str, Any]) -> Any:
    """The row that holds of the same thing among those recorded at the same moment, or None."""
    names = (*versions.key(table), "recorded")
    return connection.execute(_same(table), {f"the_{one}": row[one] for one in names}).first()


@lru_cache(maxsize=16)
def _same(table: Table) -> Select[Any]:
    columns = table.c
    same = (columns[one] == bindparam(f"the_{one}") for one in (*versions.key(table), "recorded"))
    return select(columns.seq, columns.rank).where(*same).order_by(desc(columns.rank)).limit(1)


def _outweighs(connection: Connection, line: Line, cluster: str, seq: int) -> bool:
    entries = tables.entries
    said = select(entries.c.body).where(entries.c.cluster == cluster, entries.c.seq == seq)
    body = connection.scalar(said)
    return body is None or chain.canonical(line.body) > chain.canonical(json.loads(body)["body"])


def _bear(connection: Connection, body: Mapping[str, Any], life: Life, seq: int) -> None:
    """What a line says an instance bears holds all its life, for as long as this line holds."""
    for attribute, value in borne(body):
        row = {"uid": life.uid, "attribute": attribute, "value": value, "began": life.born}
        row |= {"recorded": life.recorded, "seq": seq, "declared": seq, "ended": None}
        former = _of_the_moment(connection, tables.identities, row)
        versions.add(connection, tables.identities, row, rank=0 if former is None else former.rank + 1)


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
