"""Legal holds: what pruning must leave and erasing must not take, on whose word and why. Each is a fact in the chain.

A hold is on an instance, on a person, or on a span of time; it holds for all chains of the ledger until it is released.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from exuvia import errors
from exuvia.model.facts import Fact, FactKind, Receipt
from exuvia.record import appending, importing, opening, tables
from exuvia.record.places import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """What is held. Exactly one of `instance` (a UID), `subject` (a token) and the span is given; moments in
    microseconds, `until` not in it."""

    name: str
    by: str
    reason: str
    instance: str = ""
    subject: str = ""
    since: int | None = None
    until: int | None = None

    @property
    def spans(self) -> bool:
        """Whether it is on a span of time."""
        return self.since is not None and self.until is not None

    def overlaps(self, began: int, ended: int) -> bool:
        """Whether its span has a moment in common with `[began, ended]`."""
        return self.since is not None and self.until is not None and began < self.until and ended >= self.since


def active(connection: Connection) -> tuple[Hold, ...]:
    """Every hold that was added and not released, by name."""
    table, found = tables.entries, dict[str, Hold]()
    chosen = select(table.c.body).where(table.c.kind == FactKind.HOLD.value)
    for text in connection.scalars(chosen.order_by(table.c.recorded, table.c.cluster, table.c.seq)):
        body = json.loads(text)["body"]
        if body["event"] == "added":
            found[body["name"]] = _hold(body)
        else:
            found.pop(body["name"], None)
    return tuple(found[name] for name in sorted(found))


def add(place: Place, hold: Hold, *, at: datetime, cluster: str | None = None) -> Receipt:
    """Enter a hold; durable when it returns. A reason may be "". Raises `errors.InvalidObject` for a name that holds
    already, `errors.LedgerError` as ever."""
    body: dict[str, Any] = {"event": "added", "name": hold.name, "by": hold.by, "reason": hold.reason.strip()[:1024]}
    if hold.spans:
        body |= {"from": hold.since, "to": hold.until}
    else:
        body |= {"instance": hold.instance} if hold.instance else {"subject": hold.subject}
    return _enter(place, body, at, cluster, wanted=False)


def release(place: Place, name: str, *, by: str, reason: str, at: datetime, cluster: str | None = None) -> Receipt:
    """End a hold. A reason may be "". Raises `errors.InvalidObject` where there is no such hold."""
    body = {"event": "released", "name": name, "by": by, "reason": reason.strip()[:1024]}
    return _enter(place, body, at, cluster, wanted=True)


def _enter(place: Place, body: Mapping[str, Any], at: datetime, cluster: str | None, *, wanted: bool) -> Receipt:
    engine = opening.open_for_writing(place)
    try:
        with opening.in_words(place), engine.begin() as connection:
            writer = importing.writer_for(connection, cluster)
            opening.alone(connection, writer.cluster)
            _check_name(connection, str(body["name"]), wanted=wanted)
            fact = Fact(kind=FactKind.HOLD, at=at, body=body)
            made = appending.add(connection, appending.head(connection, writer.cluster), fact, writer)
            assert made is not None, "a hold is never a dead letter"
            return appending.receipt(made)
    finally:
        engine.dispose()


def _check_name(connection: Connection, name: str, *, wanted: bool) -> None:
    known = {one.name for one in active(connection)}
    if wanted and name not in known:
        there = ", ".join(sorted(known)) or "none"
        raise errors.InvalidObject(f"There is no hold {name}.", place="name", remedy=f"Held is: {there}.")
    if not wanted and (name in known or not name):
        raise errors.InvalidObject(f"The hold {name!r} is there already.", place="name", remedy="Give another name.")


def _hold(body: Mapping[str, Any]) -> Hold:
    return Hold(
        name=body["name"],
        by=body["by"],
        reason=body["reason"],
        instance=body.get("instance", ""),
        subject=body.get("subject", ""),
        since=body.get("from"),
        until=body.get("to"),
    )
