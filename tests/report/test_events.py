"""Events fold into series, written at most every 5 minutes, and never hold anybody up."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from exuvia import errors
from exuvia.model import resources
from exuvia.model.reasons import EventReason
from exuvia.report import events
from exuvia.report.events import Event, ObjectReference, Recorder
from tests import virtual
from tests.virtual import VirtualClock

NODE = ObjectReference(api_version="v1", kind="Node", name="worker-7", uid="U")
POLICY = ObjectReference(api_version="exuvia.dev/v1alpha1", kind="SecurityPolicy", name="workers", uid="P")


@dataclass
class Server:
    """Keeps Events; what is in `troubles` is raised first."""

    held: dict[str, dict[str, Any]] = field(default_factory=dict)
    writes: list[tuple[float, str]] = field(default_factory=list)
    troubles: list[Exception] = field(default_factory=list)

    async def create(self, resource: Any, body: dict[str, Any], *, namespace: str = "") -> dict[str, Any]:
        assert resource == resources.EVENTS
        if self.troubles:
            raise self.troubles.pop(0)
        name = f"{namespace}/{body['metadata']['name']}"
        if name in self.held:
            raise errors.AlreadyExists("there is one", status=409)
        self.held[name] = body | {"metadata": body["metadata"] | {"resourceVersion": "1"}}
        self._note("create")
        return body

    async def get(self, _: Any, name: str, *, namespace: str = "") -> dict[str, Any] | None:
        return self.held.get(f"{namespace}/{name}")

    async def merge_patch(self, _: Any, name: str, body: dict[str, Any], *, namespace: str = "") -> None:
        held = self.held[f"{namespace}/{name}"]
        assert body["metadata"] == {"resourceVersion": held["metadata"]["resourceVersion"]}
        held["series"] = body["series"]
        self._note("patch")

    def _note(self, what: str) -> None:
        self.writes.append((asyncio.get_running_loop().time(), what))


@asynccontextmanager
async def recording(server: Server) -> AsyncIterator[Recorder]:
    recorder = Recorder(server, VirtualClock(), "pod-1")  # type: ignore[arg-type]
    task = asyncio.create_task(recorder.run())
    yield recorder
    await recorder.flush()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def blocked(note: str = "PDB shop/cart allows 0 disruptions", **more: Any) -> Event:
    return Event(regarding=NODE, related=POLICY, reason=EventReason.ROTATION_BLOCKED, note=note, warning=True, **more)


def test_an_event_says_about_what_and_why() -> None:
    async def story() -> None:
        server = Server()
        async with recording(server) as recorder:
            recorder.say(blocked())
        ((name, body),) = server.held.items()
        assert name.startswith("default/worker-7."), "Events of what has no namespace live in `default`"
        assert body["regarding"] == {"apiVersion": "v1", "kind": "Node", "name": "worker-7", "uid": "U"}
        assert body["related"]["name"] == "workers"
        assert (body["reason"], body["action"], body["type"]) == ("RotationBlocked", "RotationBlocked", "Warning")
        assert (body["reportingController"], body["reportingInstance"]) == ("exuvia.dev/operator", "pod-1")
        assert body["eventTime"] == "2026-01-01T00:00:00.000000Z"

    virtual.run(story())


def test_repeats_fold_into_one_series_written_every_five_minutes_at_most() -> None:
    async def story() -> None:
        server = Server()
        async with recording(server) as recorder:
            for _ in range(1000):
                recorder.say(blocked())
                await asyncio.sleep(3)
        assert len(server.held) == 1
        moments = [at for at, _ in server.writes]
        assert [what for _, what in server.writes] == ["create"] + ["patch"] * 9
        assert all(b - a >= 300 for a, b in itertools.pairwise(moments))
        (body,) = server.held.values()
        assert body["series"]["count"] == 10

    virtual.run(story())


def test_a_new_leader_goes_on_with_the_series_and_its_period() -> None:
    async def story() -> None:
        server = Server()
        async with recording(server) as recorder:
            recorder.say(blocked())
        await asyncio.sleep(60)
        async with recording(server) as recorder:
            recorder.say(blocked())
        assert [what for _, what in server.writes] == ["create"], "the former one wrote it a minute ago"
        await asyncio.sleep(300)
        async with recording(server) as recorder:
            recorder.say(blocked())
        assert [what for _, what in server.writes] == ["create", "patch"]

    virtual.run(story())


def test_what_differs_is_another_event() -> None:
    other = ObjectReference(api_version="v1", kind="Node", name="worker-7", uid="U2")
    said = [
        blocked(),
        blocked("another note"),
        Event(regarding=other, related=POLICY, reason=EventReason.ROTATION_BLOCKED, note=blocked().note),
        Event(regarding=NODE, reason=EventReason.ROTATION_BLOCKED, note=blocked().note),
        Event(regarding=NODE, related=POLICY, reason=EventReason.DRAINED, note=blocked().note),
    ]
    assert len({one.key() for one in said}) == len(said)

    async def story() -> None:
        server = Server()
        async with recording(server) as recorder:
            for one in said:
                recorder.say(one)
        assert len(server.held) == len(said)

    virtual.run(story())


def test_a_failure_to_write_is_logged_once_and_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        server = Server(troubles=[errors.ServerTrouble("503", status=503)] * 3 + [errors.Fenced("no leader")])
        async with recording(server) as recorder:
            for number in range(5):
                recorder.say(blocked(f"note {number}"))
        assert len(server.held) == 1

    virtual.run(story())
    assert [one.getMessage() for one in caplog.records] == ["event RotationBlocked not written: 503"]


def test_too_many_are_counted_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "QUEUED", 3)

    async def story() -> None:
        server = Server()
        async with recording(server) as recorder:
            for number in range(5):
                recorder.say(blocked(f"note {number}"))
            assert recorder.dropped == 2
            await recorder.flush()
            recorder.say(blocked("note 4"))
        assert len(server.held) == 4, "what was dropped may be said again at once"

    virtual.run(story())


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "REMEMBERED", 10)

    async def story() -> None:
        async with recording(Server()) as recorder:
            for number in range(100):
                recorder.say(blocked(f"note {number}"))
            assert len(recorder._written) == 10

    virtual.run(story())


def test_flushing_ends_in_time(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        recorder = Recorder(Server(), VirtualClock(), "pod-1")  # type: ignore[arg-type]
        recorder.say(blocked())
        started = asyncio.get_running_loop().time()
        await recorder.flush(timedelta(seconds=2).total_seconds())
        assert asyncio.get_running_loop().time() - started == 2

    virtual.run(story())
    assert "left unwritten" in caplog.text


@pytest.mark.parametrize("name", ["x" * 253, "a" * 199 + ".b", "a" * 199 + "-b"])
def test_names_and_notes_fit_the_api(name: str) -> None:
    node = ObjectReference(api_version="v1", kind="Node", name=name, uid="U")

    async def story() -> None:
        server = Server()
        async with recording(server) as recorder:
            recorder.say(Event(regarding=node, reason=EventReason.DRAINED, note="ü" * 2000))
        ((key, body),) = server.held.items()
        assert len(key.removeprefix("default/")) <= 253
        assert ".." not in key and "-." not in key
        assert body["note"] == "ü" * 512

    virtual.run(story())
