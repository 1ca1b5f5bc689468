"""What is not cordoned yet goes first, and nobody is kept from going on."""

from __future__ import annotations

import asyncio

from exuvia.app.lanes import Lanes


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
