"""Node leases are listed beside the sweep: one list at a time, as old as its beginning, and not beyond a term."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from exuvia import errors
from exuvia.app.fleet import LEASES_FRESH
from exuvia.app.lease_lists import LeaseLists
from exuvia.app.sweep import Sweep
from exuvia.model.planning import Plan
from tests.app import stage


class Server:
    """One Lease, served when `gate` opens."""

    clock_skew = timedelta(0)

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.asked = 0
        self.given_up = 0
        self.trouble: Exception | None = None

    async def pages(self, *_: object, **__: object) -> AsyncIterator[list[Any]]:
        self.asked += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        if self.trouble is not None:
            raise self.trouble
        yield [{"metadata": {"name": "w"}, "spec": {}}]


class Scene:
    def __init__(self) -> None:
        self.server = Server()
        self.services = stage.services(client=self.server)
        self.fleet = stage.fleet(self.services)
        self.lists = LeaseLists(self.services, self.fleet)

    async def settled(self) -> None:
        self.server.gate.set()
        async with asyncio.timeout(2):
            await self.services.view.wake.wait()


async def test_what_was_counted_is_as_old_as_the_beginning_of_its_list() -> None:
    scene = Scene()
    scene.lists.begin()
    await asyncio.sleep(0)
    scene.services.clock.seconds = 15.0
    scene.lists.begin()
    await scene.settled()
    assert scene.server.asked == 1
    assert scene.fleet._fresh_leases() == (1, 1)
    scene.services.clock.seconds = LEASES_FRESH + 0.1
    assert scene.fleet._fresh_leases() is None


async def test_a_list_that_fails_wakes_the_sweep_as_well_and_says_why() -> None:
    scene = Scene()
    scene.server.trouble = errors.Forbidden("no right to list leases")
    scene.lists.begin()
    await scene.settled()
    assert scene.fleet._fresh_leases() is None
    assert "no right" in scene.fleet._leases_problem()


def bare_sweep(scene: Scene) -> Any:
    """A sweep of which only what a test names is there."""
    sweep: Any = Sweep.__new__(Sweep)
    sweep._leases, sweep._services, sweep._fleet = scene.lists, scene.services, scene.fleet
    return sweep


async def test_a_list_ends_with_the_sweep_that_asked_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later term lists them anew; nobody lists beside it."""
    scene = Scene()
    sweep = bare_sweep(scene)

    async def passes() -> None:
        scene.lists.begin()
        await asyncio.sleep(60)

    monkeypatch.setattr(sweep, "_passes", passes)
    running = asyncio.create_task(sweep.run())
    while not scene.server.asked:
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert scene.server.given_up == 1


async def test_quarantines_start_while_the_leases_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the plan lacks is neither waited for nor told of as if it were known."""
    scene = Scene()
    sweep, started, said = bare_sweep(scene), list[Plan](), list[Plan]()
    plan = Plan(needs_leases=True)
    monkeypatch.setattr(sweep, "_planned", lambda: (plan, SimpleNamespace(leases_problem="", read_only=False)))
    sweep._statuses = SimpleNamespace(planned=lambda made, moment: said.append(made))

    async def start(made: Plan) -> None:
        started.append(made)

    monkeypatch.setattr(sweep, "_start", start)
    async with asyncio.timeout(1):
        await sweep._plan_and_start()
    assert (started, said) == ([plan], [])
    await scene.settled()
    assert scene.server.asked == 1
