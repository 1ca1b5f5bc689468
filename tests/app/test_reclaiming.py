"""Telling vendors: what is owed is told until it is done or refused, and what came of it is entered."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from exuvia import errors
from exuvia.act import reclaim_hook
from exuvia.act.reclaim_hook import Answer, Reply
from exuvia.app.reclaiming import COUNT_SECONDS, Reclaiming, _token
from exuvia.model.seats import Claimant, Lease, ReturnCause, Returned
from exuvia.model.specs.license_pool import LicensePool
from tests.app import stage
from tests.app.test_seating import HOOK, Remembering, pool

SESSION: Any = None


def returned(order: int, uid: str = "a") -> Returned:
    lease = Lease(holder=Claimant(uid=uid), since=1, order=order, heard=1)
    return Returned(at=9, lease=lease, cause=ReturnCause.DEATH, died=8, owed=True)


class World:
    """A vendor that answers as it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: list[Answer] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.ledger, self.said = Remembering(), list[Any]()
        self.down = False
        self.services = stage.services(
            ledger=self.ledger,
            ledger_down=lambda: self.down,
            leadership=SimpleNamespace(check=lambda: None),
            events=SimpleNamespace(say=self.said.append),
        )
        self.reclaiming = Reclaiming(self.services)
        monkeypatch.setattr(reclaim_hook, "post", self._post)

    async def _post(self, _: Any, hook: Any, key: str, body: Any, *, token: str) -> Answer:
        self.calls.append((key, dict(body)))
        return self.answers.pop(0) if self.answers else Answer(reply=Reply.DONE)

    def owe(self, *back: Returned, of: LicensePool | None = None, used: int = 3) -> None:
        self.reclaiming.owe(of or pool(**HOOK), back, used=used)

    async def pass_by(self, seconds: float = 0.5) -> None:
        self.services.clock.seconds += seconds
        self.reclaiming.look(SESSION)
        await asyncio.gather(*self.reclaiming._calling.values())

    def outcomes(self) -> list[str]:
        return [one.body["outcome"] for one in self.ledger.facts]


async def test_each_return_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.owe(returned(1), returned(2, "b"))
    for _ in range(3):
        await world.pass_by()
    assert [key for key, _ in world.calls] == ["pool-uid-a-1-1", "pool-uid-b-1-2"]
    assert world.outcomes() == ["done", "done"]


async def test_an_operator_that_only_watches_calls_nobody_and_forgets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    watching, acting = replace(world.services.settings, read_only=True), world.services.settings
    world.owe(returned(1))
    world.services.settings = watching
    await world.pass_by()
    assert world.calls == []
    world.services.settings = acting
    await world.pass_by()
    assert [key for key, _ in world.calls] == ["pool-uid-a-1-1"]


async def test_no_answer_is_tried_again_later_and_later_with_the_same_key(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.answers = [Answer(reply=Reply.AGAIN, said="HTTP 503")] * 3
    world.owe(returned(1))
    moments = []
    for _ in range(20):
        before = len(world.calls)
        await world.pass_by()
        if len(world.calls) > before:
            moments.append(world.services.clock.seconds)
    assert [key for key, _ in world.calls] == ["pool-uid-a-1-1"] * 4
    assert [after - before for before, after in pairwise(moments)] == [1, 2, 4]
    assert world.outcomes() == ["done"]


async def test_a_refusal_is_final_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.answers = [Answer(reply=Reply.REFUSED, said="HTTP 403")]
    world.owe(returned(1))
    for _ in range(3):
        await world.pass_by()
    assert world.outcomes() == ["refused"]
    (event,) = world.said
    assert event.warning and "HTTP 403" in event.note


async def test_what_cannot_be_entered_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.ledger.trouble = errors.LedgerDown("the disk is full")
    world.owe(returned(1))
    for _ in range(20):
        await world.pass_by()
    assert len(world.calls) == 4, "after 1 s, 2 s, 4 s"
    world.ledger.trouble = None
    await world.pass_by(10)
    assert len(world.calls) == 5
    assert len({key for key, _ in world.calls}) == 1
    assert world.outcomes() == ["done"]


async def test_while_the_ledger_is_down_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.down = True
    world.owe(returned(1))
    await world.pass_by(COUNT_SECONDS)
    assert world.calls == []
    world.down = False
    await world.pass_by()
    assert world.outcomes() == ["done"]


async def test_a_dry_run_is_told_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    hook = {"type": "Webhook", "webhook": {"url": "https://vendor.example.org/seats", "dryRun": True}}
    world.owe(returned(1), of=pool(reclaim=hook))
    await world.pass_by()
    assert world.calls[0][1]["dryRun"] is True
    assert world.outcomes() == ["dry-run"]


async def test_nothing_is_told_without_a_hook_or_that_is_not_owed(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.owe(returned(1), of=pool())
    await world.pass_by()
    assert world.calls == []
    assert [one.lease.order for one in world.reclaiming.unhooked(pool())] == [1]
    world.owe(replace(returned(2), owed=False))
    await world.pass_by()
    assert world.calls == []
    world.owe(returned(3))
    world.reclaiming.forget("pool-uid")
    await world.pass_by()
    assert world.calls == []


async def test_a_pool_that_is_not_served_calls_nobody_until_it_is_served_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.owe(returned(1))
    world.reclaiming.pause("pool-uid")
    world.reclaiming.pause("another")
    await world.pass_by(COUNT_SECONDS)
    assert world.calls == []
    assert world.reclaiming.unhooked(pool(**HOOK)) == ()
    world.owe()
    await world.pass_by(0)
    assert world.calls[0][0] == "pool-uid-a-1-1"


async def test_the_vendors_count_is_asked_for_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.owe(used=3)
    await world.pass_by()
    assert world.reclaiming.theirs("pool-uid") is None
    world.answers = [Answer(reply=Reply.DONE, used=7)]
    await world.pass_by(COUNT_SECONDS)
    assert world.calls[-1][1] == {"type": "count", "pool": "antivirus", "used": 3, "dryRun": False}
    assert world.reclaiming.theirs("pool-uid") == 7
    assert world.reclaiming.theirs("another") is None


async def test_trouble_with_one_vendor_keeps_no_other_from_being_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world, post = World(monkeypatch), reclaim_hook.post
    tries: list[str] = []

    async def odd(session: Any, hook: Any, key: str, body: Any, *, token: str) -> Answer:
        if body["instance"] == "a":
            tries.append(key)
            raise RecursionError("too deep")
        return await post(session, hook, key, body, token=token)

    monkeypatch.setattr(reclaim_hook, "post", odd)
    other = pool(**HOOK).model_copy(update={"metadata": pool().metadata.model_copy(update={"name": "o", "uid": "o"})})
    world.owe(returned(1))
    world.owe(returned(2, "b"), of=other)
    for _ in range(4):
        await world.pass_by()
    assert [body["instance"] for _, body in world.calls] == ["b"]
    assert len(tries) == 2, "after 1 s, and not at each look"
    assert "antivirus: RecursionError: too deep" in caplog.text


async def test_a_vendor_that_hangs_holds_up_no_other_and_is_called_no_second_time_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, post, answered = World(monkeypatch), reclaim_hook.post, asyncio.Event()
    hung: list[str] = []

    async def slow(session: Any, hook: Any, key: str, body: Any, *, token: str) -> Answer:
        if body["instance"] == "a":
            hung.append(key)
            await answered.wait()
        return await post(session, hook, key, body, token=token)

    monkeypatch.setattr(reclaim_hook, "post", slow)
    other = pool(**HOOK).model_copy(update={"metadata": pool().metadata.model_copy(update={"name": "o", "uid": "o"})})
    world.owe(returned(1))
    for order in (2, 3):
        world.owe(returned(order, f"b{order}"), of=other)
        world.reclaiming.look(SESSION)
        await asyncio.sleep(0.01)
    assert [body["instance"] for _, body in world.calls] == ["b2", "b3"]
    assert len(hung) == 1
    answered.set()
    await world.pass_by(0)
    assert [body["instance"] for _, body in world.calls] == ["b2", "b3", "a"]


@pytest.mark.parametrize("how", ["forget", "unhooked"])
@pytest.mark.parametrize("reply", list(Reply))
async def test_what_was_forgotten_while_its_vendor_is_called_is_entered_by_one_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, how: str, reply: Reply
) -> None:
    world, answered = World(monkeypatch), asyncio.Event()

    async def slow(*_: Any, **__: Any) -> Answer:
        await answered.wait()
        return Answer(reply=reply)

    monkeypatch.setattr(reclaim_hook, "post", slow)
    world.owe(returned(1))
    world.reclaiming.look(SESSION)
    await asyncio.sleep(0.01)
    gone = world.reclaiming.forget("pool-uid") if how == "forget" else world.reclaiming.unhooked(pool())
    assert [one.lease.order for one in gone] == [1]
    answered.set()
    await asyncio.gather(*world.reclaiming._calling.values())
    assert world.outcomes() == []
    assert (world.said, caplog.records) == ([], [])


async def test_what_is_forgotten_while_it_is_entered_is_entered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    append, written = world.ledger.append, asyncio.Event()

    async def slow(*told: Any) -> None:
        await written.wait()
        await append(*told)

    world.ledger.append = slow  # type: ignore[method-assign]
    world.owe(returned(1))
    world.reclaiming.look(SESSION)
    await asyncio.sleep(0.05)
    assert world.reclaiming.forget("pool-uid") == ()
    written.set()
    await asyncio.gather(*world.reclaiming._calling.values())
    assert world.outcomes() == ["done"]


async def test_a_vendor_that_does_not_answer_is_told_of_once_until_it_does(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(monkeypatch)
    away = Answer(reply=Reply.AGAIN, said="nothing within 2s")
    world.answers = [away] * 4
    world.owe(returned(1), returned(2, "b"))
    for _ in range(8):
        await world.pass_by()
    world.answers = [away]
    world.owe(returned(3, "c"))
    await world.pass_by()
    said = [one.getMessage() for one in caplog.records]
    assert (
        said == ["the vendor of pool antivirus does not answer: nothing within 2s; it is told again until it does"] * 2
    )


def test_a_token_is_read_for_each_call(tmp_path: Any) -> None:
    file = tmp_path / "token"
    assert _token("") == ""
    assert _token(str(file)) == ""
    file.write_text("secret\n", encoding="utf-8")
    assert _token(str(file)) == "secret"
