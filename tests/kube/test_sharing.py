"""What is read once for many is never older than the question."""

from __future__ import annotations

import asyncio

import pytest

from exuvia.kube.sharing import SharedRead, SharedReads


class Source:
    """Reads that take a moment, and count."""

    def __init__(self) -> None:
        self.begun = 0
        self.failing = False

    async def read(self) -> int:
        """The number of this read."""
        self.begun += 1
        number = self.begun
        await asyncio.sleep(0.01)
        if self.failing:
            raise RuntimeError("no answer")
        return number


async def test_whoever_asks_at_the_same_moment_shares_one_read() -> None:
    """Twenty questions, one read."""
    source = Source()
    shared = SharedRead(source.read)
    assert await asyncio.gather(*(shared.ask() for _ in range(20))) == [1] * 20


async def test_an_answer_always_began_after_its_question() -> None:
    """Who asks while a read runs gets the next one, together with all others that came meanwhile."""
    source = Source()
    shared = SharedRead(source.read)
    first = asyncio.create_task(shared.ask())
    await asyncio.sleep(0.005)
    later = [asyncio.create_task(shared.ask()) for _ in range(5)]
    assert await first == 1
    assert await asyncio.gather(*later) == [2] * 5
    assert await shared.ask() == 3


async def test_a_read_that_fails_fails_for_those_who_shared_it_alone() -> None:
    """The next question is answered anew, and one who goes away takes nothing from the others."""
    source = Source()
    shared = SharedRead(source.read)
    source.failing = True
    with pytest.raises(RuntimeError, match="no answer"):
        await shared.ask()
    source.failing = False
    gone = asyncio.create_task(shared.ask())
    stays = asyncio.create_task(shared.ask())
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == 2


async def test_an_answer_is_not_kept_for_nobody() -> None:
    """Large lists are let go of once those who asked have them."""
    shared = SharedRead(Source().read)
    await shared.ask()
    await asyncio.sleep(0)
    assert shared._running is None


async def test_keys_do_not_share_answers() -> None:
    """One read a key, side by side."""
    begun: list[str] = []

    async def read(key: str) -> str:
        begun.append(key)
        await asyncio.sleep(0.01)
        return f"of {key}"

    shared = SharedReads(read)
    assert await asyncio.gather(*(shared.ask(one) for one in ("a", "b", "a"))) == ["of a", "of b", "of a"]
    assert begun == ["a", "b"]


async def test_of_a_key_that_nobody_asks_for_nothing_is_kept() -> None:
    """Whether all went well, failed, or whoever asked went away before."""
    gate = asyncio.Event()

    async def read(key: str) -> str:
        await gate.wait()
        if key == "bad":
            raise ValueError(key)
        return key

    shared = SharedReads(read)
    asking = [asyncio.create_task(shared.ask(key)) for key in ("good", "good", "bad", "left")]
    await asyncio.sleep(0.01)
    asking += [asyncio.create_task(shared.ask("good"))]
    await asyncio.sleep(0)
    asking[3].cancel()
    gate.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    await asyncio.sleep(0.01)
    assert [answers[0], answers[1], answers[4]] == ["good"] * 3
    assert isinstance(answers[2], ValueError)
    assert not shared._shared
