"""The scribe loses nothing: not while the ledger is away, and not when its loop is begun anew."""

from __future__ import annotations

import asyncio

import pytest

from exuvia import errors
from exuvia.app.scribe import RETRY_SECONDS, Scribe
from exuvia.model import facts
from exuvia.model.facts import Fact, Receipt
from tests import virtual
from tests.app.stage import NOW


class Memory:
    """A ledger that is in trouble for some appends."""

    def __init__(self, *trouble: Exception) -> None:
        self.trouble = list(trouble)
        self.entries: list[Fact] = []

    async def append(self, *some: Fact) -> Receipt:
        if self.trouble:
            raise self.trouble.pop(0)
        self.entries += some
        return Receipt(seq=len(self.entries), hash="00")


def fact(name: str) -> Fact:
    return facts.brake(name=name, engaged=True, reason="", at=NOW)


def test_what_waits_while_the_ledger_is_away_is_written_in_order_once_it_is_back() -> None:
    async def story() -> None:
        memory = Memory(errors.LedgerDown("away"), errors.LedgerLocked("locked"))
        scribe = Scribe(memory)  # type: ignore[arg-type]
        task = asyncio.create_task(scribe.run())
        scribe.note(fact("a"), fact("b"))
        await asyncio.sleep(3 * RETRY_SECONDS)
        assert await scribe.flush()
        assert [one.body["brake"] for one in memory.entries] == ["a", "b"]
        task.cancel()

    virtual.run(story())


def test_a_loop_that_was_fenced_and_is_begun_anew_writes_what_it_left() -> None:
    async def story() -> None:
        memory = Memory(errors.Fenced("another one"))
        scribe = Scribe(memory)  # type: ignore[arg-type]
        scribe.note(fact("a"))
        with pytest.raises(errors.Fenced):
            await scribe.run()
        task = asyncio.create_task(scribe.run())
        assert await scribe.flush()
        assert [one.body["brake"] for one in memory.entries] == ["a"]
        task.cancel()

    virtual.run(story())
