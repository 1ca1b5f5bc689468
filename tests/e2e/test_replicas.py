"""Two replicas: one acts. One that was frozen and wakes up again does not act any more."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from exuvia.model import resources
from exuvia.model.specs.rotation import RotationPhase
from tests.cluster import until
from tests.e2e.operated import Operated, Replica, audit_lines, guard, policy, settle
from tests.e2e.test_crash import QUICK_LEASE
from tests.e2e.test_rotation import EVICT, FIRST, OLD, OLD_IMAGE, define

pytestmark = [pytest.mark.cluster, pytest.mark.proof]


async def test_a_frozen_leader_does_at_most_the_write_in_flight(world: Operated) -> None:
    """SIGSTOP in mid-work, another takes over under a greater epoch, SIGCONT: the old one's writes do not count."""
    await define(world)
    await world.cluster.nodes(6, image=OLD_IMAGE)
    first = await world.start(*QUICK_LEASE)
    second = world.replica(*QUICK_LEASE)
    second.start()
    budget = {"budgets": [{"name": "two", "nodes": "2"}]}
    world.apply(guard(), policy("replicas", world.cluster.pool, OLD, rotation=FIRST, drain=EVICT, disruption=budget))

    async def working() -> bool:
        return any(one.status.phase is RotationPhase.CORDONED or one.status.drain for one in await world.rotations())

    await until(working, what="a rotation to be under way", seconds=40)
    assert not await second.leads()
    first.send(signal.SIGSTOP)
    await until(second.leads, what="the second replica to lead", seconds=30)
    await settle(2)
    since = world.audit_position()
    first.send(signal.SIGCONT)

    async def replaced() -> bool:
        return sum(one.status.phase is RotationPhase.SUCCEEDED for one in await world.rotations()) == 6

    await until(replaced, what="six rotations", seconds=90)
    found = await world.rotations()
    assert len(found) == 6
    assert not await _leads(first)
    identity = await _holder(world)
    late = _statuses_under_older_epochs(world, since)
    assert len(late) <= len(found), "more than one write an operation from the old leader"
    assert all(code in (409, 422) for code in late), late
    assert identity


async def _leads(replica: Replica) -> bool:
    return await replica.leads()


async def _holder(world: Operated) -> str:
    lease = await world.cluster.get(resources.LEASES, "exuvia-leader", namespace="exuvia-system")
    return str(lease["spec"]["holderIdentity"])


def _statuses_under_older_epochs(world: Operated, since: int) -> list[int]:
    """Answers to status writes whose epoch is below the greatest that was written before."""
    greatest, found = 0, []
    for one in audit_lines(world.plane, since):
        status: dict[str, Any] = (one.get("requestObject") or {}).get("status") or {}
        if one["verb"] != "patch" or one["objectRef"].get("resource") != "rotations" or "epoch" not in status:
            continue
        if status["epoch"] < greatest:
            found.append(one["responseStatus"]["code"])
        greatest = max(greatest, status["epoch"])
    return found


async def test_a_leader_that_stops_hands_over_at_once(world: Operated) -> None:
    """SIGTERM gives the lease back: the other one leads within seconds, not after the whole lease; exit code 0."""
    first = await world.start()
    second = world.replica()
    second.start()
    await settle(3)

    assert first.stop() == 0

    await until(second.leads, what="the second replica to lead", seconds=8)
