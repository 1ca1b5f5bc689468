"""Facts and ledgers for the tests of the memory."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from exuvia.model import facts
from exuvia.model.facts import LedgerState
from exuvia.record import appending, opening
from exuvia.record.ledger import Ledger
from exuvia.record.places import Place

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def birth(uid: str, minutes: float = 0, **body: Any) -> facts.Fact:
    instance = {"uid": uid, "kind": "Node", "name": uid.lower(), "pool": "p", "zone": "z", **body}
    return facts.birth(instance=instance, at=at(minutes))


def death(uid: str, minutes: float, not_before: float | None = None, **more: Any) -> facts.Fact:
    earliest = None if not_before is None else at(not_before)
    reason = more.pop("reason", facts.DeathReason.UNKNOWN)
    return facts.death(uid=uid, reason=reason, at=at(minutes), not_before=earliest, **more)


def verdict(uid: str, result: str, minutes: float, policy: str = "workers", severity: str = "High") -> facts.Fact:
    return facts.verdict(
        uid=uid, policy=policy, policy_uid="P", result=result, severity=severity, rules="max-age", at=at(minutes)
    )


def intent(operation: str = "R1", minutes: float = 0, step: str = "Cordoned") -> facts.Fact:
    return facts.intent(
        operation=operation,
        kind="Rotation",
        step=step,
        instance="A",
        policy="workers",
        generation=1,
        epoch=1,
        at=at(minutes),
    )


def outcome(seq: int, operation: str = "R1", minutes: float = 0) -> facts.Fact:
    return facts.outcome(operation=operation, intent=seq, result="Done", message="", at=at(minutes))


def operation(uid: str, event: str, minutes: float, result: str = "", kind: str = "Rotation") -> facts.Fact:
    return facts.operation(
        uid=uid,
        kind=kind,
        name=f"worker-{uid}",
        event=event,
        instance="A",
        policy="workers",
        rule="max-age",
        pool="p",
        result=result,
        by="",
        at=at(minutes),
    )


def placement(pod: str, instance: str, event: str, minutes: float, **body: Any) -> facts.Fact:
    whole = {"uid": pod, "namespace": "shop", "name": f"cart-{pod}", "images": ["sha256:1"], **body}
    return facts.placement(pod=whole, instance=instance, event=event, at=at(minutes))


@contextmanager
def written(place: Place, *entries: facts.Fact) -> Iterator[Connection]:
    """A ledger with these facts, and a connection that may do anything with it."""
    engine = opening.open_for_writing(place)
    writer = appending.Writer(cluster="c", epoch=1)
    try:
        with engine.begin() as connection:
            for fact in entries:
                appending.add(connection, appending.head(connection, writer.cluster), fact, writer)
            yield connection
    finally:
        engine.dispose()


def unguarded(path: Path) -> None:
    """Take the triggers off a file: whoever can write it can do that."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")


@asynccontextmanager
async def running(place: Place, epoch: Callable[[], int] = lambda: 1, *, fine: bool = True) -> AsyncIterator[Ledger]:
    """A ledger's writer at work."""
    ledger = Ledger(place, cluster="c", epoch=epoch)
    ledger.start()
    try:
        if fine:
            await state(ledger, LedgerState.FINE)
        yield ledger
    finally:
        await asyncio.to_thread(ledger.close)


async def state(ledger: Ledger, wanted: LedgerState, seconds: float = 10.0) -> None:
    """Wait until the ledger is so."""
    deadline = asyncio.get_running_loop().time() + seconds
    while ledger.health().state is not wanted:
        assert asyncio.get_running_loop().time() < deadline, f"{ledger.health()} is not {wanted}"
        await asyncio.sleep(0.01)
