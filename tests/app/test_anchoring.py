"""The ledger's head is noted outside the ledger, seldom; and a ledger that does not hold it is not trusted."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from exuvia import errors
from exuvia.app import anchoring
from exuvia.app.anchoring import Anchoring
from exuvia.app.history import History
from exuvia.model import facts, marks
from exuvia.model.facts import LedgerHealth, LedgerState
from exuvia.record.accepting import accept
from exuvia.record.ledger import Ledger
from tests.app import stage
from tests.app.stage import NOW, Objects

HEAD = {"seq": "7", "hash": "ab" * 32}


def noted(data: dict[str, str]) -> Objects:
    """A cluster in which that stands as the head."""
    made = Objects()
    made.kept[marks.LEDGER_HEAD] = {"metadata": {"name": "x", "uid": "x", "resourceVersion": "1"}, "data": data}
    return made


async def compared(path: Path, cluster: Objects, *, accepts: bool = False) -> tuple[LedgerHealth, bool, Any]:
    """What a new leader finds of that ledger; with `accepts` a person accepts what is missing."""
    ledger = Ledger(path, epoch=lambda: 2)
    ledger.start()
    scribe = SimpleNamespace(overflowed=None, flush=lambda: asyncio.sleep(0, True), note=lambda *facts: None)
    services = stage.services(
        ledger=ledger,
        scribe=scribe,
        cluster=cluster,
        past_known=False,
        leadership=SimpleNamespace(epoch=2),
        chronicle=SimpleNamespace(load=lambda *some: None, settle=lambda *some: [], ready_once=set(), loaded=False),
        settings=stage.Settings(ledger=str(path)),
        tallies=SimpleNamespace(begin=lambda *some: None, add=lambda *some: None),
    )
    for one in services.view.reflectors:
        one.synced = True
    history = History(services, stage.fleet(services))
    running = asyncio.create_task(history.run())
    try:
        await asyncio.wait_for(_answered(history, services), 5)
        if accepts:
            accept(path, by="alice", reason="the volume is lost", at=NOW)
            while not history.compared:
                await asyncio.sleep(0.05)
        return ledger.health(), history.compared, services
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await asyncio.to_thread(ledger.close)


async def _answered(history: History, services: Any) -> None:
    while not (history.compared or services.past_trouble or services.ledger.health().state is LedgerState.NOT_TRUSTED):
        await asyncio.sleep(0.02)


async def written(path: Path, *names: str) -> facts.Receipt:
    """A ledger that tells of these births; returns its head."""
    ledger = Ledger(path, epoch=lambda: 1)
    ledger.start()
    while ledger.health().state is not LedgerState.FINE:
        await asyncio.sleep(0.01)
    for name in names:
        body = {"uid": name, "kind": "Node", "name": name, "pool": "", "zone": ""}
        receipt = await ledger.append(facts.birth(instance=body, at=NOW))
    await asyncio.to_thread(ledger.close)
    return receipt


async def test_a_ledger_that_holds_the_noted_head_is_trusted(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    head = await written(path, "a")
    await written(path, "b")
    health, fine, _ = await compared(path, noted({"seq": str(head.seq), "hash": head.hash}))
    assert fine and health.state is LedgerState.FINE


@pytest.mark.parametrize("lost", ["all", "tail", "other"])
async def test_a_ledger_without_the_noted_head_is_not_trusted_until_a_person_accepts(tmp_path: Path, lost: str) -> None:
    path, backup = tmp_path / "ledger.db", tmp_path / "backup.db"
    head = await written(path, "a")
    shutil.copy(path, backup)
    if lost != "other":
        head = await written(path, "b")
    path.unlink()
    if lost == "tail":
        shutil.copy(backup, path)
    elif lost == "other":
        await written(path, "x", "y")
    cluster = noted({"seq": str(head.seq), "hash": head.hash})
    health, fine, _ = await compared(path, cluster)
    assert not fine and health.state is LedgerState.NOT_TRUSTED
    assert f"misses entry {head.seq}, which ConfigMap exuvia-system/exuvia-ledger-head names" in health.message
    health, fine, _ = await compared(path, cluster, accepts=True)
    assert fine and health.state is LedgerState.FINE
    health, fine, _ = await compared(path, cluster)
    assert fine, "accepted once is accepted at the next start as well"


async def test_without_a_note_a_ledger_counts_for_itself(tmp_path: Path) -> None:
    health, fine, _ = await compared(tmp_path / "ledger.db", Objects())
    assert fine and health.state is LedgerState.FINE


@pytest.mark.parametrize("data", [{}, {"seq": "x", "hash": "ab"}, {"seq": "1", "hash": "no hex"}, {"seq": "1"}])
async def test_a_note_that_says_nothing_is_unknown_and_not_absent(tmp_path: Path, data: dict[str, str]) -> None:
    _, fine, services = await compared(tmp_path / "ledger.db", noted(data))
    assert not fine
    assert "names no head of a ledger" in services.past_trouble


async def test_a_note_that_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    cluster = Objects()
    cluster.trouble = errors.Forbidden("no right to read configmaps")
    _, fine, services = await compared(tmp_path / "ledger.db", cluster)
    assert not fine
    assert "no right to read configmaps" in services.past_trouble


class Writing:
    """An Anchoring over a ledger whose head is set by hand."""

    def __init__(self) -> None:
        self.cluster = Objects()
        self.seq, self.state, self.wanted = 1, LedgerState.FINE, True
        ledger = SimpleNamespace(
            head=lambda: {"seq": self.seq, "hash": f"{self.seq:064x}"}, health=lambda: LedgerHealth(state=self.state)
        )
        leadership = SimpleNamespace(epoch=3)
        services = stage.services(ledger=ledger, cluster=self.cluster, leadership=leadership)
        self.anchoring = Anchoring(services, lambda: self.wanted)

    async def noted(self) -> int | None:
        found = await anchoring.read(self.cluster, "exuvia-system")  # type: ignore[arg-type]
        return found.seq if found else None


async def test_the_head_is_noted_when_it_moved_and_only_then() -> None:
    one = Writing()
    assert await one.anchoring.write() and await one.noted() == 1
    assert not await one.anchoring.write()
    one.seq = 2
    assert await one.anchoring.write() and await one.noted() == 2
    assert one.cluster.writes == 2
    assert one.cluster.kept[marks.LEDGER_HEAD]["data"]["at"] == "2026-11-25T12:00:00Z"


async def test_nothing_is_noted_of_a_ledger_that_was_not_compared_is_empty_or_not_fine() -> None:
    one = Writing()
    one.wanted = False
    assert not await one.anchoring.write()
    one.wanted, one.state = True, LedgerState.NOT_TRUSTED
    assert not await one.anchoring.write()
    one.state, one.seq = LedgerState.FINE, 0
    assert not await one.anchoring.write()
    assert one.cluster.kept == {}


async def test_one_that_somebody_took_away_or_changed_is_noted_anew() -> None:
    one = Writing()
    await one.anchoring.write()
    await anchoring.remove(one.cluster, "exuvia-system")  # type: ignore[arg-type]
    one.seq = 2
    assert not await one.anchoring.write()
    assert await one.anchoring.write() and await one.noted() == 2
    one.cluster.kept[marks.LEDGER_HEAD]["metadata"]["resourceVersion"] = "99"
    one.seq = 3
    assert not await one.anchoring.write()
    assert await one.anchoring.write() and await one.noted() == 3
