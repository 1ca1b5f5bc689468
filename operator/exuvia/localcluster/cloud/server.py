"""The HTTP side of the simulated cloud; the API is described in the package's docstring."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from exuvia import errors
from exuvia.kube.client import Client
from exuvia.localcluster.cloud.book import Book
from exuvia.localcluster.cloud.engine import Cloud
from exuvia.localcluster.cloud.groups import Group, Machine, State

HOST = "127.0.0.1"
_POOL = re.compile(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?")
_KEY_LIMIT = 253

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def serve(*, kubeconfig: str, port: int, state: Path) -> None:
    """Serve on loopback until TERM or INT. Prints the address on stdout when it listens.

    Raises `errors.SettingsError` when the file, the kubeconfig or the port cannot be used.
    """
    stopped = asyncio.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(one, stopped.set)
    async with await Client.connect(kubeconfig) as client:
        cloud = Cloud(Book(state), client)
        worker = asyncio.create_task(cloud.work())
        worker.add_done_callback(lambda _: stopped.set())
        runner = web.AppRunner(application(cloud), access_log=None, shutdown_timeout=1)
        try:
            await _listen(runner, port)
            await stopped.wait()
        finally:
            await runner.cleanup()
            worker.cancel()
            ended = await asyncio.gather(worker, return_exceptions=True)
    if isinstance(ended[0], Exception):
        raise ended[0]


async def _listen(runner: web.AppRunner, port: int) -> None:
    await runner.setup()
    site = web.TCPSite(runner, HOST, port)
    try:
        await site.start()
    except OSError as trouble:
        raise errors.SettingsError(
            f"The simulated cloud cannot listen on {HOST}:{port}: {trouble.strerror}.",
            remedy="Name another port by --port, or 0 for a free one.",
        ) from trouble
    print(f"simulated cloud on http://{HOST}:{runner.addresses[0][1]}", flush=True)


def application(cloud: Cloud) -> web.Application:
    """The routes over one cloud."""
    api = _Api(cloud)
    made = web.Application(middlewares=[_in_words])
    made.add_routes(
        [
            web.get("/healthz", api.health),
            web.get("/v1/pools", api.pools),
            web.get("/v1/pools/{pool}", api.pool),
            web.put("/v1/pools/{pool}", api.define),
            web.patch("/v1/pools/{pool}", api.define),
            web.get("/v1/pools/{pool}/machines", api.machines),
            web.post("/v1/pools/{pool}/machines", api.launch),
            web.get("/v1/pools/{pool}/requests/{key:.+}", api.request),
            web.delete("/v1/machines", api.terminate),
            web.post("/v1/machines/vanish", api.vanish),
            web.get("/v1/pools/{pool}/faults", api.faults),
            web.post("/v1/pools/{pool}/faults", api.set_faults),
            web.delete("/v1/pools/{pool}/faults", api.clear_faults),
        ]
    )
    return made


class _Trouble(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, message: str, **more: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {**more, "message": message}


@web.middleware
async def _in_words(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Whatever goes wrong is JSON with a message."""
    try:
        return await handler(request)
    except _Trouble as trouble:
        return web.json_response(trouble.body, status=trouble.status)
    except msgspec.ValidationError as trouble:
        return web.json_response({"message": str(trouble)}, status=400)
    except (errors.ClusterError, OSError) as trouble:  # OSError: the book could not be written
        return web.json_response({"message": str(trouble)}, status=503)
    except web.HTTPException as trouble:
        return web.json_response(
            {"message": f"{request.method} {request.path}: {trouble.reason}"}, status=trouble.status
        )


class _Api:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._book = cloud.book

    async def health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def pools(self, _: web.Request) -> web.Response:
        return web.json_response({"pools": msgspec.to_builtins(self._book.groups)})

    async def pool(self, request: web.Request) -> web.Response:
        return web.json_response(msgspec.to_builtins(self._group(request)))

    async def define(self, request: web.Request) -> web.Response:
        group = self._cloud.define(_pool(request), await _json(request), merge=request.method == "PATCH")
        return web.json_response(msgspec.to_builtins(group))

    async def machines(self, request: web.Request) -> web.Response:
        self._group(request)
        all_ = request.query.get("all", "") == "true"
        ended = (State.FAILED, State.GONE)
        found = [one for one in self._book.machines(_pool(request)) if all_ or one.state not in ended]
        return web.json_response({"machines": [one.answer() for one in found]})

    async def launch(self, request: web.Request) -> web.Response:
        group, pool, body = self._group(request), _pool(request), await _json(request)
        key, zone = body.get("key"), body.get("zone") or ""
        if not isinstance(key, str) or not 0 < len(key) <= _KEY_LIMIT:
            raise _Trouble(400, f"`key` must be a text of 1 to {_KEY_LIMIT} characters")
        if zone and zone not in group.zones:
            raise _Trouble(400, f"the pool {pool} has no zone {zone}; it has {', '.join(group.zones)}")
        self._refuse_if_unavailable(pool)
        machine, new = self._cloud.launch(pool, key, zone)
        if new and machine.live and self._book.hit(pool, "lose_answer"):
            self._book.save()
            raise _Trouble(503, "the answer was lost, as was asked for")
        status = 409 if machine.state is State.FAILED else 201 if new else 200
        return web.json_response(machine.answer(), status=status)

    async def request(self, request: web.Request) -> web.Response:
        self._group(request)
        pool, key = _pool(request), request.match_info["key"]
        self._refuse_if_unavailable(pool)
        machine = self._book.machine(pool, key)
        if machine is None:
            raise _Trouble(404, f"nothing was asked for with the key {key}", state="Unknown")
        return web.json_response(machine.answer())

    async def terminate(self, request: web.Request) -> web.Response:
        machine = await self._machine(request)
        self._refuse_if_unavailable(machine.pool)
        return web.json_response(self._cloud.terminate(machine).answer())

    async def vanish(self, request: web.Request) -> web.Response:
        return web.json_response(self._cloud.vanish(await self._machine(request)).answer())

    async def faults(self, request: web.Request) -> web.Response:
        return web.json_response(msgspec.to_builtins(self._book.faults_of(_pool(request))))

    async def set_faults(self, request: web.Request) -> web.Response:
        faults = self._cloud.set_faults(_pool(request), await _json(request))
        return web.json_response(msgspec.to_builtins(faults))

    async def clear_faults(self, request: web.Request) -> web.Response:
        return web.json_response(msgspec.to_builtins(self._cloud.clear_faults(_pool(request))))

    def _group(self, request: web.Request) -> Group:
        found = self._book.groups.get(_pool(request))
        if found is None:
            raise _Trouble(404, f"there is no pool {_pool(request)}; define it by PUT /v1/pools/{_pool(request)}")
        return found

    def _refuse_if_unavailable(self, pool: str) -> None:
        if self._book.faults_of(pool).unavailable and self._book.hit(pool, "unavailable"):
            self._book.save()
            raise _Trouble(503, "unavailable, as was asked for")

    async def _machine(self, request: web.Request) -> Machine:
        provider_id = request.query.get("providerID", "")
        if not provider_id:
            raise _Trouble(400, "?providerID= must name the machine")
        found = await self._cloud.find(provider_id)
        if found is None or found.state is State.FAILED:
            raise _Trouble(404, f"there is no machine {provider_id}", state="Unknown")
        return found


def _pool(request: web.Request) -> str:
    name = request.match_info["pool"]
    if not _POOL.fullmatch(name):
        raise _Trouble(400, f"{name} cannot be the name of a pool: up to 42 letters a-z, digits and dashes")
    return name


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except json.JSONDecodeError as trouble:
        raise _Trouble(400, f"the body is not JSON: {trouble}") from trouble
    if not isinstance(body, dict):
        raise _Trouble(400, "the body must be a JSON object")
    return body
