"""A chain that somebody changed is noticed by the operator itself, counted, and not trusted from then on."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exuvia.app.checking import Checking
from exuvia.app.settings import Settings
from exuvia.model import facts
from exuvia.model.facts import LedgerState
from exuvia.record.ledger import Ledger
from exuvia.report.metrics import Tallies
from tests.app import stage
from tests.record import world

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


async def until(ledger: Ledger, state: LedgerState) -> None:
    for _ in range(1000):
        if ledger.health().state is state:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(ledger.health())


def break_chain(path: Path) -> None:
    world.unguarded(path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE entries SET body = replace(body, 'one', 'two') WHERE seq = 1")


async def test_a_changed_entry_is_found_and_the_ledger_is_not_trusted_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.db"
    ledger = Ledger(path, epoch=lambda: 1)
    ledger.start()
    await until(ledger, LedgerState.FINE)
    await ledger.append(facts.brake(name="one", engaged=True, reason="", at=NOW))
    services = stage.services(settings=Settings(ledger=str(path)), ledger=ledger, tallies=Tallies())
    checking = Checking(services)
    await checking._check()
    assert ledger.health().state is LedgerState.FINE
    break_chain(path)
    threads = list[threading.Thread]()
    monkeypatch.setattr(ledger, "_read", lambda _: threads.append(threading.current_thread()))
    await checking._check()
    assert ledger.health().state is LedgerState.NOT_TRUSTED
    assert threads and threading.current_thread() not in threads, "nothing is read on the event loop"
    assert [one.value for one in services.tallies.samples()] == [1.0]
    await asyncio.to_thread(ledger.close)
