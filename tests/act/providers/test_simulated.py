"""The simulated cloud's client against a small HTTP server that answers as the cloud does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from exuvia import errors, ports
from exuvia.act.providers import close_providers, configured
from exuvia.act.providers.simulated import Simulated
from exuvia.model.instances import Reference
from exuvia.sandbox.cluster import World

MACHINE = {"requestID": "17", "state": "Launching", "providerID": "simulated://blue/b-1", "nodeName": "b-1"}
OLD = Reference(name="b-0", uid="uid-0", provider_id="simulated://blue/b-0")


class Server:
    """Answers what it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answer: tuple[int, Any] = (201, MACHINE)
        self.asked: list[tuple[str, str, Any]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        self.asked.append((request.method, request.raw_path, body))
        status, answer = self.answer
        if isinstance(answer, str):
            return web.Response(status=status, text=answer, headers={"Location": "http://127.0.0.1:1/elsewhere"})
        return web.json_response(answer, status=status)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    made.url = f"http://{host}:{port}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def provider(server: Server) -> AsyncIterator[Simulated]:
    made = configured(cluster=World(), simulated_cloud=server.url + "/")
    found = made["Simulated"]
    assert isinstance(found, Simulated)
    yield found
    await close_providers(made)


async def test_a_request_carries_the_key_and_is_known_by_it(server: Server, provider: Simulated) -> None:
    found = await provider.request(pool="blue", key="uid-1/0", like=OLD)

    assert server.asked == [("POST", "/v1/pools/blue/machines", {"key": "uid-1/0"})]
    assert found == ports.Machine(
        state=ports.MachineState.LAUNCHING, provider_id="simulated://blue/b-1", node_name="b-1", request_id="uid-1/0"
    )


async def test_a_request_is_found_by_its_key(server: Server, provider: Simulated) -> None:
    server.answer = (200, {**MACHINE, "state": "Running"})

    found = await provider.find(pool="blue", key="uid-1/0")

    assert server.asked == [("GET", "/v1/pools/blue/requests/uid-1%2F0", None)]
    assert found.state is ports.MachineState.RUNNING


async def test_a_request_that_the_cloud_never_saw_is_unknown(server: Server, provider: Simulated) -> None:
    server.answer = (404, {"state": "Unknown", "message": "nothing was asked for"})

    assert (await provider.find(pool="blue", key="k")).state is ports.MachineState.UNKNOWN


async def test_a_state_of_a_newer_cloud_says_nothing(server: Server, provider: Simulated) -> None:
    server.answer = (200, {**MACHINE, "state": "Dreaming"})

    assert (await provider.find(pool="blue", key="k")).state is ports.MachineState.UNKNOWN


@pytest.mark.parametrize(("status", "definite"), [(409, True), (400, True), (404, True), (503, False), (429, False)])
async def test_only_a_plain_no_is_definite(server: Server, provider: Simulated, status: int, definite: bool) -> None:
    server.answer = (status, {"state": "Failed", "message": "the pool is full"})

    with pytest.raises(errors.ProviderError) as caught:
        await provider.request(pool="blue", key="k", like=OLD)

    assert caught.value.definite is definite
    assert "the pool is full" in str(caught.value)


async def test_no_answer_is_not_definite() -> None:
    provider = Simulated("http://127.0.0.1:1")

    with pytest.raises(errors.ProviderError) as caught:
        await provider.request(pool="blue", key="k", like=OLD)

    assert not caught.value.definite
    assert "--simulated-cloud" in str(caught.value)
    await provider.close()


async def test_redirects_are_not_followed(server: Server, provider: Simulated) -> None:
    server.answer = (302, "over there")

    with pytest.raises(errors.ProviderError) as caught:
        await provider.find(pool="blue", key="k")

    assert not caught.value.definite
    assert len(server.asked) == 1


async def test_a_pool_less_machine_is_refused_before_anybody_is_asked(server: Server, provider: Simulated) -> None:
    with pytest.raises(errors.ProviderError) as caught:
        await provider.request(pool="", key="k", like=OLD)

    assert caught.value.definite
    assert "exuvia.dev/pool" in str(caught.value)
    assert server.asked == []


@pytest.mark.parametrize("status", [200, 202, 404])
async def test_a_removal_goes_by_the_provider_id_and_gone_is_success(
    server: Server, provider: Simulated, status: int
) -> None:
    server.answer = (status, {"state": "Gone"})

    await provider.remove(pool="blue", instance=OLD)

    assert server.asked == [("DELETE", "/v1/machines?providerID=simulated://blue/b-0", None)]


@pytest.mark.parametrize("provider_id", ["", "aws:///x/i-1"])
async def test_a_machine_of_somebody_else_is_never_removed(
    server: Server, provider: Simulated, provider_id: str
) -> None:
    stranger = Reference(name="b-0", uid="uid-0", provider_id=provider_id)

    with pytest.raises(errors.ProviderError) as caught:
        await provider.remove(pool="blue", instance=stranger)

    assert caught.value.definite
    assert server.asked == []


async def test_the_fence_is_asked_before_the_cloud(server: Server) -> None:
    class Former:
        def check(self) -> None:
            raise errors.Fenced("we do not lead")

    providers = configured(cluster=World(), simulated_cloud=server.url, leadership=Former())

    with pytest.raises(errors.Fenced):
        await providers["Simulated"].request(pool="blue", key="k", like=OLD)
    with pytest.raises(errors.Fenced):
        await providers["Simulated"].remove(pool="blue", instance=OLD)

    assert server.asked == []
    await close_providers(providers)
