"""One call to a vendor: what is sent, what each answer means, and what is never done."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from exuvia.act import reclaim_hook
from exuvia.act.reclaim_hook import Answer, Reply
from exuvia.model.specs.license_pool import ReclaimHook


class Vendor:
    """An HTTP server that answers as it is told, and keeps what it was sent."""

    def __init__(self) -> None:
        self.code, self.text, self.headers = 200, "", dict[str, str]()
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, dict(request.headers), await request.json()))
        return web.Response(status=self.code, text=self.text, headers=self.headers)


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    made, application = Vendor(), web.Application()
    application.router.add_post("/{tail:.*}", made.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    made.url = f"http://{host}:{port}/seats"
    yield made
    await runner.cleanup()


async def call(url: str, body: dict[str, Any] | None = None, token: str = "") -> Answer:
    async with aiohttp.ClientSession() as session:
        hook = ReclaimHook(url=url, timeout="2s")  # type: ignore[arg-type]
        return await reclaim_hook.post(session, hook, "key-1", body or {"type": "reclaim"}, token=token)


async def test_what_is_sent(vendor: Vendor) -> None:
    await call(vendor.url, {"type": "reclaim", "instance": "a", "dryRun": True}, token="secret")
    ((path, headers, body),) = vendor.asked
    assert (path, body) == ("/seats", {"type": "reclaim", "instance": "a", "dryRun": True})
    assert headers["Idempotency-Key"] == "key-1"
    assert headers["X-Exuvia-Dry-Run"] == "true"
    assert headers["Authorization"] == "Bearer secret"


async def test_without_a_token_none_is_sent(vendor: Vendor) -> None:
    await call(vendor.url)
    assert "Authorization" not in vendor.asked[0][1]
    assert vendor.asked[0][1]["X-Exuvia-Dry-Run"] == "false"


@pytest.mark.parametrize(
    ("code", "reply"),
    [
        (200, Reply.DONE),
        (204, Reply.DONE),
        (400, Reply.REFUSED),
        (403, Reply.REFUSED),
        (404, Reply.REFUSED),
        (408, Reply.AGAIN),
        (409, Reply.REFUSED),
        (429, Reply.AGAIN),
        (500, Reply.AGAIN),
        (503, Reply.AGAIN),
    ],
)
async def test_what_each_code_means(vendor: Vendor, code: int, reply: Reply) -> None:
    vendor.code = code
    assert (await call(vendor.url)).reply is reply


async def test_a_redirect_is_not_followed(vendor: Vendor) -> None:
    vendor.code, vendor.headers = 307, {"Location": vendor.url + "/elsewhere"}
    assert (await call(vendor.url)).reply is Reply.REFUSED
    assert len(vendor.asked) == 1


async def test_no_answer_is_tried_again() -> None:
    found = await call("http://127.0.0.1:1/seats")
    assert found.reply is Reply.AGAIN
    assert found.said


@pytest.mark.parametrize(
    ("text", "used"),
    [
        ('{"used": 240}', 240),
        ('{"used": -1}', None),
        ('{"used": true}', None),
        ('{"used": "240"}', None),
        ("[240]", None),
        ("[" * 64 * 1024, None),
        ("", None),
        ("fine", None),
    ],
)
async def test_the_vendors_own_count(vendor: Vendor, text: str, used: int | None) -> None:
    vendor.text = text
    assert (await call(vendor.url)).used == used


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Vendor.example.org/seats", "vendor.example.org"),
        ("https://vendor.example.org:8443/", "vendor.example.org:8443"),
        ("https://good.example.org@evil.example.org/", "evil.example.org"),
        ("https:///seats", ""),
    ],
)
def test_the_host_that_would_be_called(url: str, host: str) -> None:
    assert reclaim_hook.host(url) == host
