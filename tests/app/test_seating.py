"""Looking at licence pools: what is entered before it is told, what trouble leaves as it was, whose agent is whose."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from exuvia import errors
from exuvia.app import pool_views, seat_ledger
from exuvia.app.seating import Seating
from exuvia.app.settings import Settings
from exuvia.decide.seats import advance, entries, recall
from exuvia.decide.seats.owing import Owing
from exuvia.model import facts
from exuvia.model.facts import Fact, microseconds
from exuvia.model.instances import Instance
from exuvia.model.pods import Owner, Pod
from exuvia.model.reasons import EventReason
from exuvia.model.seats import Claim, Claimant, SeatChange, Seats, Terms
from exuvia.model.specs.license_pool import HighWaterStatus, LicensePool, SeatCounts
from exuvia.observe import ours, pods
from exuvia.record.seat_spans import Spans
from tests.app import stage
from tests.app.stage import NOW
from tests.record.world import birth, death, written

MINUTE = timedelta(minutes=1)
HOOK = {"reclaim": {"type": "Webhook", "webhook": {"url": "https://vendor.example.org/seats"}}}


class Remembering:
    """As much of a ledger as seats need. `trouble` refuses all."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.trouble: errors.LedgerError | None = None

    async def append(self, *facts: Fact) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.facts += facts

    def changes(self) -> list[SeatChange]:
        return [entries.read(one.body, microseconds(one.at)) for one in self.facts]


class Patching:
    """As much of an API server as takes statuses."""

    def __init__(self) -> None:
        self.status: dict[str, Any] = {}
        self.writes = 0

    async def merge_patch(self, _: Any, name: str, body: Any, *, subresource: str) -> Any:
        assert subresource == "status" and body["metadata"]["resourceVersion"]
        self.writes += 1
        self.status |= body["status"]
        meta = {"name": name, "uid": "pool-uid", "resourceVersion": str(self.writes + 1), "generation": 1}
        return {"metadata": meta, "spec": pool().spec.wire(), "status": self.status}


def pool(**spec: Any) -> LicensePool:
    meta = {"name": "antivirus", "uid": "pool-uid", "resourceVersion": "1", "generation": 1}
    return LicensePool.parse({"metadata": meta, "spec": {"seats": 1, "target": {"selector": {}}, **spec}})


def machine(uid: str, minute: float = 0) -> Instance:
    return Instance(name=f"n-{uid}", uid=uid, born=NOW - 60 * MINUTE + minute * MINUTE)


def agent(node: str, *, minute: float = 0, ready: bool = True, owner: str = "antivirus", uid: str = "p") -> Pod:
    at = NOW - 60 * MINUTE + minute * MINUTE
    made_by = Owner(api_version="apps/v1", kind="DaemonSet", name=owner, uid="ds")
    return Pod(
        namespace="security", name=f"{owner}-{uid}", uid=uid, node=node, created=at, owner=made_by,
        ready=ready, ready_changed=at, containers_started=at, labels={"app": owner},
    )  # fmt: skip


class World:
    """One pool, some machines, a ledger."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *machines: Instance, **spec: Any) -> None:
        self.ledger, self.cluster, self.said = Remembering(), Patching(), list[Any]()
        self.observed: list[tuple[str, float, tuple[str, ...]]] = []
        self.tallied: dict[str, float] = {}
        self.down = False
        self.names: dict[str, str] = {}
        self.services = stage.services(
            ledger=self.ledger,
            cluster=self.cluster,
            events=SimpleNamespace(say=self.said.append),
            tallies=SimpleNamespace(add=self._add, raise_to=self._raise_to),
            durations=SimpleNamespace(observe=lambda name, value, *labels: self.observed.append((name, value, labels))),
            ledger_down=lambda: self.down,
        )
        monkeypatch.setattr(seat_ledger, "remembered", lambda _, uid, at: self.remembered(at))
        self.view = self.services.view
        stage.fleet(self.services, *machines)
        self.trust()
        self.pool = pool(**spec)
        self.begin()

    def begin(self) -> None:
        """A new term: nothing is left but the ledger."""
        self.seating = Seating(self.services)

    def trust(self) -> None:
        for one in (self.view.nodes, self.view.quarantines, self.view.pods):
            one.synced, one.last_heard = True, self.services.clock.now()

    async def look(self, seconds: float = 1) -> None:
        self.services.clock.seconds += seconds
        self.trust()
        await self.seating.look((self.pool,))

    def _add(self, name: str, *labels: str, by: float = 1) -> None:
        self.tallied[name] = self.tallied.get(name, 0) + by

    def _raise_to(self, name: str, labels: tuple[str, ...], value: float) -> None:
        self.tallied[name] = max(value, self.tallied.get(name, 0))

    def remembered(self, at: int) -> seat_ledger.Remembered:
        owed, spans = Owing(), Spans()
        for fact in self.ledger.facts:
            spans.note(microseconds(fact.at), fact.body)
        seats = recall(owed.through(self.ledger.changes()), at=at)
        spent = spans.spent("pool-uid", until=at)
        return seat_ledger.Remembered(seats=seats, owed=tuple(owed.left.values()), spent=spent, names=self.names)

    def events(self) -> list[tuple[EventReason, str, str]]:
        found = [(one.reason, one.regarding.kind, one.regarding.name) for one in self.said]
        self.said.clear()
        return found

    def told(self) -> list[tuple[str, str]]:
        return [(one.body["event"], one.body["instance"]) for one in self.ledger.facts]


async def test_a_grant_is_entered_told_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, machine("a"), machine("b", 1))
    await world.look()
    assert world.told() == [("granted", "a"), ("queued", "b")]
    assert world.events() == [
        (EventReason.SEAT_GRANTED, "Node", "n-a"),
        (EventReason.LICENSE_POOL_EXHAUSTED, "LicensePool", "antivirus"),
    ]
    assert world.cluster.status["seats"]["used"] == 1
    said = {one["type"]: one["status"] for one in world.cluster.status["conditions"]}
    assert said == {"Ready": "True", "Exhausted": "True", "Stalled": "False"}
    gauges = {(one.name, one.labels): one.value for one in world.seating.samples()}
    assert gauges[("exuvia_license_seats", ("antivirus", "queued"))] == 1
    assert gauges[("exuvia_license_seats", ("antivirus", "demanded"))] == 2
    assert gauges[("exuvia_license_high_water_seats", ("antivirus", "month"))] == 1
    assert gauges[("exuvia_license_high_water_demanded_seats", ("antivirus", "month"))] == 2


async def test_a_look_at_an_unchanged_world_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, machine("a"), machine("b", 1))
    await world.look()
    facts, writes = len(world.ledger.facts), world.cluster.writes
    world.pool = world.pool.model_copy(update={"status": LicensePool.parse(
        {"metadata": {"name": "x"}, "spec": pool().spec.wire(), "status": world.cluster.status}).status})  # fmt: skip
    world.events()
    await world.look()
    world.begin()
    await world.look()
    assert (len(world.ledger.facts), world.cluster.writes, world.events()) == (facts, writes, [])


async def test_a_death_that_was_seen_and_one_that_was_not(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, machine("a"), machine("b", 1), seats=2)
    await world.look()
    world.view.nodes.store.drop("a")
    await world.look()
    world.begin()
    world.view.nodes.store.drop("b")
    await world.look()
    causes = [
        (one.body["instance"], one.body["cause"]) for one in world.ledger.facts if one.body["event"] == "returned"
    ]
    assert causes == [("a", "death"), ("b", "reconcile")]
    assert [one[0:1] + one[2:] for one in world.observed] == [
        ("exuvia_license_reclaim_latency_seconds", ("death",)),
        ("exuvia_license_reclaim_latency_seconds", ("reconcile",)),
    ]
    assert world.events()[-2][0] is EventReason.SEAT_RECLAIMED


async def test_a_machine_that_died_while_nobody_looked_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name that the ledger knows of it, or else by its UID: several such machines are several Events."""
    world = World(monkeypatch, machine("a"), machine("b", 1), machine("c", 2), machine("d", 3), seats=4)
    await world.look()
    world.names = {"a": "n-a", "b": "n-b"}
    world.begin()
    for uid in "abcd":
        world.view.nodes.store.drop(uid)
    world.said.clear()
    await world.look()
    back = [one for one in world.said if one.reason is EventReason.SEAT_RECLAIMED]
    assert [(one.regarding.kind, one.regarding.name, one.regarding.uid) for one in back[:2]] == [
        ("Node", "n-a", "a"),
        ("Node", "n-b", "b"),
    ]
    assert {(one.related.kind, one.related.name, one.related.uid) for one in back[:2]} == {
        ("LicensePool", "antivirus", "pool-uid")
    }
    gone = "its seat of LicensePool antivirus came back (reconcile): the machine is gone, though nobody had said so"
    assert [one.note for one in back] == [
        gone, gone, f"the machine with the UID c: {gone}", f"the machine with the UID d: {gone}"
    ]  # fmt: skip
    assert {(one.regarding.kind, one.regarding.uid, one.related) for one in back[2:]} == {
        ("LicensePool", "pool-uid", None)
    }
    assert len({one.key() for one in back}) == 4


async def test_the_ledger_knows_the_names_of_the_dead_that_hold_seats(tmp_path: Path) -> None:
    holders = (Claimant(uid="A"), Claimant(uid="unknown"))
    done = advance(Seats(at=0), Terms(seats=2), [Claim(at=1, claimant=one) for one in holders], until=2)
    told = [facts.seat(entries.body(one, pool="antivirus", uid="pool-uid"), NOW) for one in done.told]
    settings = Settings(cluster_name="c", ledger=str(tmp_path / "ledger.db"))
    with written(tmp_path / "ledger.db", birth("A", name="n-a"), birth("B"), death("A", 5), *told):
        pass
    found = seat_ledger.remembered(settings, "pool-uid", microseconds(NOW))
    assert [one.uid for one in found.seats.leases] == ["A", "unknown"]
    assert found.names == {"A": "n-a"}


async def test_who_holds_a_seat_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, machine("a"), machine("b", 1))
    assert world.seating.holders("antivirus") is None
    await world.look()
    assert world.seating.holders("antivirus") == {"a"}
    assert world.seating.holders("another") is None


async def test_a_death_is_dated_by_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, machine("a"), grace="10s")
    with world.seating.deaths.heard():
        await world.look()
        world.view.nodes.store.drop("a")
        await world.look(7)
        assert world.told()[-1] == ("ending", "a")
        await world.look(4)
    (back,) = [one for one in world.ledger.facts if one.body["event"] == "returned"]
    assert (microseconds(back.at) - back.body["died"]) / 1e6 == 11
    assert world.observed == [("exuvia_license_reclaim_latency_seconds", 11, ("death",))]


async def test_who_listens_to_the_watch_already_goes_on_hearing(monkeypatch: pytest.MonkeyPatch) -> None:
    world, heard = World(monkeypatch), list[Any]()
    world.view.nodes.store.changed = lambda former, now: heard.append((former, now))
    with world.seating.deaths.heard():
        world.view.nodes.store.put(machine("a"), "1")
    world.view.nodes.store.put(machine("b"), "1")
    assert [now.uid for _, now in heard] == ["a", "b"]


async def test_nothing_is_granted_before_the_ledger_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, machine("a"))
    world.ledger.trouble = errors.LedgerDown("the disk is full")
    await world.look()
    assert (world.events(), world.cluster.writes, list(world.seating.samples())) == ([], 0, [])
    world.ledger.trouble = None
    world.down = True
    await world.look()
    assert world.told() == []
    world.down = False
    await world.look()
    assert world.told() == [("granted", "a")]


async def test_half_a_picture_returns_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, machine("a"))
    await world.look()
    world.view.nodes.store.drop("a")
    for spoil in ({"synced": False}, {"last_heard": NOW - 2 * MINUTE}, {"unreadable": {"a": "odd"}}):
        for name, value in spoil.items():
            monkeypatch.setattr(world.view.nodes, name, value)
        assert not pool_views.trusted(world.services)
        await world.seating.look((world.pool,))
        world.trust()
    assert world.told() == [("granted", "a")]


async def test_unmet_demand_is_counted_between_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, machine("a"), machine("b"), machine("c"))
    for _ in range(3):
        await world.look(10)
    assert world.tallied["exuvia_license_unmet_demand_seat_seconds_total"] == 40
    assert world.tallied["exuvia_license_seat_seconds_total"] == 20


async def test_the_next_leader_counts_on_from_the_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what passed while nobody led, and without counting twice what this process counted itself."""
    world = World(monkeypatch, machine("a"), machine("b"))
    await world.look(0)
    await world.look(10)
    assert world.tallied["exuvia_license_seat_seconds_total"] == 10
    for lost in (False, True):
        world.begin()
        if lost:
            world.tallied.clear()
        await world.look(5)
    assert world.tallied["exuvia_license_seat_seconds_total"] == 20
    assert world.tallied["exuvia_license_unmet_demand_seat_seconds_total"] == 20


async def test_a_pool_that_is_deleted_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, machine("a"))
    await world.look()
    await world.seating.look(())
    assert list(world.seating.samples()) == []


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        ({"target": {"kind": "VirtualMachineInstance", "selector": {}}}, "target.kind"),
        (HOOK, "reclaim.webhook.url: this operator may not call vendor.example.org."),
    ],
)
async def test_what_is_not_served_is_said_and_nothing_is_granted(
    monkeypatch: pytest.MonkeyPatch, spec: dict[str, Any], place: str
) -> None:
    world = World(monkeypatch, machine("a"), **spec)
    await world.look()
    ready = next(one for one in world.cluster.status["conditions"] if one["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "NotSupported")
    assert place in ready["message"]
    assert world.told() == []


async def test_a_pool_that_does_not_parse_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, machine("a"))
    body = {"metadata": {"name": "antivirus", "uid": "pool-uid", "resourceVersion": "1"}, "spec": {"seats": "many"}}
    unreadable = ours.from_body(LicensePool, body)
    assert isinstance(unreadable, ours.Unparsable)
    await world.seating.look((unreadable,))
    ready = next(one for one in world.cluster.status["conditions"] if one["type"] == "Ready")
    assert (ready["reason"], "seats" in ready["message"]) == ("InvalidSpec", True)


def _signs(world: World) -> Any:
    last = (SeatCounts(), HighWaterStatus())
    return pool_views.view_of(world.services, world.pool, Seats(), {}, last).agents


def test_the_agent_is_found_by_its_daemon_set_or_its_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    by_owner = {"agent": {"daemonSet": "security/antivirus"}}
    by_label = {"agent": {"pods": {"namespace": "security", "selector": {"matchLabels": {"app": "antivirus"}}}}}
    for spec in (by_owner, by_label):
        world = World(monkeypatch, machine("a"), machine("b"), **spec)
        for one in (agent("n-a", uid="1"), agent("n-b", owner="logs", uid="2")):
            world.view.pods.store.put(one, "1")
        assert set(_signs(world)) == {"a"}
        assert _signs(world)["a"].ready


def test_an_agent_of_a_former_machine_of_that_name_is_not_its(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, machine("new", 30), agent={"daemonSet": "security/antivirus"})
    world.view.pods.store.put(agent("n-new", minute=10), "1")
    assert _signs(world) == {}


def test_of_several_agents_a_ready_one_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, machine("a"), agent={"daemonSet": "security/antivirus"})
    for one in (agent("n-a", uid="1"), agent("n-a", uid="2", minute=9, ready=False)):
        world.view.pods.store.put(one, "1")
    assert _signs(world)["a"].ready


def test_agents_that_are_not_listed_yet_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, machine("a"), agent={"daemonSet": "security/antivirus"})
    world.view.pods.synced = False
    assert _signs(world) is None


def test_readiness_of_a_pod_is_read() -> None:
    body = {
        "metadata": {"name": "a", "uid": "u", "namespace": "x", "creationTimestamp": "2026-11-25T08:00:00Z"},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-25T08:01:00Z"}],
            "containerStatuses": [
                {"state": {"running": {"startedAt": "2026-11-25T08:00:10Z"}}},
                {"state": {"running": {"startedAt": "2026-11-25T08:00:40Z"}}},
                {"state": {"waiting": {"reason": "CrashLoopBackOff"}}},
            ],
        },
    }
    found = pods.from_bytes(msgspec.json.encode(body))
    assert found.ready
    assert (found.ready_changed, found.containers_started) == (
        datetime.fromisoformat("2026-11-25T08:01:00+00:00"),
        datetime.fromisoformat("2026-11-25T08:00:40+00:00"),
    )
    body["status"] = {"phase": "Pending"}
    waiting = pods.from_bytes(msgspec.json.encode(body))
    assert (waiting.ready, waiting.ready_changed, waiting.containers_started) == (False, None, None)
