"""`Client`: the real API server behind `ports.Cluster`, on aiohttp with the auth of `kubernetes.aio`.

Bodies are dicts in and out; watches and lists for reflectors are raw bytes. Every request has a time-out, so that a
leader can know by when its last write was decided.
"""

from __future__ import annotations

import asyncio
import statistics
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Self

import aiohttp
import msgspec
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject

from exuvia import errors, ports
from exuvia.kube import answers, connecting
from exuvia.model.resources import LEASES, Resource

MERGE_PATCH = "application/merge-patch+json"
CONCURRENT = 64
WATCH_LINE_LIMIT = 16 * 1024 * 1024
SILENCE_SECONDS = 15.0  # how much longer than asked for a watch may say nothing before it is given up

OnRequest = Callable[[str, Resource, int], None]
"""Told of every answer: verb, resource (`pods/eviction` counts as pods), HTTP code (0: no answer)."""


class Client:
    """One connection pool to one API server. Close it at the end."""

    def __init__(self, configuration: Configuration, reload: connecting.Reload, timeout: timedelta) -> None:
        self._configuration = configuration
        self._reload = reload
        self._timeout = timeout
        self._slots = asyncio.Semaphore(CONCURRENT)
        self._skews: deque[float] = deque(maxlen=15)
        self._session = self._open()
        self.on_request: OnRequest | None = None

    @classmethod
    async def connect(
        cls, kubeconfig: str = "", context: str = "", *, timeout: timedelta = timedelta(seconds=4)
    ) -> Self:
        """A client for the named, or the usual, credentials. Nothing is asked of the server yet."""

        async def reload() -> Configuration:
            return await connecting.load(kubeconfig, context)

        return cls(await reload(), reload, timeout)

    async def close(self) -> None:
        """Give the connections back."""
        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def configuration(self) -> Configuration:
        """Addresses and credentials as they are used now."""
        return self._configuration

    @property
    def host(self) -> str:
        """The server's URL."""
        return str(self._configuration.host)

    @property
    def clock_skew(self) -> timedelta:
        """How far our clock is ahead of the server's, by the `Date` of its last answers (median; whole seconds)."""
        return timedelta(seconds=statistics.median(self._skews)) if self._skews else timedelta(0)

    async def get(self, resource: Resource, name: str, *, namespace: str = "") -> ports.Body | None:
        """One object, or None."""
        try:
            return await self._json("GET", resource, resource.path(name, namespace=namespace))
        except errors.NotFound:
            return None

    async def pages(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
    ) -> AsyncIterator[list[ports.Body]]:
        """A consistent list, a page at a time."""
        query = _selectors(label_selector, field_selector) | {"limit": str(limit)}
        while True:
            page = await self._json("GET", resource, resource.path(namespace=namespace), query=query)
            yield page.get("items") or []
            query["continue"] = (page.get("metadata") or {}).get("continue") or ""
            if not query["continue"]:
                return

    async def raw_page(self, resource: Resource, *, limit: int, token: str = "") -> bytes:
        """One page of a list as bytes, for reflectors. `Expired` when the token is too old."""
        query = {"limit": str(limit)} | ({"continue": token} if token else {})
        return await self._bytes("GET", resource, resource.path(), query=query, timeout=timedelta(seconds=30))

    async def watch_lines(self, resource: Resource, *, version: str, seconds: int) -> AsyncGenerator[bytes]:
        """Watch events as raw lines, bookmarks included. Ends when the server ends it; raises what the answer says.

        A stream that stays silent for `seconds` + `SILENCE_SECONDS` is given up (`Unreachable`).
        """
        query = {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        silence = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=seconds + SILENCE_SECONDS)
        async with self._request("GET", resource, resource.path(), query=query, timeout=silence) as response:
            rest = b""
            async for chunk in response.content.iter_any():
                lines = (rest + chunk).split(b"\n")
                rest = lines.pop()
                for line in lines:
                    if line:
                        yield line
                if len(rest) > WATCH_LINE_LIMIT:
                    raise errors.ServerTrouble(f"watch {resource.full_name}: one event is over 16 MiB", status=500)

    async def create(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        namespace: str = "",
        name: str = "",
        subresource: str = "",
        dry_run: bool = False,
    ) -> ports.Body:
        """POST."""
        path = resource.path(name, namespace=namespace, subresource=subresource)
        return await self._json("POST", resource, path, query=_dry(dry_run), body=body)

    async def merge_patch(
        self,
        resource: Resource,
        name: str,
        body: Mapping[str, Any],
        *,
        namespace: str = "",
        subresource: str = "",
        dry_run: bool = False,
    ) -> ports.Body:
        """RFC 7396."""
        path = resource.path(name, namespace=namespace, subresource=subresource)
        return await self._json("PATCH", resource, path, query=_dry(dry_run), body=body, content_type=MERGE_PATCH)

    async def delete(
        self,
        resource: Resource,
        name: str,
        *,
        uid: str,
        namespace: str = "",
        resource_version: str = "",
        grace: timedelta | None = None,
        dry_run: bool = False,
    ) -> None:
        """DELETE with preconditions."""
        options = _delete_options(uid, resource_version, grace, dry_run)
        await self._json("DELETE", resource, resource.path(name, namespace=namespace), body=options)

    async def evict(
        self, namespace: str, name: str, *, uid: str, grace: timedelta | None = None, dry_run: bool = False
    ) -> None:
        """policy/v1 Eviction."""
        from exuvia.model import resources

        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
            "deleteOptions": _delete_options(uid, "", grace, dry_run),
        }
        path = resources.PODS.path(name, namespace=namespace, subresource="eviction")
        await self._json("POST", resources.PODS, path, body=body)

    async def logs(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        previous: bool = False,
        since: timedelta | None = None,
        limit_bytes: int = 0,
    ) -> AsyncIterator[bytes]:
        """The log of one container, in chunks."""
        from exuvia.model import resources

        query = {"container": container}
        if previous:
            query["previous"] = "true"
        if since is not None:
            query["sinceSeconds"] = str(max(1, int(since.total_seconds())))
        if limit_bytes:
            query["limitBytes"] = str(limit_bytes)
        path = resources.PODS.path(pod, namespace=namespace, subresource="log")
        patient = aiohttp.ClientTimeout(total=60, sock_connect=5)
        async with self._request("GET", resources.PODS, path, query=query, timeout=patient) as response:
            async for chunk in response.content.iter_chunked(65536):
                yield chunk

    async def _json(
        self,
        verb: str,
        resource: Resource,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> ports.Body:
        raw = await self._bytes(verb, resource, path, query=query, body=body, content_type=content_type)
        try:
            decoded = msgspec.json.decode(raw, type=dict[str, Any])
        except msgspec.DecodeError as trouble:
            raise errors.Unreachable(f"The answer to {verb} {path} is no JSON object: {trouble}.") from trouble
        return decoded

    async def _bytes(
        self,
        verb: str,
        resource: Resource,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        timeout: timedelta | None = None,
    ) -> bytes:
        """The whole answer. The time-out counts from now on, waiting for a free slot and a second try included: by then
        it is decided whether a write of ours is under way (safety.md, 9)."""
        seconds = (timeout or self._timeout).total_seconds()
        limits = aiohttp.ClientTimeout(total=seconds, sock_connect=min(seconds, 3))
        slot = nullcontext() if resource == LEASES else self._slots  # leadership waits behind nobody
        request = self._request(verb, resource, path, query=query, body=body, content_type=content_type, timeout=limits)
        try:
            async with asyncio.timeout(seconds), slot, request as response:
                return await response.read()
        except TimeoutError as trouble:
            raise answers.no_answer(self.host, verb, path, trouble) from trouble

    @asynccontextmanager
    async def _request(
        self,
        verb: str,
        resource: Resource,
        path: str,
        *,
        timeout: aiohttp.ClientTimeout,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request; what is not a success is raised. A 401 is tried once more with credentials read anew."""
        code = 0
        try:
            for attempt in (1, 2):
                async with self._session.request(
                    verb,
                    self.host + path,
                    params=query,
                    data=None if body is None else msgspec.json.encode(body),
                    headers=await self._headers(content_type),
                    timeout=timeout,
                ) as response:
                    code = response.status
                    self._note_date(response.headers.get("Date", ""))
                    if code == 401 and attempt == 1:
                        await self._log_in_again()
                        continue
                    if code >= 400:
                        raise answers.trouble(verb, path, code, response.headers, await response.read())
                    yield response
                    return
        except (aiohttp.ClientError, TimeoutError, OSError) as trouble:
            raise answers.no_answer(self.host, verb, path, trouble) from trouble
        finally:
            if self.on_request is not None:
                self.on_request(verb, resource, code)

    async def _headers(self, content_type: str) -> dict[str, str]:
        headers = {"Content-Type": content_type, "Accept": "application/json", "User-Agent": "exuvia"}
        auth = await self._configuration.auth_settings()
        if "BearerToken" in auth:
            headers["Authorization"] = auth["BearerToken"]["value"] or ""
        return headers

    async def _log_in_again(self) -> None:
        self._configuration = await self._reload()

    def _note_date(self, text: str) -> None:
        """The server's clock has whole seconds; its half is the best guess."""
        try:
            theirs = parsedate_to_datetime(text).astimezone(UTC) + timedelta(seconds=0.5)
        except (ValueError, OverflowError):
            return
        self._skews.append((datetime.now(UTC) - theirs).total_seconds())

    def _open(self) -> aiohttp.ClientSession:
        context = RESTClientObject(self._configuration).ssl_context
        connector = aiohttp.TCPConnector(limit=0, ssl=context, keepalive_timeout=60)
        return aiohttp.ClientSession(connector=connector, auto_decompress=True)


def _selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    pairs = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {key: value for key, value in pairs.items() if value}


def _dry(dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}


def _delete_options(uid: str, version: str, grace: timedelta | None, dry_run: bool) -> dict[str, Any]:
    preconditions = {"uid": uid} | ({"resourceVersion": version} if version else {})
    options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions}
    if grace is not None:
        options["gracePeriodSeconds"] = int(grace.total_seconds())
    if dry_run:
        options["dryRun"] = ["All"]
    return options
