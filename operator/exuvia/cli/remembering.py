"""Finding entries of the ledger for people: by machine, operation, kind, cluster and time."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from exuvia import errors
from exuvia.model.facts import FactKind
from exuvia.record import personal, queries, searching, tables
from exuvia.record.moments import moment
from exuvia.record.who import of_cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked for; empty parts ask for everything, and so does `cluster` None. `limit` 0: no limit."""

    instance: str = ""
    operation: str = ""
    kind: str = ""
    cluster: str | None = None
    since: datetime | None = None
    limit: int = 0


def entries(connection: Connection, asked: Question) -> Generator[dict[str, Any]]:
    """The last entries that fit, oldest first, with moments as text; read while they are asked for, so close it before
    the connection. Raises `errors.SettingsError`, before the first of them."""
    if asked.kind and asked.kind not in set(FactKind):
        known = ", ".join(FactKind)
        raise errors.SettingsError(f"There is no kind of entry {asked.kind!r}.", remedy=f"There are {known}.")
    wanted = searching.Search(cluster=asked.cluster, kind=asked.kind, since=asked.since, uids=_about(connection, asked))
    return _entries(connection, wanted, asked.limit)


def written(at: datetime) -> str:
    """RFC 3339 in UTC; fractions of a second only where there are any."""
    return at.isoformat().replace("+00:00", "Z")


def known(connection: Connection, uid_: str) -> bool:
    """Whether anything was ever recorded of a machine with that UID."""
    table = tables.mentions
    return connection.scalar(select(table.c.uid).where(table.c.uid == uid_).limit(1)) is not None


def uid(connection: Connection, named: str, cluster: str | None = None) -> str:
    """A UID as it is, or that of the only machine (of a cluster, or of all) that ever bore a name. Raises
    `errors.SettingsError` for several."""
    lives, borne = tables.lives, tables.identities
    if connection.scalar(select(lives.c.uid).where(lives.c.uid == named).limit(1)) is not None:
        return named
    bore = select(borne.c.uid).where(borne.c.attribute == "name", borne.c.value == named)
    mine = bore if cluster is None else select(lives.c.uid).where(lives.c.uid.in_(bore), *of_cluster(cluster))
    uids = set(connection.scalars(mine))
    if len(uids) > 1:
        raise errors.SettingsError(
            f"Several machines bore the name {named}: {', '.join(sorted(uids))}.",
            remedy="Ask for one of these UIDs, or `exuvia ledger who --name` with a time.",
        )
    return uids.pop() if uids else named


def readable(connection: Connection, entry: dict[str, Any]) -> dict[str, Any]:
    """An entry for people: its moments as text, and the name of a person as far as it is not forgotten."""
    said = entry | {key: written(moment(entry[key])) for key in ("at", "recorded")}
    if entry["type"] != FactKind.SESSION.value:
        return said
    return said | {"body": entry["body"] | {"user": personal.revealed(connection, entry["body"]["user"])}}


def _about(connection: Connection, asked: Question) -> set[str] | None:
    """UIDs of the machine with its operations, or of the operation, that was asked for; None where neither was."""
    if asked.instance:
        return queries.with_operations(connection, uid(connection, asked.instance, asked.cluster))
    if not asked.operation:
        return None
    table = tables.operations
    return set(
        connection.scalars(
            select(table.c.uid).where((table.c.name == asked.operation) | (table.c.uid == asked.operation))
        )
    )


def _entries(connection: Connection, wanted: searching.Search, limit: int) -> Generator[dict[str, Any]]:
    with closing(searching.found(connection, wanted, limit=limit)) as found:
        for one in found:
            yield {"seq": one.seq, **readable(connection, one.entry), "cluster": one.cluster}
