"""What is read once for many is never older than the question."""

from __future__ import annotations

import asyncio

import pytest

from exuvia.app.sharing import LazyMapping, LazySequence, SharedRead


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


def test_what_nobody_looks_at_is_not_made() -> None:
    """Made once, when it is looked at."""
    made: list[int] = []

    def make() -> tuple[str, ...]:
        made.append(1)
        return ("a", "b", "c")

    lazy = LazySequence(make)
    assert made == []
    assert (list(lazy), len(lazy), lazy[1], lazy[1:], made) == (["a", "b", "c"], 3, "b", ("b", "c"), [1])


def test_an_empty_answer_is_no_entry() -> None:
    """As a mapping that holds only what has something to say."""
    said = {"a": "fails", "b": ""}
    lazy = LazyMapping(lambda: ["a", "b"], said.__getitem__)
    assert dict(lazy) == {"a": "fails"}
    assert (lazy.get("b", "?"), len(lazy), "b" in lazy) == ("?", 1, False)
