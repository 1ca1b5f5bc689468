"""kopf serves our own kinds: its handlers are where each of them lives while we lead. By event only: no storage, no
annotation and no finalizer of kopf's.

It runs in a thread with a loop of its own, because it cancels what it does not know when it stops. It is supervised: an
answer it cannot digest ends it, never us. Nodes and Pods are none of its business.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import kopf

from exuvia.kube.credentials import Credentials
from exuvia.model import marks, resources

log = logging.getLogger(__name__)

BACKOFF_FIRST = 1.0
BACKOFF_MOST = 60.0
CHUNK = 500
CREDENTIALS_SECONDS = 10.0
UNUSED_FINALIZER = "exuvia.dev/kopf"  # kopf takes its finalizer off whatever needs none: ours must not be it

Seen = Callable[[str, str, str], None]
"""Told of every event of one of our objects, in the main loop: kind, UID and version."""


class _Delays:
    """Endless capped delays, so that a passing 5xx never ends the operator."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((1, 1, 2, 3, 5, 8, 13), itertools.repeat(20))


class Handlers:
    """Runs kopf until `stop`."""

    def __init__(self, credentials: Callable[[], Awaitable[Credentials]], seen: Seen) -> None:
        """`credentials` gives them as they are now, in the main loop: a token does not last for ever."""
        self._credentials = credentials
        self._seen = seen
        self._main = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="kopf", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    async def stop(self) -> None:
        """End it; kopf takes up to some seconds."""
        self._stop.set()
        await asyncio.to_thread(self._thread.join, 10)

    def _supervise(self) -> None:
        delay = BACKOFF_FIRST
        while not self._stop.is_set():
            try:
                asyncio.run(self._serve())
                delay = BACKOFF_FIRST
            except Exception as trouble:  # whatever ends kopf must not end us
                log.warning("kopf ended and is started again in %.0f s: %s", delay, trouble)
            if not self._stop.wait(delay):
                delay = min(delay * 2, BACKOFF_MOST)

    async def _serve(self) -> None:
        await kopf.operator(
            registry=self._registry(),
            settings=_settings(),
            standalone=True,
            clusterwide=True,
            stop_flag=self._stop,
        )

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        def login(**_: Any) -> kopf.ConnectionInfo:
            return _connection(self._now())

        for one in resources.OURS:
            self._serve_kind(registry, one)
        return registry

    def _now(self) -> Credentials:
        """Asked for from the thread of kopf."""

        async def ask() -> Credentials:
            return await self._credentials()

        return asyncio.run_coroutine_threadsafe(ask(), self._main).result(CREDENTIALS_SECONDS)

    def _serve_kind(self, registry: kopf.OperatorRegistry, resource: resources.Resource) -> None:
        @kopf.on.event(marks.GROUP, resource.version, resource.plural, registry=registry, id=f"seen-{resource.plural}")
        async def seen(uid: str | None, meta: kopf.Meta, **_: Any) -> None:
            if uid and not self._main.is_closed():
                self._main.call_soon_threadsafe(self._seen, resource.kind, uid, str(meta.get("resourceVersion") or ""))


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.persistence.finalizer = UNUSED_FINALIZER
    settings.queueing.idle_timeout = 1.0
    settings.watching.chunk_size = CHUNK
    settings.watching.server_timeout = 300
    settings.networking.error_backoffs = _Delays()
    settings.process.ultimate_exiting_timeout = None
    return settings


def _connection(credentials: Credentials) -> kopf.ConnectionInfo:
    return kopf.ConnectionInfo(
        server=credentials.server,
        ca_path=credentials.ca_file or None,
        certificate_path=credentials.certificate_file or None,
        private_key_path=credentials.key_file or None,
        scheme="Bearer" if credentials.token else None,
        token=credentials.token or None,
        insecure=credentials.insecure or None,
    )
