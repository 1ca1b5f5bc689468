"""The elector: one leader at most, whatever the API server does with its requests, and a greater epoch each time."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exuvia import errors
from exuvia.app.fencing import FencedCluster
from exuvia.app.leader import Elector, Leadership, Terms
from exuvia.model import resources
from tests import virtual
from tests.virtual import VirtualClock

GIVEN_UP = 4.0  # the client's time-out: shorter than the margin between renew deadline and lease


@dataclass
class Fate:
    """What happens to one request: it is carried out after `before` seconds, answered `after` seconds later."""

    before: float = 0.01
    after: float = 0.01
    lost: bool = False  # it never arrives
    trouble: Exception | None = None


@dataclass
class LeaseServer:
    """One Lease behind an API server that takes its time. What the client gave up is carried out all the same."""

    lease: dict[str, Any] | None = None
    version: int = 0
    fates: dict[str, Callable[[], Fate]] = field(default_factory=dict)
    running: set[asyncio.Task[Any]] = field(default_factory=set)

    def as_seen_by(self, who: str) -> Any:
        return _Connection(self, who)

    async def serve(self, who: str, what: Callable[[], Any]) -> Any:
        fate = self.fates.get(who, Fate)()
        task = asyncio.ensure_future(self._carry_out(fate, what))
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            return await asyncio.wait_for(asyncio.shield(task), GIVEN_UP)
        except TimeoutError:
            raise errors.Unreachable("no answer in time") from None

    async def _carry_out(self, fate: Fate, what: Callable[[], Any]) -> Any:
        await asyncio.sleep(fate.before)
        if fate.trouble is not None:
            raise fate.trouble
        if fate.lost:
            await asyncio.sleep(3600)
        answer = what()
        await asyncio.sleep(fate.after)
        return answer

    def read(self) -> dict[str, Any] | None:
        return copy.deepcopy(self.lease)

    def make(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.lease is not None:
            raise errors.AlreadyExists("there is one", status=409)
        self.lease = copy.deepcopy(body)
        return self._stamped()

    def patch(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.lease is None or body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise errors.Conflict("changed", status=409)
        self.lease["spec"] = {**(self.lease["spec"] or {}), **copy.deepcopy(body["spec"])}
        noted = body["metadata"].get("annotations") or {}
        self.lease["metadata"]["annotations"] = {**(self.lease["metadata"].get("annotations") or {}), **noted}
        return self._stamped()

    def _stamped(self) -> dict[str, Any]:
        assert self.lease is not None
        self.version += 1
        self.lease["metadata"]["resourceVersion"] = str(self.version)
        return copy.deepcopy(self.lease)


@dataclass
class _Connection:
    server: LeaseServer
    who: str

    async def get(self, resource: Any, name: str, *, namespace: str = "") -> Any:
        assert (resource, name, namespace) == (resources.LEASES, "exuvia-leader", "exuvia-system")
        return await self.server.serve(self.who, self.server.read)

    async def create(self, resource: Any, body: Any, *, namespace: str = "") -> Any:
        return await self.server.serve(self.who, lambda: self.server.make(body))

    async def merge_patch(self, resource: Any, name: str, body: Any, *, namespace: str = "") -> Any:
        return await self.server.serve(self.who, lambda: self.server.patch(body))


class Replica:
    """One elector, and the intervals in which it led."""

    def __init__(
        self, server: LeaseServer, name: str, floor: Callable[[], Awaitable[int]] | None = None, retry: float = 2.0
    ) -> None:
        self.name = name
        self.leadership = Leadership(VirtualClock())
        seen = server.as_seen_by(name)
        self.elector = Elector(seen, terms(name, retry), VirtualClock(), self.leadership, floor or none)

    def start(self) -> asyncio.Task[None]:
        return asyncio.create_task(self.elector.run())


def terms(name: str, retry: float) -> Terms:
    return Terms(namespace="exuvia-system", name="exuvia-leader", identity=name, retry=timedelta(seconds=retry))


async def none() -> int:
    return 0


async def stopped(tasks: list[asyncio.Task[None]], server: LeaseServer) -> None:
    everything = [*tasks, *server.running]
    for one in everything:
        one.cancel()
    await asyncio.gather(*everything, return_exceptions=True)


async def watched(server: LeaseServer, replicas: list[Replica], seconds: float) -> list[tuple[float, str, int]]:
    """Everybody runs that long; (moment, who, epoch) of each begin of leading. Two leaders at once fail the test."""
    tasks = [one.start() for one in replicas]
    loop, begun, former = asyncio.get_running_loop(), [], ("", 0)
    while loop.time() < seconds:
        leading = [one for one in replicas if one.leadership.leads()]
        assert len(leading) <= 1, f"at {loop.time():.2f} s {[one.name for one in leading]} lead"
        now = (leading[0].name, leading[0].leadership.epoch) if leading else ("", 0)
        if now != former and now[0]:
            begun.append((loop.time(), *now))
        former = now
        await asyncio.sleep(0.05)
    await stopped(tasks, server)
    return begun


PHASES = (
    Fate(),
    Fate(after=3.9),
    Fate(before=3.9),
    Fate(before=1.9, after=1.9),
    Fate(before=6.0),
    Fate(before=14.0),
    Fate(after=9.0),
    Fate(lost=True),
    Fate(trouble=errors.ServerTrouble("503", status=503)),
)
phases = st.lists(st.tuples(st.sampled_from([3.0, 7.0, 17.0, 31.0]), st.sampled_from(PHASES)), max_size=4)


def in_phases(plan: list[tuple[float, Fate]]) -> Callable[[], Fate]:
    """Each fate for its time, then everything goes well."""

    def now() -> Fate:
        left = asyncio.get_running_loop().time()
        for seconds, fate in plan:
            left -= seconds
            if left < 0:
                return fate
        return Fate()

    return now


@settings(max_examples=60, deadline=None)
@given(st.lists(phases, min_size=2, max_size=3))
@example([[(17.0, Fate(after=3.9)), (31.0, Fate(lost=True))], [(7.0, Fate(lost=True))]])
@example([[(7.0, Fate()), (31.0, Fate(lost=True))], []])
def test_never_two_leaders_and_epochs_grow(plans: list[list[tuple[float, Fate]]]) -> None:
    async def story() -> None:
        server = LeaseServer(fates={f"r{n}": in_phases(plan) for n, plan in enumerate(plans)})
        replicas = [Replica(server, f"r{n}", retry=0.4) for n in range(len(plans))]  # the tighter, the harder
        begun = await watched(server, replicas, sum(seconds for plan in plans for seconds, _ in plan) + 60)
        owners: dict[int, str] = {}
        for _, who, epoch in begun:
            assert owners.setdefault(epoch, who) == who, "an epoch belongs to one replica"
        assert [epoch for *_, epoch in begun] == sorted(epoch for *_, epoch in begun), "epochs never go back"
        assert begun, "once faults stop somebody leads"

    virtual.run(story())


def test_a_lone_replica_leads_at_once_and_goes_on() -> None:
    async def story() -> None:
        server = LeaseServer()
        assert await watched(server, [Replica(server, "a")], 300) == [(0.05, "a", 1)]
        assert server.lease is not None
        spec = server.lease["spec"]
        assert (spec["holderIdentity"], spec["leaseTransitions"], spec["leaseDurationSeconds"]) == ("a", 1, 15)

    virtual.run(story())


def test_a_stalled_server_ends_leadership_before_the_lease_ends() -> None:
    async def story() -> None:
        server, loop = LeaseServer(), asyncio.get_running_loop()
        replica = Replica(server, "a")
        task = replica.start()
        await asyncio.sleep(30)
        assert server.lease is not None
        renewed_at, version = loop.time(), server.version
        server.fates["a"] = lambda: Fate(lost=True)
        while replica.leadership.leads():
            if server.version != version:
                renewed_at, version = loop.time(), server.version
            await asyncio.sleep(0.01)
        assert 5 < loop.time() - renewed_at <= 10.05, "well before the 15 s of the lease"
        with pytest.raises(errors.Fenced, match="must not write"):
            replica.leadership.check()
        await stopped([task], server)

    virtual.run(story())


def test_another_takes_over_after_the_lease_only_and_under_a_greater_epoch() -> None:
    async def story() -> None:
        server = LeaseServer()
        a, b = Replica(server, "a"), Replica(server, "b")
        tasks = [a.start()]
        await asyncio.sleep(1)
        tasks.append(b.start())
        await asyncio.sleep(30)
        server.fates["a"] = lambda: Fate(lost=True)
        begun = asyncio.get_running_loop().time()
        while not b.leadership.leads():
            await asyncio.sleep(0.01)
        assert not a.leadership.leads()
        assert asyncio.get_running_loop().time() - begun <= 15 + 2 * 2.2 + 0.1
        assert (a.leadership.epoch, b.leadership.epoch) == (1, 2)
        server.fates.clear()
        await asyncio.sleep(60)
        assert b.leadership.leads(), "the former leader comes back as a standby"
        assert not a.leadership.leads()
        await stopped(tasks, server)

    virtual.run(story())


def test_release_hands_over_at_once() -> None:
    async def story() -> None:
        server = LeaseServer()
        a, b = Replica(server, "a"), Replica(server, "b")
        tasks = [a.start()]
        await asyncio.sleep(1)
        tasks.append(b.start())
        await asyncio.sleep(20)
        await a.elector.release()
        assert not a.leadership.leads()
        released = asyncio.get_running_loop().time()
        while not b.leadership.leads():
            await asyncio.sleep(0.01)
        assert asyncio.get_running_loop().time() - released < 2.5
        assert b.leadership.epoch == 2
        await asyncio.sleep(60)
        assert not a.leadership.leads(), "who gave it back does not take it again"
        await stopped(tasks, server)

    virtual.run(story())


@pytest.mark.parametrize("answered", [0.5, 3.0])
def test_release_while_a_renewal_is_under_way_hands_over_all_the_same(answered: float) -> None:
    async def story() -> None:
        server = LeaseServer()
        a = Replica(server, "a")
        task = a.start()
        await asyncio.sleep(1)
        version = server.version
        server.fates["a"] = lambda: Fate(after=answered)
        while server.version == version:
            await asyncio.sleep(0.01)
        server.fates.clear()
        await a.elector.release()
        await asyncio.sleep(10)
        assert server.lease is not None
        assert server.lease["spec"]["holderIdentity"] == ""
        assert not a.leadership.leads()
        await stopped([task], server)

    virtual.run(story())


def test_release_of_what_another_holds_changes_nothing() -> None:
    async def story() -> None:
        server = LeaseServer()
        a = Replica(server, "a")
        task = a.start()
        await asyncio.sleep(1)
        assert server.lease is not None
        server.lease["spec"]["holderIdentity"] = "somebody"
        server._stamped()
        await a.elector.release()
        assert server.lease["spec"]["holderIdentity"] == "somebody"
        await stopped([task], server)

    virtual.run(story())


def test_the_epoch_is_above_lease_ledger_and_operations() -> None:
    async def floor() -> int:
        return 41

    async def story() -> None:
        server = LeaseServer()
        await watched(server, [Replica(server, "a", floor)], 5)
        assert server.lease is not None
        assert server.lease["spec"]["leaseTransitions"] == 42
        server.lease["spec"].update(holderIdentity="", leaseTransitions=99)
        assert [epoch for *_, epoch in await watched(server, [Replica(server, "b", floor)], 15)] == [100]

    virtual.run(story())


def test_nobody_leads_while_the_floor_is_unknown() -> None:
    known = False

    async def floor() -> int:
        if not known:
            raise errors.Unreachable("operations cannot be listed")
        return 7

    async def story() -> None:
        nonlocal known
        server = LeaseServer()
        assert await watched(server, [Replica(server, "a", floor)], 60) == []
        known = True
        assert [epoch for *_, epoch in await watched(server, [Replica(server, "a", floor)], 70)] == [8]

    virtual.run(story())


def test_without_its_namespace_the_next_step_is_said(caplog: pytest.LogCaptureFixture) -> None:
    missing = errors.NotFound('namespaces "exuvia-system" not found', status=404)

    class Bare(LeaseServer):
        def make(self, body: dict[str, Any]) -> dict[str, Any]:
            raise missing

    async def story() -> None:
        assert await watched(Bare(), [Replica(Bare(), "a")], 10) == []

    virtual.run(story())
    (said,) = {one.getMessage() for one in caplog.records if one.levelname == "WARNING"}
    assert "The namespace exuvia-system of the Lease exuvia-leader is not there; nobody leads." in said
    assert "`kubectl create namespace exuvia-system`" in said


def test_a_namesake_begins_a_new_epoch() -> None:
    async def story() -> None:
        server = LeaseServer()
        await watched(server, [Replica(server, "same")], 5)
        begun = await watched(server, [Replica(server, "same")], 10)
        assert [epoch for *_, epoch in begun] == [2]

    virtual.run(story())


@pytest.mark.parametrize(
    "spec",
    [
        None,
        {},
        {"holderIdentity": None},
        {"holderIdentity": "x", "leaseDurationSeconds": None},
        {"holderIdentity": "x", "leaseDurationSeconds": -5},
    ],
)
def test_an_odd_lease_is_taken_once_it_has_ended(spec: dict[str, Any] | None) -> None:
    async def story() -> None:
        server = LeaseServer(lease={"metadata": {"resourceVersion": "1"}, "spec": spec}, version=1)
        begun = await watched(server, [Replica(server, "a")], 40)
        assert len(begun) == 1
        assert (begun[0][0] >= 15) is bool(spec and spec.get("holderIdentity"))

    virtual.run(story())


def test_a_fenced_cluster_writes_only_while_we_lead() -> None:
    calls: list[str] = []

    class Real:
        def __getattr__(self, name: str) -> Any:
            async def call(*_: object, **__: object) -> None:
                calls.append(name)

            return call

    async def story() -> None:
        leadership = Leadership(VirtualClock())
        cluster = FencedCluster(Real(), leadership)  # type: ignore[arg-type]

        def writes() -> list[Any]:
            return [
                cluster.create(resources.NODES, {}),
                cluster.merge_patch(resources.NODES, "n", {}),
                cluster.delete(resources.NODES, "n", uid="u"),
                cluster.evict("ns", "p", uid="u"),
            ]

        for one in writes():
            with pytest.raises(errors.Fenced):
                await one
        await cluster.get(resources.NODES, "n")
        leadership.extend(10, 1)
        for one in writes():
            await one
        await asyncio.sleep(10)
        for one in writes():
            with pytest.raises(errors.Fenced):
                await one
        assert calls == ["get", "create", "merge_patch", "delete", "evict"]

    virtual.run(story())


def test_changes_of_leadership_are_told_once() -> None:
    async def story() -> None:
        leadership = Leadership(VirtualClock())
        leadership.end()
        assert not leadership.changed.is_set(), "it did not lead"
        leadership.extend(10, 1)
        assert leadership.changed.is_set()
        leadership.changed.clear()
        leadership.extend(12, 1)
        assert not leadership.changed.is_set()
        leadership.end()
        assert leadership.changed.is_set()

    virtual.run(story())


@pytest.mark.parametrize(("duration", "deadline", "retry"), [(10, 10, 2), (15, 10, 6), (15, 10, 0), (5, 10, 2)])
def test_terms_that_cannot_be_kept_are_refused(duration: int, deadline: int, retry: int) -> None:
    with pytest.raises(errors.SettingsError, match="The lease cannot last"):
        Terms(
            namespace="n",
            name="l",
            identity="a",
            duration=timedelta(seconds=duration),
            renew_deadline=timedelta(seconds=deadline),
            retry=timedelta(seconds=retry),
        )


@pytest.mark.parametrize("others", [0, 1])
def test_who_resigns_lets_others_lead_and_comes_back_only_where_nobody_does(others: int) -> None:
    async def story() -> None:
        server = LeaseServer()
        replicas = [Replica(server, f"r{n}") for n in range(1 + others)]
        tasks = [replicas[0].start()]
        await asyncio.sleep(5)
        tasks += [one.start() for one in replicas[1:]]
        await asyncio.sleep(5)
        first = replicas[0].leadership
        assert first.leads()
        first.resign()
        await asyncio.sleep(10)
        assert not first.leads()
        assert all(one.leadership.leads() for one in replicas[1:])
        await asyncio.sleep(40)
        assert first.leads() is (others == 0)
        await stopped(tasks, server)

    virtual.run(story())


def test_a_replica_says_whether_it_leads_or_who_does() -> None:
    async def story() -> None:
        server = LeaseServer()
        first, second = Replica(server, "first"), Replica(server, "second")
        assert second.elector.role() == "stands by"
        tasks = [first.start()]
        await asyncio.sleep(1)
        tasks.append(second.start())
        await asyncio.sleep(3)
        assert (first.elector.role(), second.elector.role()) == ("leads, epoch 1", "stands by, first leads")
        await first.elector.release()
        await asyncio.sleep(5)
        assert second.elector.role() == "leads, epoch 2"
        for one in tasks:
            one.cancel()

    virtual.run(story())
