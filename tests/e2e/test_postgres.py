"""An operator whose ledger is on a PostgreSQL server that crashes while machines are replaced."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest

from exuvia.model import facts, marks, resources
from exuvia.model.specs.rotation import RotationPhase
from exuvia.record import chain, queries
from exuvia.record.reading import reading
from tests.cluster import until
from tests.e2e.operated import Operated, entries, exuvia, guard, policy
from tests.e2e.test_rotation import FIRST, OLD, OLD_IMAGE, define
from tests.record.postgres import server as servers
from tests.record.postgres.server import PASSWORD, WRITER, Postgres

pytestmark = [pytest.mark.cluster, pytest.mark.proof, pytest.mark.timeout(300)]
NAME = "north"


async def crash(server: Postgres, times: int) -> None:
    """The server falls again and again."""
    dice = random.Random(1)
    for _ in range(times):
        await asyncio.sleep(dice.uniform(1, 3))
        await asyncio.to_thread(server.restart, "immediate")


async def test_machines_are_replaced_and_told_once_while_the_server_crashes(
    world: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    await define(world)
    with servers.running() as server:
        place = server.place(server.database(), WRITER)
        ledger = ("--ledger", str(place))
        old = await world.cluster.nodes(3, image=OLD_IMAGE)
        replica = await world.start(*ledger, "--cluster-name", NAME)
        budget = {"budgets": [{"name": "two", "nodes": "2"}]}
        world.apply(guard(), policy("server", world.cluster.pool, OLD, rotation=FIRST, disruption=budget))

        async def replaced() -> bool:
            return sum(one.status.phase is RotationPhase.SUCCEEDED for one in await world.rotations()) == len(old)

        await asyncio.gather(crash(server, 4), until(replaced, what="three rotations", seconds=150))
        assert replica.process is not None
        shown = Path(f"/proc/{replica.process.pid}/cmdline").read_text()
        selector = f"{marks.POOL_LABEL}={world.cluster.pool}"
        left = {one["metadata"]["uid"] for one in await world.cluster.list(resources.NODES, label_selector=selector)}
        assert replica.stop() == 0
        assert PASSWORD not in shown + replica.log.read_text()

        with reading(place) as connection:
            assert chain.verify(queries.links(connection, NAME)).first_bad is None
        told = entries(place)  # type: ignore[arg-type]
        born = Counter(one["body"]["uid"] for one in told if one["type"] == facts.FactKind.BIRTH)
        died = Counter(one["body"]["uid"] for one in told if one["type"] == facts.FactKind.DEATH)
        gone = {one["metadata"]["uid"] for one in old}
        assert {uid: born[uid] for uid in gone | left} == dict.fromkeys(gone | left, 1)
        assert {uid: died[uid] for uid in gone} == dict.fromkeys(gone, 1)
        intents = [one["seq"] for one in told if one["type"] == facts.FactKind.INTENT]
        outcomes = Counter(one["body"]["intent"] for one in told if one["type"] == facts.FactKind.OUTCOME)
        assert outcomes == dict.fromkeys(intents, 1), "one outcome for each intent"
        assert f"{place} is sound" in exuvia(world, "ledger", "verify", *ledger).stdout
