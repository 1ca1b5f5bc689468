"""A term ends with its leadership or its epoch, and until then every loop of it lives."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from exuvia import errors
from exuvia.app.leader import Leadership
from exuvia.app.term import Term
from tests import virtual
from tests.virtual import VirtualClock


def term(leadership: Leadership) -> Term:
    """As much of one as its loops need."""
    made = Term.__new__(Term)
    made.services = SimpleNamespace(leadership=leadership)  # type: ignore[assignment]
    made._epoch = leadership.epoch
    return made


def leading(seconds: float = 3600) -> Leadership:
    leadership = Leadership(VirtualClock())
    leadership.extend(seconds, 1)
    return leadership


@pytest.mark.parametrize("trouble", [ValueError("a slip"), KeyError("x"), errors.Unreachable("away")])
def test_a_loop_that_stumbles_goes_on(trouble: Exception) -> None:
    async def story() -> None:
        turns: list[float] = []

        async def loop() -> None:
            turns.append(asyncio.get_running_loop().time())
            if len(turns) < 3:
                raise trouble
            await asyncio.sleep(3600)

        task = asyncio.create_task(term(leading())._kept(loop))
        await asyncio.sleep(10)
        assert turns == [0.0, 1.0, 2.0]
        task.cancel()

    virtual.run(story())


def test_a_fenced_loop_ends_only_with_the_term() -> None:
    async def story() -> None:
        leadership, turns = leading(5), [0]

        async def loop() -> None:
            turns[0] += 1
            raise errors.Fenced("no")

        await term(leadership)._kept(loop)
        assert turns[0] > 1
        assert not leadership.leads()

    virtual.run(story())


def test_leadership_that_was_lost_and_won_again_at_once_is_another_term() -> None:
    async def story() -> None:
        leadership = leading()
        waiting = asyncio.create_task(term(leadership)._until_lost())
        await asyncio.sleep(1)
        assert not waiting.done()
        leadership.end()
        leadership.extend(7200, 2)
        await asyncio.sleep(0.2)
        assert waiting.done()

    virtual.run(story())


def test_a_term_ends_when_the_time_of_its_lease_does() -> None:
    async def story() -> Any:
        await term(leading(30))._until_lost()
        return asyncio.get_running_loop().time()

    assert virtual.run(story()) == pytest.approx(30, abs=0.2)


def test_what_is_checked_at_the_beginning_ends_with_the_term() -> None:
    async def story() -> None:
        ended = list[str]()

        async def ends(what: str) -> None:
            ended.append(what)

        leadership = leading()
        leadership.end()
        over = term(leadership)
        over._advancer = SimpleNamespace(stop=lambda: ends("what runs"))  # type: ignore[assignment]
        over._history = SimpleNamespace(end=lambda: ends("the check"))  # type: ignore[assignment]
        over.services.evaluator = SimpleNamespace(close=lambda: ends("the evaluator"))  # type: ignore[assignment]
        over.services.ledger = SimpleNamespace(close=lambda: ended.append("the ledger"))  # type: ignore[assignment]
        await over._end(None, [])
        assert ended == ["what runs", "the check", "the evaluator", "the ledger"]

    virtual.run(story())
