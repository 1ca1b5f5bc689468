"""Of a ledger that lost its entries all that is known to be missing is named at once: one acceptance is enough."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from exuvia import errors
from exuvia.app import losses
from exuvia.app.history import LOOK_SECONDS, History
from exuvia.model import facts
from exuvia.model.facts import FactKind, LedgerState
from exuvia.model.specs.quarantine import Quarantine
from exuvia.record import opening, tables
from exuvia.record.accepting import accept
from exuvia.record.ledger import Ledger
from exuvia.record.trust import Noted
from tests.app import stage
from tests.app.stage import NOW
from tests.app.test_anchoring import noted

MACHINES = ("a", "b", "c", "d")


def quarantine(name: str, entry: facts.Receipt) -> Quarantine:
    meta = {"name": name, "uid": f"uid-{name}", "creationTimestamp": "2026-11-25T11:00:00Z"}
    spec = {"instance": {"kind": "Node", "name": name, "uid": name}}
    status = {"phase": "Held", "ledger": {"seq": entry.seq, "hash": entry.hash}}
    return Quarantine.parse({"metadata": meta, "spec": spec, "status": status})


class Leader:
    """A leader on a ledger that tells of some machines, each of which an open Quarantine names."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ledger = Ledger(path, epoch=lambda: 2)
        self.cluster = stage.Objects()
        self._running: asyncio.Task[None] | None = None
        self.threads = set[threading.Thread]()
        self.notes = dict[str, str]()
        self._distrust, self.ledger.distrust = self.ledger.distrust, self._noted  # type: ignore[method-assign]

    def _noted(self, *some: Any, **more: Any) -> None:
        self.threads.add(threading.current_thread())
        self._distrust(*some, **more)

    async def written(self) -> list[facts.Receipt]:
        self.ledger.start()
        await self.becomes(LedgerState.FINE)
        births = [{"uid": one, "kind": "Node", "name": one, "pool": "", "zone": ""} for one in MACHINES]
        return [await self.ledger.append(facts.birth(instance=one, at=NOW)) for one in births]

    async def lead(self, receipts: list[facts.Receipt]) -> None:
        """The head is noted outside as well."""
        last = receipts[-1]
        self.cluster.kept |= noted({"seq": str(last.seq), "hash": last.hash}).kept
        services = stage.services(
            ledger=self.ledger,
            scribe=SimpleNamespace(overflowed=None, flush=lambda: asyncio.sleep(0, True), note=lambda *facts: None),
            cluster=self.cluster,
            past_known=False,
            leadership=SimpleNamespace(epoch=2, notes=self.notes),
            chronicle=SimpleNamespace(load=lambda *some: None, settle=lambda *some: [], ready_once=set(), loaded=False),
            settings=stage.Settings(ledger=str(self.path)),
            tallies=SimpleNamespace(begin=lambda *some: None, add=lambda *some: None),
        )
        for name, entry in zip(MACHINES, receipts, strict=True):
            services.view.quarantines.store.put(quarantine(name, entry), "1")
        for one in services.view.reflectors:
            one.synced = True
        self.history = History(services, stage.fleet(services))
        self._running = asyncio.create_task(self.history.run())

    async def becomes(self, state: LedgerState) -> None:
        while self.ledger.health().state is not state:
            await asyncio.sleep(0.01)

    async def end(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await asyncio.to_thread(self.ledger.close)

    def lose(self) -> None:
        """The file is gone."""
        for one in self.path.parent.glob(f"{self.path.name}*"):
            one.unlink()


def settled(path: Path) -> list[list[str]]:
    """What each acceptance says was missing."""
    table = tables.entries
    with opening.open_for_reading(path).connect() as connection:
        rows = connection.execute(select(table.c.body).where(table.c.kind == FactKind.ACCEPTED.value))
        bodies = [json.loads(row.body)["body"] for row in rows]
    return [one["missing"] for one in bodies if "missing" in one]


@pytest.mark.parametrize("while_it_runs", [True, False])
async def test_one_acceptance_settles_all_that_is_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, while_it_runs: bool
) -> None:
    """Found at its start, or by a leader at work whose file was taken away: then the ledger itself misses its head, and
    what operations name is looked for before a person accepts."""
    before = Leader(tmp_path / "ledger.db")
    receipts = await before.written()
    leader: Any = before
    if while_it_runs:
        await leader.lead(receipts)
        while not leader.history.compared:
            await asyncio.sleep(0.01)
        leader.lose()
    else:
        await before.end()
        before.lose()
        leader = Leader(before.path)
        leader.ledger.start()
        await leader.becomes(LedgerState.FINE)
        await leader.lead(receipts)
    await leader.becomes(LedgerState.NOT_TRUSTED)
    wanted = " ".join(f"{one.seq}:{one.hash}" for one in receipts)
    async with asyncio.timeout(20):
        while leader.notes.get(losses.KEY) != wanted:  # what else is missing is looked for
            await asyncio.sleep(0.05)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        noted = [Noted(seq=one.seq, hash=one.hash) for one in receipts]
        accept(leader.path, by="alice", reason="the volume is lost", at=NOW, noted=noted)
        while not leader.history.compared or leader.ledger.health().state is not LedgerState.FINE:
            await asyncio.sleep(0.05)
        await asyncio.sleep(1)
    said = [one.getMessage() for one in caplog.records if one.name == "exuvia.record.condition"]
    assert said == ["ledger is fine"], "it does not come and go"
    assert leader.notes == {losses.KEY: "", losses.OF: "2 "}
    (missing,) = settled(leader.path)
    assert missing == [f"{one.seq}:{one.hash}" for one in receipts]
    assert leader.threads and threading.current_thread() not in leader.threads, "the event loop waits for no disk"
    await leader.end()


async def test_what_could_not_be_asked_at_first_is_named_before_anybody_accepts(tmp_path: Path) -> None:
    """What operations name is missing at once; the head that is noted outside is known later."""
    leader = Leader(tmp_path / "ledger.db")
    receipts = await leader.written()
    await asyncio.to_thread(leader.ledger.close)
    leader.lose()
    after = Leader(leader.path)
    after.ledger.start()
    await after.becomes(LedgerState.FINE)
    after.cluster.trouble = errors.Unreachable("no route")
    await after.lead(receipts)
    after.cluster.kept |= noted({"seq": "9", "hash": "ab" * 32}).kept
    await after.becomes(LedgerState.NOT_TRUSTED)
    await asyncio.sleep(2 * LOOK_SECONDS)
    after.cluster.trouble = None
    async with asyncio.timeout(5):
        while f"9:{'ab' * 32}" not in after.ledger.health().missing:
            await asyncio.sleep(0.02)
    await after.end()
