"""What a leader misses in the ledger outlives it: the next one looks for it, and notes what is so now. Real electors on
one Lease, real ledgers on one file."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from exuvia import errors
from exuvia.app import losses
from exuvia.app.history import History
from exuvia.app.inheriting import Inherited
from exuvia.model import facts, marks, resources
from exuvia.model.facts import LedgerHealth, LedgerState
from exuvia.record.accepting import accept
from exuvia.record.ledger import Ledger
from exuvia.record.trust import Noted
from exuvia.report.metrics import Tallies
from tests.app import stage
from tests.app.stage import NOW
from tests.app.test_anchoring import written
from tests.app.test_leader import LeaseServer, Replica, stopped
from tests.record import world

BROKEN = "0" * 64
FINE = LedgerHealth(state=LedgerState.FINE)


class Cluster(stage.Objects):
    """Some objects, and the Lease."""

    def __init__(self, server: LeaseServer, who: str) -> None:
        super().__init__()
        self._leases = server.as_seen_by(who)

    async def get(self, resource: Any, name: str, *, namespace: str = "") -> Any:
        if resource is resources.LEASES:
            return await self._leases.get(resource, name, namespace=namespace)
        return await super().get(resource, name, namespace=namespace)

    async def pages(self, kind: Any) -> AsyncIterator[list[Any]]:
        yield []


class Replicated:
    """One replica: its elector, and while it leads the history of its term."""

    def __init__(self, server: LeaseServer, name: str, path: Path) -> None:
        self._server = server
        self._replica = Replica(server, name, retry=0.05)
        self.leadership = self._replica.leadership
        self.ledger = Ledger(path, epoch=lambda: self.leadership.epoch)
        self.tallies = Tallies()
        self.cluster = Cluster(server, name)
        self.services = stage.services(
            ledger=self.ledger,
            scribe=SimpleNamespace(overflowed=None, flush=lambda: asyncio.sleep(0, True), note=lambda *facts: None),
            cluster=self.cluster,
            past_known=False,
            leadership=self.leadership,
            chronicle=SimpleNamespace(load=lambda *some: None, settle=lambda *some: [], ready_once=set(), loaded=False),
            settings=stage.Settings(ledger=str(path)),
            tallies=self.tallies,
        )
        for one in self.services.view.reflectors:
            one.synced = True
        self.history = History(self.services, stage.fleet(self.services))
        self._tasks = list[asyncio.Task[None]]()

    async def lead(self) -> None:
        self._tasks.append(self._replica.start())
        while not self.leadership.leads():
            await asyncio.sleep(0.01)
        self.ledger.start()
        self._tasks.append(asyncio.create_task(self.history.run()))

    async def becomes(self, state: LedgerState) -> None:
        async with asyncio.timeout(10):
            while self.ledger.health().state is not state:
                await asyncio.sleep(0.02)

    async def notes(self, missing: str) -> None:
        """Until the Lease says that this one misses that."""
        wanted = {losses.KEY: missing, losses.OF: f"{self.leadership.epoch} "}
        async with asyncio.timeout(10):
            while (self._server.read() or {})["metadata"].get("annotations") != wanted:
                await asyncio.sleep(0.02)

    async def outside(self) -> list[Noted]:
        return (await losses.noted(self.cluster, "exuvia-system", marks.LEASE, lambda: NOW)).noted

    async def end(self) -> None:
        await self._replica.elector.release()
        for one in self._tasks:
            one.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self.ledger.close)


@pytest.fixture
async def server() -> AsyncIterator[LeaseServer]:
    made = LeaseServer()
    yield made
    await stopped([], made)


async def test_a_broken_chain_that_a_former_leader_saw_is_not_accepted_where_a_good_copy_is_in_place(
    server: LeaseServer, tmp_path: Path
) -> None:
    path = tmp_path / "ledger.db"
    await written(path, "a", "b")
    first, second = Replicated(server, "r0", path), Replicated(server, "r1", path)
    await first.lead()
    await first.becomes(LedgerState.FINE)
    first.ledger.distrust_chain(2)
    await first.notes(f"2:{BROKEN}")
    await first.end()
    assert await second.outside() == [], "whoever leads next finds out whether it is broken still"
    await second.lead()
    await second.notes("")
    await second.becomes(LedgerState.FINE)
    assert second.history.compared
    with pytest.raises(errors.Refused, match="Nothing is missing"):
        accept(path, by="alice", reason="r", at=NOW, noted=await second.outside())
    await second.end()


async def test_a_chain_that_is_broken_still_is_named_by_the_next_leader_at_its_start(
    server: LeaseServer, tmp_path: Path
) -> None:
    path = tmp_path / "ledger.db"
    await written(path, "a", "b")
    first, second = Replicated(server, "r0", path), Replicated(server, "r1", path)
    await first.lead()
    await first.becomes(LedgerState.FINE)
    first.ledger.distrust_chain(2)
    await first.notes(f"2:{BROKEN}")
    await first.end()
    world.unguarded(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE entries SET body = replace(body, 'Node', 'node') WHERE seq = 2")
    await second.lead()
    await second.becomes(LedgerState.NOT_TRUSTED)
    await second.notes(f"2:{BROKEN}")
    assert not second.history.compared
    counted = {one.name: one.value for one in second.tallies.samples()}
    assert counted["exuvia_ledger_verify_failures_total"] == 1
    await second.end()


async def test_a_loss_that_only_the_former_leader_knew_is_found_at_the_next_start_until_it_is_accepted(
    server: LeaseServer, tmp_path: Path
) -> None:
    """Its last entry was noted nowhere when a backup took the place of the ledger."""
    path, backup = tmp_path / "ledger.db", tmp_path / "backup.db"
    await written(path, "a")
    shutil.copy(path, backup)
    first, second, third = (Replicated(server, f"r{number}", path) for number in range(3))
    await first.lead()
    await first.becomes(LedgerState.FINE)
    born = facts.birth(instance={"uid": "b", "kind": "Node", "name": "b", "pool": "", "zone": ""}, at=NOW)
    entry = await first.ledger.append(born)
    for one in tmp_path.glob("ledger.db*"):
        one.unlink()
    shutil.copy(backup, path)
    await first.becomes(LedgerState.NOT_TRUSTED)
    name = f"{entry.seq}:{entry.hash}"
    await first.notes(name)
    await first.end()
    outside = await first.outside()
    assert outside == [Noted(seq=entry.seq, hash=entry.hash, cluster="")], "it can be accepted while nobody leads"
    await second.lead()
    await second.becomes(LedgerState.NOT_TRUSTED)
    assert "which the note of the last leader in the Lease exuvia-leader names" in second.ledger.health().message
    await second.notes(name)
    assert not second.history.compared
    accept(path, by="alice", reason="the backup of today", at=NOW, noted=await second.outside())
    await second.notes("")
    await second.becomes(LedgerState.FINE)
    await second.end()
    await third.lead()
    await third.notes("")
    assert third.ledger.health().state is LedgerState.FINE
    await third.end()


def inherited(annotations: dict[str, str], **settings: str) -> tuple[Inherited, Any]:
    """Of a leader that has the epoch 4."""
    cluster = stage.Objects()
    cluster.kept[marks.LEASE] = {"metadata": {"name": marks.LEASE, "annotations": annotations}}
    leadership = SimpleNamespace(epoch=4, notes={})
    services = stage.services(cluster=cluster, leadership=leadership, settings=stage.Settings(**settings))
    return Inherited(services), services


async def test_the_note_stands_until_it_was_looked_for() -> None:
    name = f"2:{'ab' * 32}"
    asked, services = inherited({losses.KEY: name, losses.OF: "3 "})
    notes = services.leadership.notes
    asked.tell(FINE, leaving=False)
    assert notes == {}, "it is not known yet what stands there"
    services.cluster.trouble = errors.Unreachable("no route")
    with pytest.raises(errors.ClusterError):
        await asked.read()
    services.cluster.trouble = None
    (named,) = await asked.read()
    asked.tell(FINE, leaving=False)
    assert notes == {losses.KEY: name, losses.OF: "4 "}, "the ledger was not asked yet"
    asked.looked_for([named.name])
    asked.tell(FINE, leaving=False)
    assert notes[losses.KEY] == ""
    asked.tell(LedgerHealth(state=LedgerState.NOT_TRUSTED, missing=(name,)), leaving=False)
    assert notes[losses.KEY] == name
    asked.tell(LedgerHealth(state=LedgerState.NOT_TRUSTED, missing=(name,)), leaving=True)
    assert notes[losses.KEY] == "", "a ledger of a later installation misses nothing"


async def test_what_a_leader_missed_in_another_chain_is_not_missing_in_this_one() -> None:
    note = {losses.KEY: f"2:{'ab' * 32}", losses.OF: "3 paris"}
    for cluster, missed in (("paris", 1), ("berlin", 0)):
        asked, _ = inherited(note, cluster_name=cluster)
        assert len(await asked.read()) == missed
    asked, _ = inherited({losses.KEY: note[losses.KEY]}, cluster_name="berlin")
    assert len(await asked.read()) == 1, "a former version did not say which chain it was"


async def test_a_note_that_says_nothing_is_unknown_and_not_absent(server: LeaseServer, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    await written(path, "a")
    server.lease = {
        "metadata": {"name": marks.LEASE, "resourceVersion": "1", "annotations": {losses.KEY: "x"}},
        "spec": {"holderIdentity": ""},
    }
    only = Replicated(server, "r0", path)
    await only.lead()
    async with asyncio.timeout(10):
        while not only.services.past_trouble:
            await asyncio.sleep(0.02)
    assert "what is no entry: x" in only.services.past_trouble and not only.history.compared
    del server.lease["metadata"]["annotations"]
    await only.notes("")
    assert only.history.compared or not only.services.past_trouble
    await only.end()
