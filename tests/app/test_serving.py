"""The endpoints say whether the replica is well, and whether it acts or stands by."""

from __future__ import annotations

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from exuvia.app.serving import Probes, serve
from tests.e2e.operated import free_port


@pytest.mark.parametrize(("trouble", "status", "text"), [("", 200, "ok: stands by, a leads\n"), ("why", 503, "why\n")])
async def test_a_probe_says_what_is_wrong_or_who_it_is(trouble: str, status: int, text: str) -> None:
    port = free_port()
    probes = Probes(healthy=lambda: trouble, ready=lambda: trouble, role=lambda: "stands by, a leads")
    site = await serve(CollectorRegistry(), probes, host="127.0.0.1", port=port)
    try:
        async with aiohttp.ClientSession() as session:
            for path in ("healthz", "readyz"):
                async with session.get(f"http://127.0.0.1:{port}/{path}") as answer:
                    assert (answer.status, await answer.text()) == (status, text)
    finally:
        await site.cleanup()
