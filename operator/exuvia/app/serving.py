"""HTTP: /metrics, /healthz, /readyz. Metrics are rendered off the event loop: a scrape must not delay a lease."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """Questions that the endpoints ask: each gives "" for yes, else the sentence that says why not. `role`: whether
    this replica acts or stands by, in words, for people who look."""

    healthy: Callable[[], str]
    ready: Callable[[], str]
    role: Callable[[], str] = lambda: ""


async def serve(registry: CollectorRegistry, probes: Probes, *, host: str, port: int) -> web.AppRunner:
    """Listen and return the running site; `cleanup()` it at the end. OSError when the port is taken."""
    app = web.Application()
    app.add_routes(
        [
            web.get("/metrics", _metrics(registry)),
            web.get("/healthz", _probe(probes.healthy, probes.role)),
            web.get("/readyz", _probe(probes.ready, probes.role)),
        ]
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner


def _metrics(registry: CollectorRegistry) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        body = await asyncio.to_thread(encode, registry)
        return web.Response(body=body, headers={"Content-Type": content_type})

    return answer


def _probe(
    question: Callable[[], str], role: Callable[[], str]
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        trouble, said = question(), role()
        fine = f"ok: {said}" if said else "ok"
        return web.Response(status=503 if trouble else 200, text=(trouble or fine) + "\n")

    return answer
