"""The memory of a fleet that never rests, of an operator that dies at random moments: every life is told once, every
name answers rightly, what nobody watched has an interval that holds the truth, and no licence seat is leaked or held
twice. By the API server's audit log.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select

from exuvia import errors
from exuvia.app import sightings
from exuvia.localcluster import fleet
from exuvia.model import marks, resources
from exuvia.record import tables, versions, who
from exuvia.record.moments import moment
from exuvia.record.reading import reading
from tests.cluster import until
from tests.e2e.operated import Operated, audit_lines, entries, guard
from tests.e2e.test_crash import QUICK_LEASE, sound
from tests.e2e.test_seats import audit, license_pool, told

pytestmark = [pytest.mark.cluster, pytest.mark.proof, pytest.mark.timeout(900)]

EXACT = timedelta(seconds=1.5)
"""Creation times have whole seconds, and a watched death is told when we heard of it."""

BACK = timedelta(seconds=5)
"""So soon a seat is back after the deletion of its Node while an operator leads, 99 times of 100."""

AFTERWARDS = timedelta(seconds=45)
"""So soon where it was killed just then: the next one leads after at most lease duration + 30 s."""

MOMENTS = 1000
SHORT = pytest.param(60, 12, id="60-machines")
LONG = pytest.param(200, 40, id="200-machines", marks=pytest.mark.slow)


@dataclass(slots=True)
class Truth:
    """A life by the audit log: between which moments it began, and ended."""

    uid: str
    name: str
    born: tuple[datetime, datetime]
    died: tuple[datetime, datetime] | None = None

    def surely(self, at: datetime) -> bool:
        """Whether it lived then, by more than what is not exact."""
        return self.born[1] + EXACT <= at and (self.died is None or at <= self.died[0] - EXACT)

    def possibly(self, at: datetime) -> bool:
        """Whether it may have lived then."""
        return self.born[0] - EXACT <= at and (self.died is None or at <= self.died[1] + EXACT)


@dataclass(slots=True)
class Storm:
    """Machines that come and go under names that are taken again, and an operator that is killed meanwhile."""

    world: Operated
    chance: random.Random
    names: list[str]
    left: int
    away: list[tuple[datetime, datetime]] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def rage(self) -> None:
        """Until all machines have been there. Then an operator leads."""
        killing = asyncio.create_task(self.kill())
        await asyncio.gather(*(self.live(name) for name in self.names))
        self.over.set()
        await killing

    async def calm(self) -> None:
        """Every second of those that live on goes, and nobody kills the operator."""
        for name in self.names[::2]:
            await asyncio.sleep(self.chance.uniform(0.0, 0.8))
            node = await self.world.node(name)
            if node is not None:
                await self.world.cluster.client.delete(resources.NODES, name, uid=node["metadata"]["uid"])

    async def live(self, name: str) -> None:
        """One life after the other under a name; the last one goes on."""
        machine = fleet.Machine(name=name, pool=self.world.cluster.pool, kubelet_port=self.world.plane.kubelet_port)
        while self.left > 0:
            self.left -= 1
            (body,) = await fleet.create_nodes(self.world.cluster.client, [machine], datetime.now(UTC))
            await asyncio.sleep(self.chance.choice([0.0, 1.0, 1.0]) * self.chance.uniform(0.5, 40.0))
            if self.left <= 0:
                return
            try:
                await self.world.cluster.client.delete(resources.NODES, name, uid=body["metadata"]["uid"])
            except errors.NotFound:
                pass  # the node controllers of the plane were faster
            await asyncio.sleep(self.chance.choice([0.0, 0.2, 3.0, 10.0]))

    async def kill(self) -> None:
        """SIGKILL at random moments, also while it starts; some seconds later it is started again."""
        replica = self.world.replicas[-1]
        await asyncio.sleep(self.chance.uniform(0.5, 20.0))
        while not self.over.is_set():
            gone = datetime.now(UTC)
            replica.kill()
            await asyncio.sleep(self.chance.uniform(0.0, 6.0))
            replica.start()
            back = asyncio.create_task(self.leads_again(gone))
            await asyncio.sleep(self.chance.uniform(0.5, 20.0))
            if not back.done():
                back.cancel()
                self.away.append((gone, datetime.now(UTC)))
        await until(replica.leads, what="the operator to lead again", seconds=60)

    async def leads_again(self, gone: datetime) -> None:
        """Note how long nobody led."""
        while not await self.world.replicas[-1].leads():
            await asyncio.sleep(0.2)
        self.away.append((gone, datetime.now(UTC)))

    def led(self, since: datetime, until: datetime) -> bool:
        """Whether an operator led from then to then, or for as long as it may take to give a seat back."""
        until = min(until, since + BACK)
        return not any(began <= until and since <= ended for began, ended in self.away)


@pytest.mark.parametrize(("machines", "names"), [SHORT, LONG])
async def test_every_life_is_told_once_and_every_name_answers_rightly(
    world: Operated, machines: int, names: int
) -> None:
    chance = random.Random(machines)
    seats = names * 2 // 3
    world.apply(guard(), license_pool(world.cluster, seats=seats))
    await world.start(*QUICK_LEASE)
    await until(lambda: seen(world), what="the first sighting", seconds=30)
    began, since = datetime.now(UTC), world.audit_position()
    prefix = f"{world.cluster.pool}-m"
    storm = Storm(world, chance, [f"{prefix}{index}" for index in range(names)], machines)
    await storm.rage()
    await storm.calm()
    ended = datetime.now(UTC)
    truths = {one.uid: one for one in lives(world, since, prefix)}
    await until(lambda: all_told(world, truths), what="everything to be told", seconds=60)

    assert len(truths) == machines and len(storm.away) >= 5
    assert sound(world.ledger)
    times = Counter((one["type"], one["body"].get("uid")) for one in entries(world.ledger))
    for uid, truth in truths.items():
        assert times["birth", uid] == 1, f"{truth}"
        assert times["death", uid] == (1 if truth.died else 0), f"{truth}"
    with reading(world.ledger) as connection:
        uncertain = bracketed(connection, truths)
        for _ in range(MOMENTS):
            name = chance.choice(storm.names)
            at = began + (ended - began) * chance.random()
            answers_rightly(connection, [one for one in truths.values() if one.name == name], name, at)
    assert uncertain, "every death was watched: nobody was away at the right moment"
    living = {uid for uid, one in truths.items() if one.died is None}
    await until(lambda: set(audit(world, seats)) <= living, what="the seats of the dead to be back", seconds=30)
    assert len(audit(world, seats)) == min(seats, len(living)), "a seat is free while somebody waits"
    print(seats_come_back_in_time(world, storm, truths))


def seats_come_back_in_time(world: Operated, storm: Storm, truths: dict[str, Truth]) -> str:
    """From the end of the DELETE on the wire until its return stood in the ledger. Says the figures."""
    back = {one["body"]["instance"]: _microseconds(one["recorded"]) for one in told(world) if _returned(one)}
    took = {uid: back[uid] - truths[uid].died[1] for uid in back if truths[uid].died is not None}  # type: ignore[index]
    led = sorted(span for uid, span in took.items() if storm.led(back[uid] - span, back[uid]))
    assert len(led) >= len(storm.names) // 4 and took.keys() == back.keys()
    assert led[math.ceil(len(led) * 0.99) - 1] <= BACK, f"seats came back after {led[-5:]}"
    assert max(took.values()) <= AFTERWARDS
    p50, p99 = led[len(led) // 2], led[math.ceil(len(led) * 0.99) - 1]
    return f"{len(led)} of {len(took)} seats came back while one led: p50 {p50}, p99 {p99}; of all {max(took.values())}"


def _returned(entry: dict[str, Any]) -> bool:
    return bool(entry["body"]["event"] == "returned")


def _microseconds(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1e6, UTC)


async def seen(world: Operated) -> bool:
    """Whether a leader noted until when everything is in the ledger."""
    found = await sightings.read(world.cluster.client, marks.SYSTEM_NAMESPACE, marks.LEASE)
    return found is not None


def lives(world: Operated, since: int, prefix: str) -> Iterator[Truth]:
    """Every life of machines of these names, by the audit log."""
    found: dict[str, Truth] = {}
    for one in audit_lines(world.plane, since):
        what = one.get("objectRef") or {}
        if what.get("resource") != "nodes" or one["stage"] != "ResponseComplete" or what.get("subresource"):
            continue
        if one["verb"] not in ("create", "delete") or one["responseStatus"]["code"] >= 300:
            continue
        name = str(what.get("name") or one["responseObject"]["metadata"]["name"])
        if not name.startswith(prefix):
            continue
        between = (_moment(one["requestReceivedTimestamp"]), _moment(one["stageTimestamp"]))
        if one["verb"] == "create":
            uid = one["responseObject"]["metadata"]["uid"]
            found[uid] = Truth(uid=uid, name=name, born=between)
        elif one["verb"] == "delete":
            uid = _deleted(one)
            found[uid].died = between
    return iter(found.values())


def _deleted(entry: dict[str, Any]) -> str:
    answer = entry["responseObject"]
    return str((answer.get("details") or answer.get("metadata") or {})["uid"])


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def all_told(world: Operated, truths: dict[str, Truth]) -> bool:
    """Whether the ledger holds a birth of each, and a death of those that died."""
    told = {(one["type"], one["body"].get("uid")) for one in entries(world.ledger)}
    return all(("birth", uid) in told and (one.died is None or ("death", uid) in told) for uid, one in truths.items())


def bracketed(connection: Connection, truths: dict[str, Truth]) -> int:
    """How many deaths are known within an interval only; each of these holds the true moment, the others are exact."""
    table, uncertain = tables.lives, 0
    rows = connection.execute(
        select(table).where(table.c.uid.in_(truths), table.c.died.is_not(None), versions.holds(table))
    )
    for row in rows:
        died, truth = moment(row.died), truths[row.uid].died
        assert truth is not None, f"{row.uid} lives, and was told dead"
        if row.died_not_before is None:
            assert truth[0] - EXACT <= died <= truth[1] + EXACT, f"{truths[row.uid]} was told to have died {died}"
        else:
            uncertain += 1
            assert moment(row.died_not_before) <= truth[1], f"{truths[row.uid]}: not before {row.died_not_before}"
            assert truth[0] - EXACT <= died, f"{truths[row.uid]} was told to have died {died}"
    return uncertain


def answers_rightly(connection: Connection, truths: list[Truth], name: str, at: datetime) -> None:
    """Who surely lived is named; who is named may have lived, or nobody can know."""
    found = {one.uid: one for one in who.bore(connection, "name", name, at)}
    said = f"{name} at {at}: {found}, in truth {truths}"
    assert {one.uid for one in truths if one.surely(at)} <= set(found), said
    possible = {one.uid for one in truths if one.possibly(at)}
    assert {uid for uid, one in found.items() if one.certainty != "uncertain"} <= possible, said
    assert len(found) <= 1, said
