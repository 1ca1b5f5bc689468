"""A reflector survives what API servers do, notices what it missed, and never takes unknown for empty."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exuvia.app.clock import SystemClock
from exuvia.kube import client as client_module
from exuvia.model import resources
from exuvia.model.instances import Instance
from exuvia.observe import nodes, reflector
from exuvia.observe.reflector import Reflector
from tests.cluster import until
from tests.observe.faulty import Fault, FaultyServer, node, serving

NODES = resources.NODES


@dataclass
class Watching:
    """A reflector of nodes at work, and its server."""

    server: FaultyServer
    nodes: Reflector[Instance]
    woken: list[int] = field(default_factory=list)

    def names(self) -> set[str]:
        return {one.name for one in self.nodes.store}

    async def see(self, *names: str) -> None:
        await until(lambda: self.names() == set(names), what=f"{names}, not {self.names()}")

    @property
    def asked(self) -> list[str]:
        return self.server.of(NODES).asked


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector, "BACKOFF_FIRST", 0.05)
    monkeypatch.setattr(reflector, "BACKOFF_MOST", 0.2)


@asynccontextmanager
async def watching(folder: Path, *names: str, seconds: int = 30, **faults: list[Fault]) -> AsyncIterator[Watching]:
    async with serving(folder) as (server, client):
        for name in names:
            await server.put(NODES, node(name))
        server.of(NODES).lists.extend(faults.get("lists", ()))
        server.of(NODES).watches.extend(faults.get("watches", ()))
        woken: list[int] = []
        made = Reflector(client, NODES, nodes.from_bytes, SystemClock(), lambda: woken.append(1), watch_seconds=seconds)
        task = asyncio.create_task(made.run())
        try:
            yield Watching(server, made, woken)
            assert not task.done(), "it never ends by itself"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_pages_are_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector, "PAGE", 3)
    async with watching(tmp_path, *(f"n{n}" for n in range(8))) as at_work:
        await at_work.see(*(f"n{n}" for n in range(8)))
        assert [one for one in at_work.asked if one.startswith("list")] == ["list", "list 108:3", "list 108:6"]
        assert at_work.nodes.synced


async def test_an_empty_list_is_synced(tmp_path: Path) -> None:
    async with watching(tmp_path) as at_work:
        await until(lambda: at_work.nodes.synced, what="synced")
        assert at_work.names() == set()
        await at_work.server.put(NODES, node("a"))
        await at_work.see("a")


async def test_changes_arrive(tmp_path: Path) -> None:
    async with watching(tmp_path, "a", "b") as at_work:
        await at_work.see("a", "b")
        at_work.nodes.store.take_dirty()
        await at_work.server.put(NODES, node("a", spec={"unschedulable": True}))
        await at_work.server.delete(NODES, "b")
        await at_work.see("a")
        found = at_work.nodes.store.named("a")
        assert found is not None and found.unschedulable
        assert set(at_work.nodes.store.take_dirty()) == {"a", "b"}
        assert [one.name for one in at_work.nodes.store.take_gone().values()] == ["b"]


@pytest.mark.parametrize(
    "faults",
    [
        [Fault(status=500)],
        [Fault(status=503), Fault(status=504), Fault(status=500)],
        [Fault(status=403)],
        [Fault(status=410)],
        [Fault("garbage")],
        [Fault("no list")],
        [Fault(status=429, retry_after=0)],
    ],
    ids=lambda faults: "-".join(one.kind or str(one.status) for one in faults),
)
async def test_a_list_that_fails_is_tried_again(tmp_path: Path, faults: list[Fault]) -> None:
    async with watching(tmp_path, "a", lists=faults) as at_work:
        await at_work.see("a")
        assert at_work.asked[: len(faults) + 1] == ["list"] * (len(faults) + 1)
        await at_work.server.put(NODES, node("b"))
        await at_work.see("a", "b")


async def test_until_it_was_listed_it_says_why_not(tmp_path: Path) -> None:
    async with watching(tmp_path, "a", lists=[Fault(status=403)] * 50) as at_work:
        await until(lambda: len(at_work.asked) > 3, what="several tries")
        assert not at_work.nodes.synced
        assert "it is a day of 403" in at_work.nodes.problem
        assert at_work.nodes.last_heard is None


async def test_a_list_that_fails_in_the_middle_does_not_pass_for_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflector, "PAGE", 2)
    async with watching(tmp_path, "a", "b", "c", "d", "e") as at_work:
        await at_work.see("a", "b", "c", "d", "e")
        heard = at_work.nodes.last_heard
        kind = at_work.server.of(NODES)
        kind.lists.extend([Fault(), Fault(status=500), Fault(), Fault(status=410)])
        del kind.objects["c"]  # gone, and nobody tells
        at_work.server.compact(NODES)
        at_work.nodes.relist()
        await at_work.see("a", "b", "d", "e")
        assert at_work.nodes.last_heard != heard
        lists = [one.split()[0] for one in at_work.asked[4:]]
        assert lists[:6] == ["list"] * 6, "both broken lists were begun anew, not watched from"


@pytest.mark.parametrize("at", ["http", "event"])
async def test_deletions_in_a_gap_are_noticed(tmp_path: Path, at: str) -> None:
    async with watching(tmp_path, "a", "b", "c", seconds=1) as at_work:
        await at_work.see("a", "b", "c")
        kind = at_work.server.of(NODES)
        if at == "http":
            kind.watches.append(Fault(status=410))
        del kind.objects["b"]
        kind.objects["d"] = node("d") | {"metadata": {**kind.objects["a"]["metadata"], "name": "d", "uid": "d"}}
        at_work.server.compact(NODES)
        await at_work.see("a", "c", "d")
        assert [one.name for one in at_work.nodes.store.take_gone().values()] == ["b"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("error at start"),
        Fault("torn"),
        Fault("broken line"),
        Fault("ends at once"),
        Fault(status=500),
        Fault(status=403),
        Fault(status=429, retry_after=0),
    ],
    ids=lambda fault: fault.kind or str(fault.status),
)
async def test_a_watch_that_fails_is_begun_again_and_misses_nothing(tmp_path: Path, fault: Fault) -> None:
    async with watching(tmp_path, "a", watches=[fault, fault]) as at_work:
        await at_work.see("a")
        await at_work.server.put(NODES, node("b"))
        await at_work.server.delete(NODES, "a")
        await at_work.see("b")
        await until(lambda: at_work.nodes.problem == "", what="no problem any more")
        assert at_work.nodes.synced


async def test_a_server_that_ends_every_watch_at_once_is_not_hammered(tmp_path: Path) -> None:
    async with watching(tmp_path, "a", watches=[Fault("ends at once")] * 1000) as at_work:
        await at_work.see("a")
        await asyncio.sleep(1)
        assert at_work.asked.count("watch") < 20
        assert "ended it at once" in at_work.nodes.problem


async def test_a_server_that_forgets_at_once_is_not_hammered(tmp_path: Path) -> None:
    async with watching(tmp_path, "a", watches=[Fault(status=410)] * 1000) as at_work:
        await at_work.see("a")
        await asyncio.sleep(1)
        assert at_work.asked.count("list") < 20


async def test_retry_after_is_waited_for(tmp_path: Path) -> None:
    async with watching(tmp_path, "a", lists=[Fault(status=429, retry_after=1)]) as at_work:
        await asyncio.sleep(0.8)
        assert at_work.asked == ["list"]
        await at_work.see("a")


async def test_a_silent_stream_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "SILENCE_SECONDS", 0.2)
    async with watching(tmp_path, "a", seconds=1, watches=[Fault("silent")]) as at_work:
        await at_work.see("a")
        heard = at_work.nodes.last_heard
        await at_work.server.put(NODES, node("b"))
        await asyncio.sleep(0.5)
        assert at_work.nodes.last_heard == heard, "silence is no news: the view grows old"
        await at_work.see("a", "b")


async def test_bookmarks_keep_the_age_fresh_and_move_on(tmp_path: Path) -> None:
    async with watching(tmp_path, "a", seconds=1) as at_work:
        await at_work.see("a")
        heard, woken = at_work.nodes.last_heard, len(at_work.woken)
        await asyncio.sleep(0.05)
        await at_work.server.bookmark(NODES)
        await until(lambda: at_work.nodes.last_heard != heard, what="the bookmark")
        assert len(at_work.woken) == woken, "nobody has to act on a bookmark"
        at_work.server.of(NODES).compacted = at_work.server.version
        await until(lambda: at_work.asked.count("watch") >= 3, what="later watches")
        assert at_work.asked.count("list") == 1, "they began from the bookmark, which is not too old"


async def test_events_of_a_newer_server_are_passed_over(tmp_path: Path) -> None:
    async with watching(tmp_path, "a") as at_work:
        await at_work.see("a")
        await at_work.server.say(NODES, "SPARKLED", {"odd": True})
        await at_work.server.put(NODES, node("b"))
        await at_work.see("a", "b")
        assert at_work.asked.count("list") == 1


async def test_heartbeats_make_nothing_dirty(tmp_path: Path) -> None:
    async with watching(tmp_path, "a") as at_work:
        await at_work.see("a")
        at_work.nodes.store.take_dirty()
        woken, heard = len(at_work.woken), at_work.nodes.last_heard
        beat = node("a")
        beat["status"]["conditions"][0]["lastHeartbeatTime"] = "2026-01-01T00:05:00Z"
        await at_work.server.put(NODES, beat)
        await until(lambda: at_work.nodes.last_heard != heard, what="the heartbeat")
        assert at_work.nodes.store.take_dirty() == {}
        assert len(at_work.woken) == woken
        found = at_work.nodes.store.named("a")
        assert found is not None and found.resource_version == str(at_work.server.version), "good for a precondition"


async def test_what_cannot_be_read_is_kept_as_it_was_and_named(tmp_path: Path) -> None:
    async with watching(tmp_path, "a", "b") as at_work:
        await at_work.see("a", "b")
        former = at_work.nodes.store.named("a")
        await at_work.server.put(NODES, node("a", spec={"unschedulable": "perhaps"}))
        await until(lambda: "a" in at_work.nodes.unreadable, what="the odd one named")
        assert "a cannot be read" in at_work.nodes.unreadable["a"]
        assert at_work.nodes.store.named("a") == former
        assert at_work.nodes.store.take_gone() == {}, "unknown is not gone"
        await at_work.server.put(NODES, node("a", spec={"unschedulable": True}))
        await until(lambda: not at_work.nodes.unreadable, what="it to be readable again")
        found = at_work.nodes.store.named("a")
        assert found is not None and found.unschedulable


@pytest.mark.parametrize("how", ["event", "list"])
async def test_what_cannot_be_read_and_is_gone_is_forgotten(tmp_path: Path, how: str) -> None:
    async with watching(tmp_path, "a", seconds=1) as at_work:
        await at_work.see("a")
        odd = node("b", spec={"taints": 7})
        await at_work.server.put(NODES, odd)
        await until(lambda: "b" in at_work.nodes.unreadable, what="the odd one named")
        if how == "event":
            await at_work.server.delete(NODES, "b")
        else:
            del at_work.server.of(NODES).objects["b"]
            at_work.server.compact(NODES)
        await until(lambda: not at_work.nodes.unreadable, what="it to be forgotten")
        assert at_work.names() == {"a"}


async def test_an_age_that_is_not_known_is_unreadable_not_great(tmp_path: Path) -> None:
    async with watching(tmp_path) as at_work:
        await until(lambda: at_work.nodes.synced, what="synced")
        await at_work.server.put(NODES, {"metadata": {"name": "a", "creationTimestamp": "once upon a time"}})
        await until(lambda: "a" in at_work.nodes.unreadable, what="the odd one named")
        assert "creationTimestamp" in at_work.nodes.unreadable["a"]


async def test_a_list_on_request_comes_at_once(tmp_path: Path) -> None:
    async with watching(tmp_path, "a") as at_work:
        await at_work.see("a")
        await until(lambda: at_work.asked.count("watch") == 1, what="the watch")
        at_work.nodes.relist()
        await until(lambda: at_work.asked.count("list") == 2, what="another list", seconds=2)
        await at_work.server.put(NODES, node("b"))
        await at_work.see("a", "b")


async def test_our_own_write_is_not_undone_by_older_news(tmp_path: Path) -> None:
    async with watching(tmp_path, "a") as at_work:
        await at_work.see("a")
        body: dict[str, Any] = node("a", spec={"unschedulable": True})
        body["metadata"] |= {"uid": "a", "resourceVersion": "900", "creationTimestamp": "2026-01-01T00:00:00Z"}
        at_work.nodes.overlay(msgspec.Raw(msgspec.json.encode(body)))
        heard = at_work.nodes.last_heard
        await at_work.server.put(NODES, node("a", spec={"unschedulable": False}))
        await until(lambda: at_work.nodes.last_heard != heard, what="the late event")
        found = at_work.nodes.store.named("a")
        assert found is not None and found.unschedulable
        at_work.server.version = 900
        await at_work.server.put(NODES, node("a", spec={"unschedulable": False}))
        await until(lambda: not at_work.nodes.store.named("a").unschedulable, what="later news")  # type: ignore[union-attr]


async def test_what_we_made_outlives_a_list_from_before_it(tmp_path: Path) -> None:
    async with watching(tmp_path, "a") as at_work:
        await at_work.see("a")
        body: dict[str, Any] = node("ours")
        body["metadata"] |= {"uid": "ours", "resourceVersion": "900", "creationTimestamp": "2026-01-01T00:00:00Z"}
        at_work.nodes.overlay(msgspec.Raw(msgspec.json.encode(body)))
        at_work.nodes.relist()
        await until(lambda: at_work.asked.count("list") == 2, what="another list")
        await asyncio.sleep(0.1)
        assert at_work.names() == {"a", "ours"}
        at_work.server.version = 900
        at_work.nodes.relist()
        await at_work.see("a")
