"""What a leader misses in the ledger outlives it: the next one looks for it, and notes what is so now. Real electors on
one Lease, real ledgers on one file."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from exuvia import errors
from exuvia.app import checking, history, losses, uninstalling
from exuvia.app.history import History
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
from tests.app.test_uninstalling import ASKED, guard
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

    async def elected(self) -> None:
        self._tasks.append(self._replica.start())
        while not self.leadership.leads():
            await asyncio.sleep(0.01)
        self.ledger.start()

    async def lead(self) -> None:
        await self.elected()
        self.goes_on()

    def goes_on(self) -> None:
        self._tasks.append(asyncio.create_task(self.history.run()))

    async def becomes(self, state: LedgerState) -> None:
        async with asyncio.timeout(10):
            while self.ledger.health().state is not state:
                await asyncio.sleep(0.02)

    async def compares(self) -> None:
        """Until the ledger was found to hold all that is known."""
        async with asyncio.timeout(10):
            while not self.history.compared:
                await asyncio.sleep(0.02)

    async def doubts(self, why: str) -> None:
        """Until it says why its past is not known."""
        async with asyncio.timeout(10):
            while why not in self.services.past_trouble:
                await asyncio.sleep(0.02)

    async def notes(self, missing: str) -> None:
        """Until the Lease says that this one misses that."""
        wanted = {losses.KEY: missing, losses.OF: f"{self.leadership.epoch} "}
        async with asyncio.timeout(10):
            while (self._server.read() or {})["metadata"].get("annotations") != wanted:
                await asyncio.sleep(0.02)

    async def notes_nothing_new(self, missing: str) -> None:
        """What a former leader noted stands there, after a renewal of ours."""
        await asyncio.sleep(0.2)
        lease = self._server.read() or {}
        assert lease["spec"]["leaseTransitions"] == self.leadership.epoch
        noted = lease["metadata"]["annotations"]
        assert (noted[losses.KEY], noted[losses.OF]) == (missing, f"{self.leadership.epoch - 1} ")

    async def outside(self) -> list[Noted]:
        return (await losses.noted(self.cluster, "exuvia-system", marks.LEASE, lambda: NOW)).noted

    async def end(self) -> None:
        await self._replica.elector.release()
        for one in self._tasks:
            one.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.history.end()
        await asyncio.to_thread(self.ledger.close)


@pytest.fixture
async def server() -> AsyncIterator[LeaseServer]:
    made = LeaseServer()
    yield made
    await stopped([], made)


async def after_a_broken_chain(server: LeaseServer, path: Path) -> Replicated:
    """Who may lead next: a former leader saw that the chain is broken, and ended. It is sound by now."""
    await written(path, "a", "b")
    first = Replicated(server, "r0", path)
    await first.lead()
    await first.becomes(LedgerState.FINE)
    first.ledger.distrust_chain(2)
    await first.notes(f"2:{BROKEN}")
    await first.end()
    return Replicated(server, "r1", path)


async def test_a_broken_chain_that_a_former_leader_saw_is_not_accepted_where_a_good_copy_is_in_place(
    server: LeaseServer, tmp_path: Path
) -> None:
    path = tmp_path / "ledger.db"
    second = await after_a_broken_chain(server, path)
    assert await second.outside() == [], "whoever leads next finds out whether it is broken still"
    await second.lead()
    await second.notes("")
    await second.becomes(LedgerState.FINE)
    await second.compares()
    with pytest.raises(errors.Refused, match="Nothing is missing"):
        accept(path, by="alice", reason="r", at=NOW, noted=await second.outside())
    await second.end()


async def test_a_chain_that_is_broken_still_is_named_by_the_next_leader_at_its_start(
    server: LeaseServer, tmp_path: Path
) -> None:
    path = tmp_path / "ledger.db"
    second = await after_a_broken_chain(server, path)
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


class SlowCheck:
    """A chain so long that its check ends when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.may_end, self.began, self._verify = threading.Event(), 0, checking.verify
        monkeypatch.setattr(checking, "verify", self._check)

    def _check(self, place: Any, cluster: str) -> Any:
        self.began += 1
        assert self.may_end.wait(20)
        return self._verify(place, cluster)


async def test_a_term_does_not_wait_for_the_check_of_a_whole_chain_and_begins_nothing_before_its_end(
    server: LeaseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second, check = await after_a_broken_chain(server, tmp_path / "ledger.db"), SlowCheck(monkeypatch)
    try:
        await second.elected()
        beginning = asyncio.create_task(second.history.first())
        await second.doubts("its chain is being checked, for the last leader saw it broken")
        assert not beginning.done()
        second.services.clock.seconds = history.PATIENCE.total_seconds()
        await asyncio.wait_for(beginning, 2)
        second.goes_on()
        await asyncio.sleep(3 * history.LOOK_SECONDS)
        assert not (second.history.compared or second.services.past_known)
        await second.notes_nothing_new(f"2:{BROKEN}")
    finally:
        check.may_end.set()
    await second.compares()
    await second.notes("")
    assert (check.began, second.services.past_known) == (1, True)
    await second.end()


async def test_the_check_of_a_whole_chain_ends_with_the_term(
    server: LeaseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second, check = await after_a_broken_chain(server, tmp_path / "ledger.db"), SlowCheck(monkeypatch)
    try:
        await second.lead()
        await second.doubts("its chain is being checked")
        await asyncio.wait_for(second.end(), 5)
        assert "check" not in {getattr(one.get_coro(), "__name__", "") for one in asyncio.all_tasks()}
    finally:
        check.may_end.set()


async def test_a_check_that_could_not_be_made_is_made_again(
    server: LeaseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second, check = await after_a_broken_chain(server, tmp_path / "ledger.db"), SlowCheck(monkeypatch)
    check.may_end.set()
    trouble = [errors.LedgerDown("the disk does not answer")]
    real = checking.check

    async def troubled(services: Any) -> None:
        if trouble:
            raise trouble.pop()
        await real(services)

    monkeypatch.setattr(checking, "check", troubled)
    await second.lead()
    await second.doubts("the disk does not answer")
    await second.compares()
    assert check.began == 1
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


async def test_an_uninstall_that_is_taken_back_forgets_no_loss(server: LeaseServer, tmp_path: Path) -> None:
    """Only where it came to its end, and the ConfigMap went too, the note goes."""
    path, name = tmp_path / "ledger.db", f"9:{'ab' * 32}"
    await written(path, "a")
    first, second = Replicated(server, "r0", path), Replicated(server, "r1", path)
    await first.lead()
    await first.compares()
    first.ledger.distrust(9, "ab" * 32)
    await first.notes(name)
    for meta in ({"spec": ASKED}, {"deletionTimestamp": "2026-11-25T11:30:00Z"}):
        first.services.view.guards.store.put(guard(**meta), "1")
        assert uninstalling.leaving(stage.fleet(first.services))
        await asyncio.sleep(2 * history.LOOK_SECONDS)
        await first.notes(name)
    await first.end()
    await second.lead()
    await second.becomes(LedgerState.NOT_TRUSTED)
    await second.notes(name)
    ended = {"conditions": [{"type": "Uninstalled", "status": "True", "reason": "NothingLeft"}]}
    second.services.view.guards.store.put(guard(spec=ASKED, status=ended), "1")
    await second.notes("")
    await second.end()


async def test_a_note_that_says_nothing_is_unknown_and_not_absent(server: LeaseServer, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    await written(path, "a")
    server.lease = {
        "metadata": {"name": marks.LEASE, "resourceVersion": "1", "annotations": {losses.KEY: "x"}},
        "spec": {"holderIdentity": ""},
    }
    only = Replicated(server, "r0", path)
    await only.lead()
    await only.doubts("what is no entry: x")
    assert not only.history.compared
    del server.lease["metadata"]["annotations"]
    await only.notes("")
    await only.compares()
    await only.end()
