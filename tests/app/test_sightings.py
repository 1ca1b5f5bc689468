"""Up to when everything is in the ledger, and what the API server tells of the time since then."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from exuvia import errors
from exuvia.app import sightings
from exuvia.app.sightings import DELAY, KEY, Sighting, Sightings
from exuvia.model import facts
from tests.app import stage
from tests.app.stage import NOW
from tests.evaluate.world import node

LAST = Sighting(at=NOW - timedelta(minutes=1), version="100")


def event(type_: str, uid: str, version: int, born: str = "2026-11-25T11:59:30Z", name: str = "w") -> bytes:
    meta = {"name": name, "uid": uid, "resourceVersion": str(version), "creationTimestamp": born}
    return json.dumps({"type": type_, "object": {"kind": "Node", "metadata": meta}}).encode()


class Server:
    """A watch that says these lines and then nothing, or that it remembers no more."""

    def __init__(self, *lines: bytes, trouble: Exception | None = None) -> None:
        self.lines = lines
        self.trouble = trouble
        self.asked: list[str] = []

    async def watch_lines(self, resource: Any, *, version: str, seconds: int) -> AsyncGenerator[bytes]:
        self.asked.append(version)
        if self.trouble is not None:
            raise self.trouble
        for line in self.lines:
            yield line


async def test_what_came_and_went_meanwhile_is_told_in_order_with_its_earliest_moment() -> None:
    server = Server(
        event("MODIFIED", "a", 101, born="2026-11-25T10:00:00Z"),
        event("DELETED", "a", 102, born="2026-11-25T10:00:00Z"),
        event("ADDED", "b", 103),
        event("DELETED", "b", 104),
        event("ADDED", "c", 105, born="2026-11-25T11:59:40Z"),
        event("ADDED", "d", 106, name="later"),
    )
    found = await sightings.replay(server, LAST, "105")  # type: ignore[arg-type]
    assert server.asked == ["100"]
    born = NOW - timedelta(seconds=30)
    assert [(one.instance.uid, one.gone, one.since) for one in found] == [
        ("a", True, LAST.at),
        ("b", False, born),
        ("b", True, born),
        ("c", False, NOW - timedelta(seconds=20)),
    ]
    assert sightings.heirs(found) == [born, NOW - timedelta(seconds=20), NOW - timedelta(seconds=20), None]


async def test_a_birth_before_the_note_says_that_the_note_was_late() -> None:
    server = Server(
        event("DELETED", "a", 101, born="2026-11-25T10:00:00Z"),
        event("ADDED", "b", 102, born="2026-11-25T11:58:40Z"),
        event("DELETED", "b", 103, born="2026-11-25T11:58:40Z"),
        event("ADDED", "c", 104, born="2026-11-25T11:59:10Z"),
        event("DELETED", "c", 105, born="2026-11-25T11:59:10Z"),
    )
    found = await sightings.replay(server, LAST, "105")  # type: ignore[arg-type]
    assert [sightings.refuted(LAST, one.instance) for one in found if not one.gone] == [True, False]
    told = [(one.instance.uid, one.since) for one in sightings.doubted(LAST, found) if one.gone]
    assert told == [
        ("a", NOW - timedelta(hours=2)),
        ("b", NOW - timedelta(seconds=80)),
        ("c", NOW - timedelta(seconds=50)),
    ], "what went before is only known to have lived; what went after, to have gone after"


def test_a_birth_within_the_second_of_the_note_refutes_nothing() -> None:
    last = Sighting(at=NOW + timedelta(seconds=0.9), version="1")
    assert not sightings.refuted(last, node("w", born=NOW))
    assert sightings.refuted(Sighting(at=NOW + timedelta(seconds=1), version="1"), node("w", born=NOW))


async def test_while_the_machines_are_listed_anew_everything_that_comes_is_taken() -> None:
    server = Server(event("DELETED", "a", 102), event("ADDED", "b", 900))
    assert len(await sightings.replay(server, LAST, "")) == 2  # type: ignore[arg-type]


async def test_what_is_known_to_come_is_waited_for_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sightings, "SILENCE_SECONDS", 0.01)

    class Slow(Server):
        async def watch_lines(self, resource: Any, *, version: str, seconds: int) -> AsyncGenerator[bytes]:
            await asyncio.sleep(0.3)
            yield event("ADDED", "b", 104)
            await asyncio.sleep(3600)

    assert len(await sightings.replay(Slow(), LAST, "900", 104)) == 1  # type: ignore[arg-type]
    assert await sightings.replay(Slow(), LAST, "900", 100) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "server",
    [
        Server(trouble=errors.Expired("too old", status=410)),
        Server(b'{"type":"ERROR","object":{"code":410}}'),
        Server(b"torn"),
        Server(),
    ],
    ids=["refused", "error event", "torn", "nothing"],
)
async def test_what_the_server_has_forgotten_is_left_out(server: Server) -> None:
    assert await sightings.replay(server, LAST, "105") == []  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "nonsense", "2026-11-25T11:59:00Z", "2026-11-25T11:59:00Z x", " 5"])
def test_a_note_that_says_nothing_counts_as_none(text: str) -> None:
    assert sightings.parse({KEY: text}) is None


@pytest.mark.parametrize("hindered", ["", "not durable", "not told", "not listed", "past unknown"])
def test_a_moment_is_noted_only_once_everything_before_it_is_durable(hindered: str) -> None:
    notes: dict[str, str] = {}
    services = stage.services(
        leadership=SimpleNamespace(notes=notes),
        scribe=SimpleNamespace(idle=hindered != "not durable"),
        chronicle=SimpleNamespace(loaded=hindered != "past unknown", accepted="0"),
    )
    nodes = services.view.nodes
    nodes.synced, nodes.last_heard = True, NOW
    nodes._version = "" if hindered == "not listed" else "123"
    if hindered == "not told":
        nodes.store.put(node("w", born=NOW), "1")
    Sightings(services).look()
    assert notes == ({} if hindered else {KEY: f"{facts.text(NOW - DELAY)} 123 0"})
    if not hindered:
        assert sightings.parse(notes) == Sighting(at=NOW - DELAY, version="123", known_by="0")


def test_a_note_names_the_last_acceptance_that_its_ledger_held_unless_a_former_version_wrote_it() -> None:
    moment, entry = facts.text(NOW), f"7:{'ab' * 32}"
    for known_by, said in ((entry, f" {entry}"), (None, ""), (None, " 7:ab"), (None, " x")):
        expected = Sighting(at=NOW, version="123", known_by=known_by)
        assert sightings.parse({KEY: f"{moment} 123{said}"}) == expected
