"""What was known of a machine at a moment: its identities, the verdicts that held, the operation under way.

Two clocks: it was so at that moment, by what was recorded until another. Verdicts and operations say once what changed;
when that was recorded stands in their entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import starmap
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, and_, select

from exuvia.model.facts import FactKind, microseconds
from exuvia.model.histories import Freeze, Life, Past, Presence
from exuvia.record import tables, versions
from exuvia.record.bearing import ADDRESS
from exuvia.record.moments import moment
from exuvia.record.who import AT, UID, UNTIL, Bearer, covers

STARTED, ENDED, QUARANTINE = "started", "ended", "Quarantine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a machine bore beside its name; "" where that is not known."""

    provider_id: str = ""
    machine_id: str = ""
    boot_id: str = ""
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A policy's verdict that held, and since when."""

    policy: str
    result: str
    severity: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderWay:
    """An operation that had started and had not ended. `policy` is "" for what a person asked for."""

    uid: str
    kind: str
    name: str
    policy: str
    began: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All of it. `operation`: of several a Quarantine, else the one that started last."""

    identity: Identity
    verdicts: tuple[Held, ...] = ()
    operation: UnderWay | None = None


def known(connection: Connection, bearer: Bearer, at: datetime, *, until: int = versions.INSTANT) -> Known:
    """What was known of a machine that lived at that moment, by what was recorded up to `until` (microseconds)."""
    asked = {"uid": bearer.uid, "at": microseconds(at), "until": until}
    return Known(
        identity=_identity(connection.execute(_IDENTITIES, asked).all()),
        verdicts=tuple(_verdicts(connection.execute(_VERDICTS, asked))),
        operation=_operation(connection.execute(_OPERATIONS, asked).all()),
    )


def past(connection: Connection, uid: str, *, until: int = versions.INSTANT) -> Past:
    """The life of a machine, what was on it and when it was frozen: of each thing what holds of all that was recorded
    up to `until`, withdrawn ones among it."""
    found = (tuple(starmap(make, connection.execute(one, {"uid": uid, "until": until}))) for one, make in _PAST)
    lives, presences, freezes = found
    return Past(uid=uid, lives=lives, presences=presences, freezes=freezes)


def _identity(rows: Sequence[Row[Any]]) -> Identity:
    """Of several values of what a machine has one of, the one that it bears since the latest moment."""
    one = {row.attribute: row.value for row in rows}
    return Identity(
        provider_id=one.get("providerID", ""),
        machine_id=one.get("machineID", ""),
        boot_id=one.get("bootID", ""),
        addresses=tuple(sorted({row.value for row in rows if row.attribute == ADDRESS})),
    )


def _verdicts(rows: Iterable[Row[Any]]) -> Iterator[Held]:
    """Of each policy the change that was told last; one to no result ended it."""
    for name, row in {row.policy: row for row in rows}.items():
        if row.result:
            yield Held(policy=name, result=row.result, severity=row.severity, since=moment(row.at))


def _operation(rows: Sequence[Row[Any]]) -> UnderWay | None:
    ended = {row.uid for row in rows if row.event == ENDED}
    open_ = [row for row in rows if row.event == STARTED and row.uid not in ended]
    row = max(open_, key=lambda one: (one.kind == QUARANTINE, one.at, one.seq), default=None)
    if row is None:
        return None
    return UnderWay(uid=row.uid, kind=row.kind, name=row.name, policy=row.policy, began=moment(row.at))


def _borne() -> Select[Any]:
    table, lives = tables.identities, tables.lives
    return (
        select(table.c.attribute, table.c.value)
        .join(lives, and_(lives.c.uid == table.c.uid, lives.c.declared == table.c.declared))
        .where(table.c.uid == UID, covers(table), versions.holds(lives, UNTIL), versions.holds(table, UNTIL))
        .order_by(table.c.began, table.c.recorded, table.c.rank, table.c.value)
    )


def _told(table: Table, kind: FactKind) -> Select[Any]:
    """What entries said, up to one moment, of moments up to another; of whatever chain, for a UID is one machine."""
    entries, named = tables.entries, tables.mentions
    of = and_(named.c.uid == table.c.uid, named.c.seq == table.c.seq)
    said = and_(entries.c.cluster == named.c.cluster, entries.c.seq == named.c.seq, entries.c.kind == kind.value)
    chosen = select(table).join(named, of).join(entries, said)
    return chosen.where(table.c.at <= AT, entries.c.recorded <= UNTIL)


def _holding(table: Table, *names: str) -> Select[Any]:
    chosen = select(*(table.c[one] for one in names)).where(table.c.uid == UID, versions.holds(table, UNTIL))
    return chosen.order_by(*table.primary_key.columns)


def _life(uid: str, recorded: int, born: int, died: int | None, withdrawn: bool) -> Life:
    return Life(uid=uid, recorded=recorded, born=born, died=died, withdrawn=withdrawn)


_IDENTITIES = _borne()
_VERDICTS = (
    _told(tables.verdicts, FactKind.VERDICT)
    .where(tables.verdicts.c.uid == UID)
    .order_by(tables.verdicts.c.policy, tables.entries.c.recorded, tables.entries.c.cluster, tables.verdicts.c.seq)
)
_OPERATIONS = _told(tables.operations, FactKind.OPERATION).where(tables.operations.c.instance == UID)
_PAST: tuple[tuple[Select[Any], Callable[..., Any]], ...] = (
    (_holding(tables.lives, "uid", "recorded", "born", "died", "withdrawn"), _life),
    (
        _holding(tables.presences, "uid", "vulnerability", "recorded", "began", "ended", "closed", "withdrawn"),
        Presence,
    ),
    (_holding(tables.freezes, "uid", "recorded", "began", "ended", "withdrawn"), Freeze),
)
