"""Runners: steps of one operation never overlap, and no waking is lost, whenever it comes."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from exuvia.app.running import Runners
from tests import virtual


class Looks:
    """Notes every look; a look takes as many turns of the loop as it is told to."""

    def __init__(self, *, turns: int = 0, after: timedelta | None = None) -> None:
        self.times: list[float] = []
        self.after = after
        self.overlapped = False
        self._turns = turns
        self._inside = False

    async def __call__(self, kind: str, uid: str) -> timedelta | None:
        self.overlapped |= self._inside
        self._inside = True
        self.times.append(asyncio.get_running_loop().time())
        for _ in range(self._turns):
            await asyncio.sleep(0)
        self._inside = False
        return self.after


@pytest.mark.parametrize("turns_before", range(8))
def test_a_waking_at_any_turn_of_the_loop_is_followed_by_a_look(turns_before: int) -> None:
    async def story() -> None:
        looks = Looks(turns=3, after=timedelta(hours=1))
        runners = Runners(looks)
        runners.wake("Rotation", "u1")
        for _ in range(turns_before):
            await asyncio.sleep(0)
        known = len(looks.times)
        runners.wake("Rotation", "u1")
        await asyncio.sleep(1)
        assert len(looks.times) > known, "the waking was lost"
        assert not looks.overlapped
        await runners.stop()

    virtual.run(story())


def test_an_operation_is_looked_at_again_when_it_said_so_and_never_later_than_five_minutes() -> None:
    async def story() -> None:
        looks = Looks(after=timedelta(hours=2))
        runners = Runners(looks)
        runners.wake("Rotation", "u1")
        await asyncio.sleep(301)
        assert [round(one) for one in looks.times] == [0, 300]
        await runners.stop()

    virtual.run(story())


def test_after_the_stop_nothing_is_begun_any_more() -> None:
    async def story() -> None:
        looks = Looks(after=timedelta(seconds=1))
        runners = Runners(looks)
        runners.wake("Rotation", "u1")
        await asyncio.sleep(0.5)
        await runners.stop()
        runners.wake("Rotation", "u1")
        runners.wake_soon("Rotation", "u2")
        await asyncio.sleep(10)
        assert len(looks.times) == 1

    virtual.run(story())


def test_many_changes_at_once_make_one_look() -> None:
    async def story() -> None:
        looks = Looks()
        runners = Runners(looks)
        for _ in range(100):
            runners.wake_soon("Quarantine", "u1")
        await asyncio.sleep(1)
        assert len(looks.times) == 1
        await runners.stop()

    virtual.run(story())


def test_of_two_wakings_the_sooner_one_counts_and_both_make_one_look() -> None:
    async def story() -> None:
        looks = Looks()
        runners = Runners(looks)
        runners.wake_soon("Rotation", "u1", 1.0)
        runners.wake_soon("Rotation", "u1", 0.2)
        runners.wake_soon("Rotation", "u1", 0.7)
        await asyncio.sleep(5)
        assert [round(one, 1) for one in looks.times] == [0.2]
        await runners.stop()

    virtual.run(story())


@pytest.mark.parametrize(("after", "expected"), [(0.9, [0, 0.9]), (30, [0, 0.2])])
def test_a_change_makes_no_look_of_its_own_where_one_is_due_at_once(after: float, expected: list[float]) -> None:
    async def story() -> None:
        looks = Looks(after=timedelta(seconds=after))
        runners = Runners(looks)
        runners.wake("Rotation", "u1")
        await asyncio.sleep(0.1)
        runners.wake_soon("Rotation", "u1")
        await asyncio.sleep(0.85)
        assert [round(one, 1) for one in looks.times] == expected
        await runners.stop()

    virtual.run(story())
