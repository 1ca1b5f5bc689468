"""Checkpoints: what was pruned from a chain, and by whom. They stand in the chain, so they are as sure as its rest.

Each pruning enters all gaps that the chain has then, its own and the former ones; so only the last counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from exuvia.model.facts import FactKind
from exuvia.record import tables
from exuvia.record.chain import Gap, Link, across
from exuvia.record.octets import octets

GAPS = 1000
"""So many at most in one entry."""


def last(connection: Connection, cluster: str) -> list[tuple[int, dict[str, Any]]]:
    """(number, body) of the entries of the last pruning, in order; empty where nothing was ever pruned."""
    table = tables.entries
    chosen = (
        select(table.c.seq, octets(table.c.body).label("raw"))
        .where(table.c.cluster == cluster, table.c.kind == FactKind.CHECKPOINT.value)
        .order_by(table.c.seq.desc())
    )
    found = list[tuple[int, dict[str, Any]]]()
    for row in connection.execute(chosen):
        body = _body(bytes(row.raw or b""))
        found.append((int(row.seq), body))
        if body.get("part") in (1, None):
            break
    return found[::-1]


def entered(connection: Connection, cluster: str, seq: int) -> int:
    """When the checkpoint of that number was recorded, microseconds since 1970 UTC."""
    table = tables.entries
    return int(connection.scalar(select(table.c.recorded).where(table.c.cluster == cluster, table.c.seq == seq)) or 0)


def gaps(connection: Connection, cluster: str) -> dict[int, Gap]:
    """The gaps of a chain as its last checkpoint says, by their first number."""
    return read(body for _, body in last(connection, cluster))


def carried(connection: Connection, cluster: str) -> Mapping[str, Any]:
    """What the last pruning carried over of what was counted."""
    found = last(connection, cluster)
    body = found[-1][1].get("carried") if found else None
    return body if isinstance(body, dict) else {}


def cut(connection: Connection, clusters: Iterable[str]) -> int | None:
    """The moment (microseconds) up to which machines of these clusters were pruned; None where none ever were."""
    table = tables.entries
    chosen = select(octets(table.c.body)).where(
        table.c.cluster.in_(sorted(clusters)), table.c.kind == FactKind.CHECKPOINT.value
    )
    cuts = (_body(bytes(raw or b"")).get("cut") for raw in connection.scalars(chosen))
    return max((one for one in cuts if isinstance(one, int)), default=None)


def covers(connection: Connection, cluster: str, seq: int) -> bool:
    """Whether the entry of that number was pruned under a checkpoint."""
    return any(gap.first <= seq <= gap.last for gap in gaps(connection, cluster).values())


def read(bodies: Iterable[Mapping[str, Any]]) -> dict[int, Gap]:
    """The gaps that the bodies of one pruning say. What cannot be read vouches for nothing."""
    found = dict[int, Gap]()
    for body in bodies:
        for gap in body.get("gaps", ()):
            try:
                first, until, before, hash_ = gap
                found[first] = Gap(first=first, last=until, before=bytes.fromhex(before), hash=bytes.fromhex(hash_))
            except (TypeError, ValueError):
                continue
    return found


def written(found: Sequence[Gap]) -> list[list[list[Any]]]:
    """Gaps as the bodies of checkpoints hold them, in parts of `GAPS`; at least one part."""
    rows = [[one.first, one.last, one.before.hex(), one.hash.hex()] for one in found]
    return [rows[start : start + GAPS] for start in range(0, len(rows), GAPS)] or [[]]


def bridged(links: Iterable[Link], known: Mapping[int, Gap], *, expected: int = 1) -> Iterator[Link]:
    """The same links, with one for each gap where entries are missing that a checkpoint vouches for. `expected`: the
    number that should come first."""
    for link in links:
        while link.seq != expected and expected in known and known[expected].last < link.seq:
            yield across(known[expected])
            expected = known[expected].last + 1
        yield link
        expected = link.seq + 1


def _body(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)["body"]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}
