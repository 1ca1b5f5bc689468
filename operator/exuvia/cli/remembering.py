"""Finding entries of the ledger for people: by machine, operation, kind and time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, desc, select

from exuvia import errors
from exuvia.model.facts import FactKind, microseconds
from exuvia.record import personal, queries, tables
from exuvia.record.moments import moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked for; empty parts ask for everything. `limit` 0: no limit."""

    instance: str = ""
    operation: str = ""
    kind: str = ""
    since: datetime | None = None
    limit: int = 0


def entries(connection: Connection, asked: Question) -> list[dict[str, Any]]:
    """The last entries that fit, oldest first, with moments as text. Raises `errors.SettingsError`."""
    if asked.kind and asked.kind not in set(FactKind):
        known = ", ".join(FactKind)
        raise errors.SettingsError(f"There is no kind of entry {asked.kind!r}.", remedy=f"There are {known}.")
    found = _candidates(connection, asked)
    fit = [one for one in found if _fits(one, asked)]
    return [_readable(connection, one) for one in (fit[-asked.limit :] if asked.limit else fit)]


def written(at: datetime) -> str:
    """RFC 3339 in UTC; fractions of a second only where there are any."""
    return at.isoformat().replace("+00:00", "Z")


def _candidates(connection: Connection, asked: Question) -> list[dict[str, Any]]:
    if asked.instance:
        return queries.life(connection, uid(connection, asked.instance))
    if asked.operation:
        return _of_operation(connection, asked.operation)
    table = tables.entries
    chosen = select(table.c.seq, table.c.body).order_by(desc(table.c.recorded), desc(table.c.seq))
    if asked.kind:
        chosen = chosen.where(table.c.kind == asked.kind)
    if asked.limit and asked.since is None:
        chosen = chosen.limit(asked.limit)
    return [{"seq": row.seq, **json.loads(row.body)} for row in reversed(connection.execute(chosen).all())]


def known(connection: Connection, uid_: str) -> bool:
    """Whether anything was ever recorded of a machine with that UID."""
    table = tables.mentions
    return connection.scalar(select(table.c.uid).where(table.c.uid == uid_).limit(1)) is not None


def uid(connection: Connection, named: str) -> str:
    """A UID as it is, or that of the only machine that ever bore a name. Raises `errors.SettingsError` for several."""
    lives, borne = tables.lives, tables.identities
    if connection.scalar(select(lives.c.uid).where(lives.c.uid == named)) is not None:
        return named
    uids = set(connection.scalars(select(borne.c.uid).where(borne.c.attribute == "name", borne.c.value == named)))
    if len(uids) > 1:
        raise errors.SettingsError(
            f"Several machines bore the name {named}: {', '.join(sorted(uids))}.",
            remedy="Ask for one of these UIDs, or `exuvia ledger who --name` with a time.",
        )
    return uids.pop() if uids else named


def _of_operation(connection: Connection, name: str) -> list[dict[str, Any]]:
    table = tables.operations
    uids = set(connection.scalars(select(table.c.uid).where((table.c.name == name) | (table.c.uid == name))))
    return queries.about(connection, uids)


def _fits(entry: dict[str, Any], asked: Question) -> bool:
    if asked.kind and entry["type"] != asked.kind:
        return False
    return asked.since is None or int(entry["at"]) >= microseconds(asked.since)


def _readable(connection: Connection, entry: dict[str, Any]) -> dict[str, Any]:
    said = entry | {key: written(moment(entry[key])) for key in ("at", "recorded")}
    if entry["type"] != FactKind.SESSION.value:
        return said
    return said | {"body": entry["body"] | {"user": personal.revealed(connection, entry["body"]["user"])}}
