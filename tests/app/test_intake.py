"""Sessions by HTTP: over TLS, from whom the API server lets in, whole or not at all, once, and durable when told so."""

from __future__ import annotations

import asyncio
import io
import json
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from sqlalchemy import func, select

from exuvia import errors
from exuvia.app import audit_events, deletions, intake
from exuvia.app.deletions import Told
from exuvia.app.intake import AUDIT, LARGEST, SESSIONS, Intake
from exuvia.app.sessions import MOST
from exuvia.app.settings import Settings
from exuvia.localcluster.certificates import Authority
from exuvia.record import personal, tables
from exuvia.record.reading import reading
from tests.app import stage
from tests.e2e.operated import free_port
from tests.record import world

ALICE = {"type": "session", "uid": "A", "user": "alice", "from": "2026-01-01T00:05:00Z", "to": None}
BOB = ALICE | {"user": "bob", "to": "2026-01-01T00:10:00Z"}


class Reviews:
    """An API server that knows one token, and lets its user in or not."""

    def __init__(self) -> None:
        self.allowed = True
        self.away = self.forbidden = False
        self.asked: list[dict[str, Any]] = []

    async def create(self, resource: Any, body: Any, **_: Any) -> Any:
        if self.forbidden:
            raise errors.Forbidden("tokenreviews.authentication.k8s.io is forbidden", status=403)
        if self.away:
            raise errors.Unreachable("nobody answers")
        self.asked.append(body)
        if resource.kind == "TokenReview":
            good = body["spec"]["token"] == "good"
            return {"status": {"authenticated": good, "user": {"username": "vdi", "groups": ["g"]} if good else {}}}
        return {"status": {"allowed": self.allowed}}


@dataclass
class Door:
    """An open one, and the ledger behind it."""

    url: str
    trusted: ssl.SSLContext
    path: Path
    reviews: Reviews
    services: Any
    headers: dict[str, str] = field(default_factory=lambda: {"Authorization": "Bearer good"})

    async def post(self, body: bytes | str, **headers: str) -> tuple[int, Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.url, data=body, headers=self.headers | headers, ssl=self.trusted) as answer,
        ):
            return answer.status, await answer.json(content_type=None)

    def entered(self) -> int:
        with reading(self.path) as connection:
            found = select(func.count()).select_from(tables.entries).where(tables.entries.c.kind == "session")
            return int(connection.scalar(found) or 0)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Door]:
    authority = Authority(folder / "ca", "ca")
    pair = authority.issue("server", "intake", server=True)
    port = free_port()
    settings = Settings(
        intake_cert=str(pair.certificate), intake_key=str(pair.key), intake_port=port, http_host="127.0.0.1"
    )
    assert intake.check(settings)
    async with world.running(folder / "ledger.db") as ledger:
        reviews, clock = Reviews(), stage.HandClock()
        services = stage.services(clock=clock, settings=settings, ledger=ledger, past_known=True)
        held = SimpleNamespace(services=services)
        door = Intake(settings, reviews, clock.monotonic, lambda: held.services)  # type: ignore[arg-type]
        site = await door.serve()
        trusted = ssl.create_default_context(cafile=str(authority.pair.certificate))
        try:
            yield Door(
                url=f"https://127.0.0.1:{port}/sessions",
                trusted=trusted,
                path=folder / "ledger.db",
                reviews=reviews,
                services=held,
            )
        finally:
            await site.cleanup()


def ndjson(*told: dict[str, Any]) -> str:
    return "".join(f"{json.dumps(one)}\n" for one in told)


@pytest.mark.parametrize("body", [ndjson(ALICE, BOB), json.dumps([ALICE, BOB])], ids=["lines", "list"])
async def test_sessions_are_in_the_ledger_once_when_they_were_taken(tmp_path: Path, body: str) -> None:
    async with opened(tmp_path) as door:
        assert await door.post(body) == (200, {"entered": 2, "known": 0})
        assert door.entered() == 2
        assert await door.post(body) == (200, {"entered": 0, "known": 2})
        ended = ALICE | {"to": "2026-01-01T00:20:00Z"}
        assert await door.post(ndjson(ended, ended)) == (200, {"entered": 1, "known": 0})
        with reading(door.path) as connection:
            users = connection.scalars(select(tables.sessions.c.user).distinct()).all()
            assert {personal.revealed(connection, one) for one in users} == {"alice", "bob"}


async def test_who_is_not_known_or_may_not_is_sent_away_and_nothing_is_read(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        for header in ("", "Bearer", "Basic good", "Bearer bad"):
            status, said = await door.post(ndjson(ALICE), Authorization=header)
            assert (status, "token" in said["error"]) == (401, True)
        door.reviews.allowed = False
        status, said = await door.post(ndjson(ALICE))
        assert status == 403 and "vdi may not post to /sessions" in said["error"]
        door.reviews.away = True
        assert (await door.post(ndjson(ALICE)))[0] == 503
        assert door.entered() == 0
    access = door.reviews.asked[-1]["spec"]
    assert access["nonResourceAttributes"] == {"path": "/sessions", "verb": "post"}
    assert (access["user"], access["groups"]) == ("vdi", ["g"])


async def test_without_the_right_to_ask_the_log_names_what_to_apply(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as door:
        door.reviews.forbidden = True
        assert (await door.post(ndjson(ALICE)))[0] == 503
    assert "apply deploy/components/intake" in caplog.text
    assert (Path(__file__).parents[2] / "deploy/components/intake/kustomization.yaml").is_file()


async def test_a_token_is_asked_about_once_in_some_seconds(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        await door.post(ndjson(ALICE))
        await door.post(ndjson(BOB))
        assert len(door.reviews.asked) == 2
        door.services.services.clock.seconds += intake.REMEMBERED_SECONDS
        await door.post(ndjson(BOB))
        assert len(door.reviews.asked) == 4


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "no session"),
        ("{", "line 1"),
        ("[{", "no JSON"),
        (b"\xff", "UTF-8"),
        (ndjson(ALICE, ALICE | {"user": ""}), "line 2"),
        (ndjson(ALICE, {"type": "score"}), "line 2"),
        (ndjson({"type": "frozen", "uid": "A", "from": "2026-01-01T00:00:00Z"}), "no session"),
        (ndjson(ALICE | {"recordedAt": "2020-01-01T00:00:00Z"}), "recordedAt"),
        (ndjson(ALICE | {"to": "2025-01-01T00:00:00Z"}), "ended before it began"),
        (ndjson(*[ALICE] * (MOST + 1)), "too many"),
    ],
)
async def test_what_cannot_be_used_refuses_all_of_it_and_says_where(
    tmp_path: Path, body: str | bytes, said: str
) -> None:
    async with opened(tmp_path) as door:
        status, answer = await door.post(body)
        assert status == 400
        assert said in answer["error"]
        assert door.entered() == 0


async def test_a_body_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async with (
        opened(tmp_path) as door,
        aiohttp.ClientSession() as session,
        session.post(
            door.url, data=io.BytesIO(b" " * (LARGEST[SESSIONS] + 1)), headers=door.headers, ssl=door.trusted
        ) as answer,
    ):
        assert answer.status == 413


async def test_who_may_tell_of_sessions_may_not_yet_tell_of_deletions(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        assert (await door.post(ndjson(ALICE)))[0] == 200
        door.url = door.url.replace(SESSIONS, AUDIT)
        door.reviews.allowed = False
        status, said = await door.post('{"kind":"EventList","items":[]}')
        assert (status, said["error"].startswith("vdi may not post to /signals/audit")) == (403, True)
        door.reviews.allowed = True
        nothing = {"entered": 0, "known": 0, "unknown": 0, "passed": 0}
        assert await door.post('{"kind":"EventList","items":[]}') == (200, nothing)
        assert (await door.post(ndjson(ALICE)))[0] == 400


async def test_audit_events_are_read_beside_the_loop_one_request_at_a_time_and_hold_up_no_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that tell the same at once would enter it twice, and sixteen would need the memory of all."""
    busy, most, threads, go_on = 0, 0, set[int](), asyncio.Event()

    async def enter(*_: Any) -> Told:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await go_on.wait()
        busy -= 1
        return Told(passed=1)

    def read(body: bytes) -> list[Any]:
        threads.add(threading.get_ident())
        return []

    monkeypatch.setattr(deletions, "enter", enter)
    monkeypatch.setattr(audit_events, "read", read)
    async with opened(tmp_path) as door:
        sessions, door.url = door.url, door.url.replace(SESSIONS, AUDIT)
        told = [asyncio.create_task(door.post("{}")) for _ in range(6)]
        while sum(one.done() for one in told) < 2:
            await asyncio.sleep(0.01)
        refused = [one.result()[0] for one in told if one.done()]
        door.url = sessions
        assert (await door.post(ndjson(ALICE)))[0] == 200
        go_on.set()
        answers = [(await one)[0] for one in told]
    assert refused == [503, 503]
    assert sorted(answers) == [200] * 4 + [503] * 2
    assert most == 1
    assert threading.get_ident() not in threads


async def test_nothing_is_taken_that_would_not_be_durable(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        ledger = door.services.services.ledger

        async def down(*_: Any) -> Any:
            raise errors.LedgerDown("the disk is full")

        services, ledger.append = door.services.services, down
        assert (await door.post(ndjson(ALICE)))[0] == 503
        services.past_known = False
        assert (await door.post(ndjson(ALICE)))[0] == 503
        door.services.services = None  # another replica leads
        assert (await door.post(ndjson(ALICE)))[0] == 503


async def test_without_tls_nobody_answers_and_other_paths_are_not_there(tmp_path: Path) -> None:
    async with opened(tmp_path) as door, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.post(door.url.replace("https", "http"), data=ndjson(ALICE), headers=door.headers)
        async with session.post(f"{door.url}/x", headers=door.headers, ssl=door.trusted) as answer:
            assert answer.status == 404
        async with session.get(door.url, headers=door.headers, ssl=door.trusted) as answer:
            assert answer.status == 405
    await asyncio.sleep(0.05)  # TLS connections are closed


@pytest.mark.parametrize("header", ["Bearer \udcff\udcfe", "Bearer caf\u00e9", "Bearer ", "Basic eA==", ""])
async def test_what_is_no_token_is_refused_without_asking_anybody(header: str) -> None:
    doorkeeper = intake.Doorkeeper(None, lambda: 0.0)  # type: ignore[arg-type]
    with pytest.raises(intake.Refused) as caught:
        await doorkeeper.check(header, SESSIONS)
    assert caught.value.status == 401


def test_half_a_certificate_and_none_are_told_from_a_whole_one(tmp_path: Path) -> None:
    assert not intake.check(Settings())
    with pytest.raises(errors.SettingsError, match="Only one"):
        intake.check(Settings(intake_cert="tls.crt"))
    made = Intake(
        Settings(intake_cert="nowhere", intake_key="nowhere"),
        Reviews(),  # type: ignore[arg-type]
        lambda: 0.0,
        lambda: None,
    )
    with pytest.raises(errors.SettingsError, match="cannot be used"):
        made.load()
