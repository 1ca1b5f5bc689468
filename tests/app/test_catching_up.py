"""What happened between two leaders is told by the next one, once; the Lease says since when."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from exuvia import errors
from exuvia.app import catching_up, sightings
from exuvia.app.catching_up import Meanwhile
from exuvia.app.chronicle import Chronicle
from exuvia.app.history import History
from exuvia.app.leader import Leadership
from exuvia.app.scribe import Scribe
from exuvia.app.services import Services
from exuvia.app.settings import Settings
from exuvia.app.sightings import Sight, Sighting
from exuvia.model import facts, marks
from exuvia.model.facts import Fact, FactKind, LedgerState
from exuvia.model.instances import Instance
from exuvia.record import appending, tables, versions
from exuvia.record.ledger import Ledger
from exuvia.record.reading import reading
from exuvia.record.recall import Life
from exuvia.report.metrics import Tallies
from tests import virtual
from tests.app import stage
from tests.app.stage import NOW, HandClock
from tests.app.test_leader import LeaseServer, Replica, stopped
from tests.evaluate.world import node
from tests.record import world

EDGES = (FactKind.BIRTH, FactKind.DEATH)
SEEN = NOW - timedelta(minutes=1)


def machine(uid: str, born: float, name: str = "w") -> Instance:
    return replace(node(name, born=NOW - timedelta(seconds=born)), uid=uid, pool="p")


def told(
    *sights: Sight, alive: tuple[str, ...] = (), known: tuple[str, ...] = (), living: tuple[Instance, ...] = ()
) -> Any:
    """(facts, counters) of a leader that takes over. `alive`: who lives by the ledger; `living`: by the cluster."""
    noted: list[Fact] = []
    services = stage.services(tallies=Tallies())
    services.chronicle = Chronicle(lambda *some: noted.extend(some), services.clock.now)
    for one in living:
        services.view.nodes.store.put(one, "1")
    born = NOW - timedelta(hours=1)
    lives = {uid: Life(kind="Node", pool="p", born=born) for uid in alive}
    services.chronicle.load(lives, {}, (), {uid: {"name": {"w"}} for uid in alive}, (*known, *alive))
    meanwhile = Meanwhile(last=Sighting(at=SEEN, version="100"), sights=list(sights))
    catching_up.tell(services, meanwhile, (*known, *alive), {})
    for one in sights:  # the watch tells of them as well, later
        if one.gone:
            services.chronicle.gone(one.instance, facts.DeathReason.UNKNOWN, "")
    lines = [(one.kind, one.body["uid"], one.at, one.body.get("notBefore")) for one in noted if one.kind in EDGES]
    return lines, {(one.name, one.value) for one in services.tallies.samples()}


def born(one: Instance) -> Sight:
    return Sight(instance=one, gone=False, since=one.born)


def gone(one: Instance, since: float = 60) -> Sight:
    return Sight(instance=one, gone=True, since=NOW - timedelta(seconds=since))


def test_a_life_that_nobody_saw_is_told_whole_and_counted_and_who_followed_it_ends_it() -> None:
    first, heir = machine("a", 40), machine("b", 20)
    lines, counters = told(born(first), gone(first, 40), born(heir), living=(heir,))
    assert lines == [
        (FactKind.BIRTH, "a", first.born, None),
        (FactKind.DEATH, "a", heir.born, facts.microseconds(first.born)),
        (FactKind.BIRTH, "b", heir.born, None),
    ]
    assert counters == {("exuvia_instance_births_total", 2.0), ("exuvia_instance_deaths_total", 1.0)}


def test_what_the_last_leader_told_after_its_note_is_not_told_again() -> None:
    first, second = machine("a", 40), machine("b", 20)
    lines, counters = told(born(first), gone(first, 40), born(second), alive=("b",), known=("a",), living=(second,))
    assert (lines, counters) == ([], set())


def test_a_death_that_was_seen_or_found_missing_lies_between_the_note_and_now() -> None:
    seen, missing = machine("a", 3600), machine("c", 3600, name="x")
    lines, counters = told(gone(seen), alive=("a", missing.uid))
    assert lines == [(FactKind.DEATH, uid, NOW, facts.microseconds(SEEN)) for uid in ("a", "c")]
    assert counters == {("exuvia_instance_deaths_total", 2.0)}


def test_who_went_before_the_past_was_known_may_have_gone_earlier_and_before_the_next_of_its_name() -> None:
    noted: list[Fact] = []
    services = stage.services(tallies=Tallies())
    services.chronicle = Chronicle(lambda *some: noted.extend(some), services.clock.now)
    lives = [replace(machine(uid, age), resource_version=str(rv)) for uid, age, rv in LIVES]
    for one in lives:
        services.view.nodes.store.put(one, one.resource_version)
    for one in lives[:2]:
        services.view.nodes.store.drop(one.uid)
    services.chronicle.load({}, {}, (), {})
    catching_up.tell(services, Meanwhile(last=Sighting(at=SEEN, version="100")), (), {})
    deaths = [(one.body["uid"], one.at, one.body["notBefore"]) for one in noted if one.kind is FactKind.DEATH]
    first, second, third = (one.born for one in lives)
    assert deaths == [("a", second, facts.microseconds(first)), ("b", third, facts.microseconds(second))]


LIVES = (("a", 40, 110), ("b", 20, 120), ("c", 5, 130))


def test_the_lease_keeps_the_note_of_its_last_holder_and_gets_one_with_each_renewal() -> None:
    async def story() -> None:
        server = LeaseServer()
        first = Replica(server, "r0")
        task = first.start()
        await asyncio.sleep(5)
        first.leadership.notes["k"] = "1"
        await asyncio.sleep(5)
        assert server.lease is not None and server.lease["metadata"]["annotations"] == {"k": "1"}
        first.leadership.notes["k"] = "2"
        await first.elector.release()
        assert server.lease["metadata"]["annotations"] == {"k": "2"}
        await stopped([task], server)
        task = Replica(server, "r1").start()
        await asyncio.sleep(20)
        assert server.lease["metadata"]["annotations"] == {"k": "2"}, "until somebody knows better"
        await stopped([task], server)

    virtual.run(story())


def test_notes_end_with_leading() -> None:
    clock = HandClock()
    leadership = Leadership(clock)
    leadership.extend(10.0, 1)
    leadership.notes["k"] = "1"
    clock.seconds = 5
    leadership.extend(15.0, 1)
    assert leadership.notes == {"k": "1"}
    clock.seconds = 20
    leadership.extend(30.0, 2)
    assert leadership.notes == {}


async def test_what_nobody_noted_is_not_asked_for() -> None:
    services = stage.services(cluster=stage.Objects(), client=SimpleNamespace())
    services.view.nodes.store.put(machine("a", 10), "1")
    services.view.nodes.store.drop("a")
    found = await catching_up.ask(services)
    assert (found.last, found.sights, found.machines) == (None, [], frozenset({"a"}))


@pytest.mark.parametrize(
    ("known_by", "bound"), [("0", True), (None, False), ("accepted", False), (f"2:{'cd' * 32}", True)]
)
def test_a_note_of_a_ledger_that_was_lost_counts_no_longer_than_the_rest_proves(
    tmp_path: Path, known_by: str | None, bound: bool
) -> None:
    """The last leader noted it with the acceptance that it knew; one of a former version did not, then clocks count."""
    path, began = tmp_path / "l.db", NOW - timedelta(hours=1)
    birth = facts.birth(instance={"uid": "a", "kind": "Node", "name": "w", "pool": "p", "zone": "z"}, at=began)
    lost = facts.accepted(by="alice", reason="r", at=NOW, missing=[f"9:{'ab' * 32}"])
    writer, head = appending.Writer(cluster="c", epoch=1), appending.Head()
    with world.written(path) as connection:
        for fact, at in ((birth, began), (lost, began + timedelta(minutes=1))):
            made = appending.add(connection, head, fact, writer, recorded=facts.microseconds(at))
            assert made is not None
            head = made
    accepted = f"{head.seq}:{head.hash.hex()}"
    note = Sighting(at=SEEN, version="100", known_by=accepted if known_by == "accepted" else known_by)
    found = catching_up.bounded(path, "c", note)
    assert found.at == (began - sightings.DELAY if bound else SEEN)
    assert found.version == "100", "the API server is asked as before"
    early = replace(note, at=began + timedelta(seconds=30), known_by=None)
    assert catching_up.bounded(path, "c", early).at == began - sightings.DELAY


class Watch:
    """An API server that remembers what happened to Nodes since the note."""

    def __init__(self, *lines: tuple[str, Instance]) -> None:
        self._lines = lines
        self.asked = 0

    async def watch_lines(self, kind: Any, *, version: str, seconds: int) -> AsyncGenerator[bytes]:
        self.asked += 1
        for number, (event, one) in enumerate(self._lines):
            stamp = one.born.strftime("%Y-%m-%dT%H:%M:%SZ")
            meta = {"name": one.name, "uid": one.uid, "creationTimestamp": stamp, "resourceVersion": str(101 + number)}
            yield json.dumps({"type": event, "object": {"metadata": meta, "spec": {}, "status": {}}}).encode()


class Noted(stage.Objects):
    """A cluster whose Lease says until when the last leader saw machines; it may refuse to be read some times."""

    def __init__(self, refusals: int = 0) -> None:
        super().__init__()
        self._refusals = refusals
        note = {sightings.KEY: f"{facts.text(SEEN)} 100 0"}
        self.kept[marks.LEASE] = {"metadata": {"name": marks.LEASE, "annotations": note}}

    async def get(self, resource: Any, name: str, *, namespace: str = "") -> Any:
        if name == marks.LEASE and self._refusals:
            self._refusals -= 1
            raise errors.Unreachable("a reset connection")
        return await super().get(resource, name, namespace=namespace)


async def heir(path: Path, client: Watch, cluster: Noted) -> tuple[Any, History]:
    """A new leader on that ledger."""
    ledger = Ledger(path, epoch=lambda: 3)
    ledger.start()
    while ledger.health().state is not LedgerState.FINE:
        await asyncio.sleep(0.01)
    scribe, clock = Scribe(ledger), Clock()
    services = stage.services(
        clock=clock,
        settings=Settings(ledger=str(path)),
        ledger=ledger,
        scribe=scribe,
        chronicle=Chronicle(scribe.note, clock.now),
        leadership=SimpleNamespace(epoch=3, notes={}),
        tallies=Tallies(),
        past_known=False,
        cluster=cluster,
        client=client,
    )
    for one in services.view.reflectors:
        one.synced = True
    return services, History(services, stage.fleet(services))


class Clock(HandClock):
    """Says NOW, and counts on."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


@pytest.mark.parametrize("of", ["ledger", "lease", "ledger-and-lease"])
async def test_a_read_that_fails_once_is_tried_again_and_who_lived_between_two_leaders_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    path, brief = tmp_path / "ledger.db", machine("brief", 40)
    client = Watch(("ADDED", brief), ("DELETED", brief))
    services, history = await heir(path, client, Noted(refusals=2 if "lease" in of else 0))
    cuts = ["the connection was cut"] if "ledger" in of else []
    bounded = catching_up.bounded

    def cut(*asked: Any) -> Sighting:
        if cuts:
            raise errors.LedgerDown(cuts.pop())
        return bounded(*asked)

    monkeypatch.setattr(catching_up, "bounded", cut)
    writer = asyncio.create_task(services.scribe.run())
    await history.first()
    assert history.compared and services.past_known and client.asked == 1 and not cuts
    assert await services.scribe.flush()
    writer.cancel()
    await asyncio.to_thread(services.ledger.close)
    with reading(path) as connection:
        (row,) = connection.execute(select(tables.lives).where(versions.holds(tables.lives)))
    assert (row.uid, row.born) == ("brief", facts.microseconds(brief.born))
    assert row.died is not None


async def test_a_ledger_that_cannot_be_read_for_long_holds_no_term_and_counts_as_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """So Rotations are restored and Quarantines go on, as with any other ledger that is down."""
    services, history = await heir(tmp_path / "ledger.db", Watch(), Noted())

    def down(*asked: Any) -> Sighting:
        raise errors.LedgerDown("nobody answers")

    monkeypatch.setattr(catching_up, "bounded", down)
    monkeypatch.setattr("exuvia.app.history.PATIENCE", timedelta(seconds=0.5))
    async with asyncio.timeout(10):
        await history.first()
    assert not history.loaded and services.ledger.health().state is LedgerState.FINE
    assert Services.ledger_health(services).state is LedgerState.DOWN
    said = [one.getMessage() for one in caplog.records if "cannot be read" in one.getMessage()]
    assert said == ["the ledger's history cannot be read: nobody answers"], "said once"
    await asyncio.to_thread(services.ledger.close)
