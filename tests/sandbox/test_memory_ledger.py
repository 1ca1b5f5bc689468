"""The ledger in memory: a chain, and the switches."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from exuvia import errors
from exuvia.model import facts
from exuvia.model.facts import FactKind, LedgerState
from exuvia.sandbox.ledger import MemoryLedger

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def brake(reason: str) -> facts.Fact:
    return facts.brake(name="pause", engaged=True, reason=reason, at=NOW)


async def test_entries_are_chained_and_found_by_number_and_hash() -> None:
    ledger = MemoryLedger()

    first = await ledger.append(brake("one"))
    second = await ledger.append(brake("two"), brake("three"))

    assert (first.seq, second.seq) == (1, 3)
    assert ledger.holds(first.seq, first.hash)
    assert not ledger.holds(2, first.hash)
    ledger.cut(1)
    assert ledger.holds(first.seq, first.hash)
    assert not ledger.holds(second.seq, second.hash)


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (LedgerState.DOWN, errors.LedgerDown),
        (LedgerState.LOCKED, errors.LedgerLocked),
        (LedgerState.NOT_TRUSTED, errors.LedgerTruncated),
    ],
)
async def test_a_switched_ledger_writes_nothing(state: LedgerState, error: type[errors.LedgerError]) -> None:
    ledger = MemoryLedger()
    ledger.switch(state, "no room left")

    with pytest.raises(error, match="no room left"):
        await ledger.append(brake("one"))

    assert ledger.facts == []
    assert ledger.health().state is state
    ledger.switch(LedgerState.FINE)
    assert (await ledger.append(brake("one"))).seq == 1


async def test_a_fenced_writer_writes_nothing() -> None:
    def closed() -> None:
        raise errors.Fenced("we do not lead")

    ledger = MemoryLedger(closed)

    with pytest.raises(errors.Fenced):
        await ledger.append(brake("one"))

    assert ledger.facts == []


async def test_intents_without_an_outcome_are_found() -> None:
    ledger = MemoryLedger()
    for step in ("Cordoned", "Draining"):
        await ledger.append(
            facts.intent(
                operation="o", kind="Rotation", step=step, instance="i", policy="", generation=0, epoch=1, at=NOW
            )
        )
    await ledger.append(facts.outcome(operation="o", intent=1, result="Done", message="", at=NOW))

    assert ledger.open_intents() == [2]
    assert len(ledger.of(FactKind.INTENT)) == 2
