"""What of a ledger's trouble is logged: once, once a minute while it comes and goes, and once when it is over."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

import pytest

from exuvia import errors
from exuvia.model.facts import LedgerState
from exuvia.record import reminding, writing
from exuvia.record.condition import Condition
from tests.record import world

FULL = "the disk is full"


class Clock:
    """The seconds that pass."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Clock:
    caplog.set_level(logging.INFO, "exuvia.record.condition")
    found = Clock()
    monkeypatch.setattr(time, "monotonic", found)
    return found


@pytest.fixture
def condition(clock: Clock, caplog: pytest.LogCaptureFixture) -> Condition:
    """Of a ledger that is open."""
    found = Condition(Path("l.db"))
    found.settle({})
    assert said(caplog) == ["ledger is open"]
    caplog.clear()
    return found


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.name == "exuvia.record.condition"]


def fails(condition: Condition, message: str = FULL) -> None:
    """An entry cannot be written; then the ledger is opened again, which a full disk does not forbid."""
    condition.fail(errors.LedgerDown(message))
    assert condition.health.state is LedgerState.DOWN
    condition.settle({})
    assert condition.fine
    condition.look()


def test_trouble_that_comes_and_goes_is_said_once_a_minute_and_its_end_once(
    condition: Condition, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(150):
        fails(condition)
        clock.now += 1
    assert said(caplog) == [f"ledger: {FULL}"] * 3
    caplog.clear()
    for _ in range(30):
        condition.unlocked()  # an entry was written
        condition.look()
        clock.now += 1
    assert said(caplog) == ["ledger is fine"]
    fails(condition)
    assert said(caplog) == ["ledger is fine", f"ledger: {FULL}"], "that is another time"


def test_trouble_that_stays_is_said_again_once_a_minute(
    condition: Condition, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(61):
        condition.fail(errors.LedgerDown(FULL))
        condition.look()
        clock.now += 2
    assert said(caplog) == [f"ledger: {FULL}"] * 3


def test_another_trouble_is_said_at_once(condition: Condition, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(20):
        fails(condition)
        fails(condition, "the volume is read-only")
        clock.now += 1
    assert said(caplog) == [f"ledger: {FULL}", "ledger: the volume is read-only"]


def test_what_was_missing_and_is_settled_is_said_at_once(
    condition: Condition, caplog: pytest.LogCaptureFixture
) -> None:
    condition.distrust(3, b"\1" * 32, head=2)
    condition.settle(dict(condition.missing.entries))
    missed, fine = said(caplog)
    assert "misses entry 3" in missed and fine == "ledger is fine"


async def test_a_full_disk_is_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It can be opened, and takes no entry."""
    caplog.set_level(logging.INFO, "exuvia.record.condition")
    monkeypatch.setattr(reminding, "OVER_SECONDS", 0.5)

    def full(*_: object) -> writing.Attempt:
        raise errors.LedgerDown(FULL)

    async with world.running(tmp_path / "l.db") as ledger:
        write = writing.write
        monkeypatch.setattr(writing, "write", full)
        refused = 0
        async with asyncio.timeout(20):
            while refused < 5:
                try:
                    await ledger.append(world.birth("A"))
                except errors.LedgerDown:
                    refused += 1
                    while ledger.health().state is not LedgerState.FINE:
                        await asyncio.sleep(0.02)
        assert said(caplog) == ["ledger is open", f"ledger: {FULL}"]
        monkeypatch.setattr(writing, "write", write)
        await ledger.append(world.birth("A"))
        async with asyncio.timeout(20):
            while len(said(caplog)) < 3:
                await asyncio.sleep(0.05)
    assert said(caplog)[2:] == ["ledger is fine"]
