"""What is not cordoned yet goes first, and nobody is kept from going on."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from exuvia.app.collecting import Collecting
from exuvia.app.lanes import Lanes
from exuvia.app.operations import Operation
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation


async def test_what_is_urgent_goes_before_what_is_calm() -> None:
    """Calm ones that come while urgent ones are under way begin after them."""
    lanes, order = Lanes(urgent=1, calm=1, gives_way=5), list[str]()

    async def one(name: str, *, urgent: bool) -> None:
        async with lanes.turn(urgent=urgent):
            order.append(name)
            await asyncio.sleep(0.005)

    first = asyncio.create_task(one("u1", urgent=True))
    await asyncio.sleep(0)
    calm = [asyncio.create_task(one(name, urgent=False)) for name in ("c1", "c2")]
    urgent = [asyncio.create_task(one(name, urgent=True)) for name in ("u2", "u3")]
    await asyncio.gather(first, *calm, *urgent)
    assert order == ["u1", "u2", "u3", "c1", "c2"]


async def test_what_is_calm_gives_way_for_a_moment_only() -> None:
    """One that is urgent and never ends keeps nobody from going on."""
    lanes = Lanes(gives_way=0.01)
    entered = asyncio.Event()

    async def stuck() -> None:
        async with lanes.turn(urgent=True):
            entered.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(stuck())
    await entered.wait()
    async with asyncio.timeout(1), lanes.turn(urgent=False):
        pass
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_only_so_many_work_at_the_same_time() -> None:
    """The lanes are counted, whatever happens in them."""
    lanes, now, most = Lanes(urgent=2, calm=3), 0, 0

    async def one(number: int) -> None:
        nonlocal now, most
        async with lanes.turn(urgent=False):
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.001)
            now -= 1
            if number % 2:
                raise ValueError("trouble")

    await asyncio.gather(*(one(number) for number in range(20)), return_exceptions=True)
    assert most == 3


def rotation(phase: str, reason: str = "", *, provider: str = "Simulated", marked: bool = True) -> Rotation:
    meta = {"name": "r", "uid": "R", "creationTimestamp": "2026-11-25T11:00:00Z"}
    spec = {"instance": {"kind": "Node", "name": "w", "uid": "N"}}
    status: dict[str, Any] = {"phase": phase, "settings": {"provider": provider}}
    status |= {"before": {"unschedulable": False}} if marked else {}
    status |= {"reason": reason} if reason else {}
    return Rotation.parse({"metadata": meta, "spec": spec, "status": status})


def quarantine() -> Quarantine:
    meta = {"name": "q", "uid": "Q", "creationTimestamp": "2026-11-25T11:00:00Z"}
    spec = {"instance": {"kind": "Node", "name": "w", "uid": "N"}}
    return Quarantine.parse({"metadata": meta, "spec": spec, "status": {"phase": "Isolating"}})


async def test_who_waits_for_a_dead_provider_delays_neither_a_drain_nor_a_restore() -> None:
    """All lanes of those that wait for it are full, and the others have their turn at once: a Quarantine's first, a
    drain, a restore, a removal by another provider. None of those that wait is urgent, so nobody gives way to them."""
    lanes, stuck = Lanes(outside=2, calm=2, urgent=2, gives_way=60), asyncio.Event()

    async def waits(one: Operation) -> None:
        async with lanes.turn_of(one):
            await stuck.wait()

    waiting = [rotation("Terminating") for _ in range(9)] + [rotation("Replacing", marked=False) for _ in range(9)]
    waiting += [rotation("Drained", "ReplacementFailed") for _ in range(9)]
    tasks = [asyncio.create_task(waits(one)) for one in waiting]
    await asyncio.sleep(0)
    others = (rotation("Draining"), rotation("Cordoned", "CalledOff"), rotation("Terminating", provider="NodeDelete"))
    for one in (quarantine(), *others):
        async with asyncio.timeout(0.5), lanes.turn_of(one):
            pass
    stuck.set()
    await asyncio.gather(*tasks)


async def test_evidence_is_not_collected_before_what_is_urgent_is_cut_off() -> None:
    """A run of the collectors that is due begins when nothing hurries any more."""
    free, ran = asyncio.Event(), list[str]()

    async def give_way() -> None:
        await free.wait()

    services: Any = SimpleNamespace(
        view=SimpleNamespace(quarantines=SimpleNamespace(store={})), custodian=SimpleNamespace(close=lambda: None)
    )
    gatherer: Any = SimpleNamespace(collecting=set())
    lacking: Any = None
    collecting = Collecting(services, gatherer, lacking, lacking, lambda kind, uid: ran.append(uid), give_way)
    collecting.begin("u1")
    await asyncio.sleep(0.01)
    assert (ran, gatherer.collecting) == ([], {"u1"})
    free.set()
    await asyncio.sleep(0.01)
    assert (ran, gatherer.collecting) == (["u1"], set())
    await collecting.stop()
