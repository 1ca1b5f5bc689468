"""Freezes and gaps become facts at their edges: once each, also after a restart, and none for what is soon over."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from exuvia.app.lasting import GAPS_SECONDS, LEASES_SECONDS, Lasting, frozen_since
from exuvia.app.settings import Settings
from exuvia.model import facts
from exuvia.model.facts import Fact, FactKind
from exuvia.model.instances import Condition, Instance
from exuvia.model.specs.quarantine import Quarantine
from exuvia.record import standing
from exuvia.record.reading import reading
from tests.app import stage
from tests.app.stage import NOW
from tests.evaluate.world import node
from tests.record import world

BORN = NOW - timedelta(hours=1)
MARKED = "2026-11-25T11:30:00.250000Z"


class Leases:
    """As much of a client as lists Leases."""

    def __init__(self) -> None:
        self.renewed: dict[str, datetime] = {}
        self.asked = 0

    async def pages(self, resource: Any, **_: Any) -> Any:
        self.asked += 1
        yield [
            {"metadata": {"name": name}, "spec": {"renewTime": at.isoformat(), "leaseDurationSeconds": 40}}
            for name, at in self.renewed.items()
        ]


class Stage:
    """The loop over a view filled by hand; what it told so far is in its ledger."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger.db"
        self.told: list[Fact] = [
            facts.birth(instance={"uid": "uid-w", "kind": "Node", "name": "w", "pool": "p"}, at=BORN)
        ]
        self.leases = Leases()
        self.services = stage.services(
            client=self.leases,
            settings=Settings(cluster_name="c"),
            past_known=True,
            scribe=SimpleNamespace(note=lambda *some: self.told.extend(some), flush=self.flush),
            ledger=SimpleNamespace(place=self.path),
            chronicle=SimpleNamespace(ready_once={"uid-w"}, loaded=True, loads=1),
        )
        self.lasting = Lasting(self.services)
        self.written = 0

    async def flush(self) -> bool:
        with world.written(self.path, *self.told[self.written :]):
            self.written = len(self.told)
        return True

    def restart(self) -> None:
        self.lasting = Lasting(self.services)

    def see(self, machine: Instance) -> None:
        self.version = getattr(self, "version", 0) + 1
        self.services.view.nodes.store.put(machine, str(self.version))

    async def look(self, *, after: float = GAPS_SECONDS) -> list[dict[str, Any]]:
        """What it tells so much later."""
        self.services.clock.seconds += after
        before = len(self.told)
        await self.lasting.look()
        return [dict(one.body) for one in self.told[before:]]


def ready(status: str, since: datetime) -> Instance:
    return replace(node("w", born=BORN), conditions=(Condition(type="Ready", status=status, since=since),))


def quarantine(state: str = "Isolated", phase: str = "Held", **status: Any) -> Quarantine:
    meta = {"name": "w-1", "uid": "q1", "creationTimestamp": "2026-11-25T11:00:00Z"}
    spec = {"instance": {"kind": "Node", "name": "w", "uid": "uid-w"}}
    steps = [{"name": "Isolating", "startedAt": "2026-11-25T11:29:59Z", "finishedAt": MARKED}]
    said = {"phase": phase, "steps": steps, "isolation": {"state": state}, **status}
    return Quarantine.parse({"metadata": meta, "spec": spec, "status": said})


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_freeze_is_told_at_both_ends_and_once_whoever_leads(tmp_path: Path, restarted: bool) -> None:
    at_work = Stage(tmp_path)
    at_work.see(ready("True", BORN))
    store = at_work.services.view.quarantines.store
    store.put(quarantine(), "1")
    begun = {"uid": "uid-w", "from": MARKED, "to": None}
    assert await at_work.look() == [begun]
    if restarted:
        at_work.restart()
    assert await at_work.look() == []
    store.put(quarantine(phase="Released", finishedAt="2026-11-25T11:50:00Z"), "2")
    assert await at_work.look() == [begun | {"to": "2026-11-25T11:50:00.000000Z"}]
    at_work.restart()
    assert await at_work.look() == []


async def test_a_freeze_ends_with_its_machine_or_when_nobody_knows_its_quarantine_any_more(tmp_path: Path) -> None:
    for lost in ("machine", "quarantine"):
        at_work = Stage(tmp_path / lost)
        at_work.path.parent.mkdir()
        at_work.see(ready("True", BORN))
        at_work.services.view.quarantines.store.put(quarantine(), "1")
        await at_work.look()
        if lost == "machine":
            at_work.services.view.nodes.store.drop("uid-w")
        else:
            at_work.services.view.quarantines.store.drop("q1")
        (ended,) = await at_work.look()
        assert ended["to"] == facts.text(at_work.services.clock.now())


@pytest.mark.parametrize("state", ["Partial", "Unsupported"])
def test_a_machine_that_is_not_cut_off_whole_counts_as_exposed(state: str) -> None:
    assert frozen_since(quarantine(state)) is None


async def test_a_freeze_goes_on_while_its_quarantine_does_though_somebody_opens_it(tmp_path: Path) -> None:
    at_work = Stage(tmp_path)
    at_work.see(ready("True", BORN))
    former = quarantine(phase="Released", finishedAt="2026-11-25T11:10:00Z", isolation={"state": "Partial"})
    object.__setattr__(former.metadata, "uid", "q0")
    store = at_work.services.view.quarantines.store
    store.put(former, "1")
    store.put(quarantine(), "2")
    assert len(await at_work.look()) == 1
    store.put(quarantine("Partial"), "3")
    assert await at_work.look() == []
    store.drop("q1")
    (ended,) = await at_work.look()
    assert ended["to"] == facts.text(at_work.services.clock.now())


async def test_a_freeze_that_came_and_went_without_a_ledger_is_told_whole_and_once(tmp_path: Path) -> None:
    at_work = Stage(tmp_path)
    at_work.see(ready("True", BORN))
    at_work.services.view.quarantines.store.put(quarantine(phase="Released", finishedAt="2026-11-25T11:50:00Z"), "1")
    assert await at_work.look() == [{"uid": "uid-w", "from": MARKED, "to": "2026-11-25T11:50:00.000000Z"}]
    assert await at_work.look() == []
    at_work.restart()
    assert await at_work.look() == []


async def test_a_gap_is_told_once_it_has_lasted_and_when_it_ends_also_by_the_next_leader(tmp_path: Path) -> None:
    at_work = Stage(tmp_path)
    since = NOW - timedelta(seconds=20)
    at_work.see(ready("Unknown", since))
    assert await at_work.look() == []  # it may be over soon
    begun = {"uid": "uid-w", "what": "NotReady", "from": facts.text(since), "to": None}
    assert await at_work.look() == [begun]
    assert await at_work.look() == []
    at_work.restart()
    assert await at_work.look() == []
    back = at_work.services.clock.now()
    at_work.see(ready("True", back))
    assert await at_work.look() == [begun | {"to": facts.text(back)}]
    at_work.restart()
    assert await at_work.look() == []


async def test_a_machine_that_was_never_ready_has_no_gap_and_a_death_ends_one_without_a_word(tmp_path: Path) -> None:
    at_work = Stage(tmp_path)
    at_work.see(ready("False", BORN))
    at_work.services.chronicle.ready_once.clear()
    assert await at_work.look() == []
    at_work.services.chronicle.ready_once.add("uid-w")
    assert len(await at_work.look()) == 1
    at_work.services.view.nodes.store.drop("uid-w")
    assert await at_work.look() == []


async def test_leases_are_listed_only_while_a_machine_is_not_ready_and_their_gaps_told(tmp_path: Path) -> None:
    at_work = Stage(tmp_path)
    at_work.see(ready("True", BORN))
    at_work.leases.renewed["w"] = renewed = NOW - timedelta(minutes=2)
    assert await at_work.look() == []
    assert at_work.leases.asked == 0
    at_work.see(ready("Unknown", NOW - timedelta(minutes=1)))
    found = await at_work.look()
    begun = {"uid": "uid-w", "what": "Lease", "from": facts.text(renewed), "to": None}
    assert begun in found and len(found) == 2
    assert await at_work.look() == []
    assert at_work.leases.asked == 1
    at_work.leases.renewed["w"] = again = at_work.services.clock.now()
    at_work.see(ready("True", again))
    ended = await at_work.look(after=LEASES_SECONDS)
    assert begun | {"to": facts.text(again)} in ended and len(ended) == 2


async def test_the_lease_of_a_former_machine_of_that_name_says_nothing(tmp_path: Path) -> None:
    at_work = Stage(tmp_path)
    at_work.see(ready("Unknown", NOW - timedelta(minutes=1)))
    at_work.leases.renewed["w"] = BORN - timedelta(minutes=1)
    assert [one["what"] for one in await at_work.look()] == ["NotReady"]


async def test_what_stands_open_is_read_from_the_ledger(tmp_path: Path) -> None:
    at_work = Stage(tmp_path)
    at_work.see(ready("Unknown", NOW - timedelta(minutes=1)))
    at_work.services.view.quarantines.store.put(quarantine(), "1")
    await at_work.look()
    await at_work.flush()
    with reading(at_work.path) as connection:
        assert set(standing.freezes(connection, "c")) == {"uid-w"}
        assert {key[1] for key in standing.gaps(connection, "c")} == {facts.GapKind.NOT_READY}
    assert {one.kind for one in at_work.told} == {FactKind.BIRTH, FactKind.FROZEN, FactKind.GAP}
