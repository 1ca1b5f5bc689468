"""The client: each answer becomes the exception that says what it means, and every delete names its object."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from exuvia import errors
from exuvia.kube import answers, client, connecting
from exuvia.kube.client import Client
from exuvia.localcluster.controlplane import ControlPlane
from exuvia.model import resources

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def kubeconfig(folder: Path, url: str, **user: Any) -> Path:
    path = folder / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "clusters": [{"name": "c", "cluster": {"server": url.rstrip("/")}}],
                "users": [{"name": "u", "user": user}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    return path


@asynccontextmanager
async def connected(folder: Path, answer: Handler, timeout: float = 4.0, **user: Any) -> AsyncIterator[Client]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        path = kubeconfig(folder, str(server.make_url("")), **user)
        async with await Client.connect(str(path), timeout=timedelta(seconds=timeout)) as made:
            yield made


def saying(status: int, body: Any = None, headers: dict[str, str] | None = None) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(body or {}, status=status, headers=headers)

    return answer


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {}, errors.Refused),
        (401, {}, errors.Unauthorized),
        (403, {}, errors.Forbidden),
        (404, {}, errors.NotFound),
        (405, {}, errors.ClusterError),
        (409, {"reason": "AlreadyExists"}, errors.AlreadyExists),
        (409, {"reason": "Conflict"}, errors.Conflict),
        (410, {}, errors.Expired),
        (422, {"reason": "Invalid"}, errors.Refused),
        (429, {}, errors.TooManyRequests),
        (500, {}, errors.ServerTrouble),
        (503, {}, errors.ServerTrouble),
    ],
)
async def test_an_answer_becomes_its_exception(tmp_path: Path, status: int, body: Any, kind: type[Exception]) -> None:
    async with connected(tmp_path, saying(status, body | {"message": "because"})) as made:
        with pytest.raises(errors.ClusterError) as caught:
            await made.create(resources.NODES, {"kind": "Node"})
        assert type(caught.value) is kind
        assert caught.value.status == status
        assert "POST /api/v1/nodes: because" in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"Retry-After": "7"}, {}, 7.0),
        ({}, {"details": {"retryAfterSeconds": 3}}, 3.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, {}, None),
        ({}, {}, None),
    ],
)
async def test_the_wish_of_a_busy_server_is_kept(
    tmp_path: Path, headers: dict[str, str], body: Any, seconds: float | None
) -> None:
    async with connected(tmp_path, saying(429, body, headers)) as made:
        with pytest.raises(errors.TooManyRequests) as caught:
            await made.evict("shop", "cart", uid="u")
        wanted = None if seconds is None else timedelta(seconds=seconds)
        assert caught.value.retry_after == wanted


def test_the_reason_of_a_refusal_is_its_cause() -> None:
    raw = b'{"reason":"Forbidden","details":{"causes":[{"reason":"NamespaceTerminating"}]}}'
    assert answers.trouble("POST", "/x", 403, {}, raw).reason == "NamespaceTerminating"
    assert answers.trouble("POST", "/x", 403, {}, b"<html>no</html>").reason == ""
    assert "no message" in str(answers.trouble("GET", "/x", 500, {}, b""))


async def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    async with connected(tmp_path, saying(404)) as made:
        assert await made.get(resources.NODES, "a") is None


async def test_no_answer_in_time_is_unreachable(tmp_path: Path) -> None:
    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(3600)
        raise AssertionError

    async with connected(tmp_path, never, timeout=0.2) as made:
        with pytest.raises(errors.Unreachable, match="does not answer GET /api/v1/nodes/a: no answer in time"):
            await asyncio.wait_for(made.get(resources.NODES, "a"), 2)


async def test_the_time_out_counts_from_the_call_also_while_waiting_for_a_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CONCURRENT", 1)
    arrived: list[str] = []

    async def slow(request: web.Request) -> web.StreamResponse:
        arrived.append(request.path)
        await asyncio.sleep(0.6)
        return web.json_response({})

    async with connected(tmp_path, slow, timeout=1.0) as made:
        started = asyncio.get_running_loop().time()
        calls = [made.create(resources.NODES, {}) for _ in range(4)]
        lease = made.get(resources.LEASES, "exuvia-leader", namespace="exuvia-system")
        *said, answer = await asyncio.gather(*calls, lease, return_exceptions=True)
        assert asyncio.get_running_loop().time() - started < 1.3
    assert [type(one) for one in said] == [dict] + [errors.Unreachable] * 3
    assert answer == {}, "leadership waits behind nobody"
    assert len(arrived) == 3, "what waited too long was never sent"


async def test_nobody_there_is_unreachable(tmp_path: Path) -> None:
    async with await Client.connect(str(kubeconfig(tmp_path, "http://127.0.0.1:1"))) as made:
        with pytest.raises(errors.Unreachable, match=r"does not answer.*Check that the cluster runs"):
            await made.get(resources.NODES, "a")


async def test_a_certificate_that_is_not_trusted_is_no_missing_cluster(tmp_path: Path, plane: ControlPlane) -> None:
    other = yaml.safe_load(plane.kubeconfig.read_text())
    del other["clusters"][0]["cluster"]["certificate-authority"]
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(other))
    async with await Client.connect(str(path)) as made:
        with pytest.raises(
            errors.Unreachable, match=r"No trusted connection.*certificate.* fetch the kubeconfig"
        ) as said:
            await made.get(resources.NODES, "a")
    assert "does not answer" not in str(said.value)


def test_message_and_remedy_are_two_sentences() -> None:
    raw = b'{"reason":"Unauthorized","message":"Unauthorized"}'
    assert str(answers.trouble("GET", "/x", 401, {}, raw)).startswith("GET /x: Unauthorized. Log in again, or check")
    assert str(errors.ExuviaError("It is so.", remedy="Change it.")) == "It is so. Change it."
    assert str(errors.ExuviaError("so", remedy="")) == "so"


async def test_an_answer_that_is_none_leaves_it_unknown(tmp_path: Path) -> None:
    async def proxy(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>hello</html>")

    async with connected(tmp_path, proxy) as made:
        with pytest.raises(errors.Unreachable, match="is no JSON object"):
            await made.create(resources.NODES, {})


async def test_pages_are_whole_or_raise(tmp_path: Path) -> None:
    asked: list[dict[str, str]] = []

    async def paged(request: web.Request) -> web.StreamResponse:
        asked.append(dict(request.query))
        token = request.query.get("continue")
        if token == "2":
            return web.json_response({"message": "the token is too old"}, status=410)
        after = {None: "1", "1": "2"}[token]
        return web.json_response({"metadata": {"continue": after}, "items": [{"n": after}]})

    async with connected(tmp_path, paged) as made:
        found = []
        with pytest.raises(errors.Expired):
            async for page in made.pages(resources.PODS, namespace="shop", field_selector="spec.nodeName=a", limit=1):
                found += page
        assert found == [{"n": "1"}, {"n": "2"}]
        assert asked[0] == {"fieldSelector": "spec.nodeName=a", "limit": "1"}


async def test_deletes_and_evictions_name_their_object(tmp_path: Path) -> None:
    asked: list[tuple[str, str, Any]] = []

    async def noting(request: web.Request) -> web.StreamResponse:
        asked.append((request.method, request.path, await request.json()))
        return web.json_response({})

    async with connected(tmp_path, noting) as made:
        await made.delete(resources.NODES, "a", uid="u", resource_version="5", dry_run=True)
        await made.delete(resources.PODS, "p", uid="u", namespace="shop", grace=timedelta(seconds=30))
        await made.evict("shop", "p", uid="u", grace=timedelta(seconds=1))
    options = {"apiVersion": "v1", "kind": "DeleteOptions"}
    assert asked[0] == (
        "DELETE",
        "/api/v1/nodes/a",
        options | {"preconditions": {"uid": "u", "resourceVersion": "5"}, "dryRun": ["All"]},
    )
    assert asked[1][1:] == (
        "/api/v1/namespaces/shop/pods/p",
        options | {"preconditions": {"uid": "u"}, "gracePeriodSeconds": 30},
    )
    method, path, body = asked[2]
    assert (method, path) == ("POST", "/api/v1/namespaces/shop/pods/p/eviction")
    assert (body["apiVersion"], body["kind"]) == ("policy/v1", "Eviction")
    assert body["deleteOptions"] == options | {"preconditions": {"uid": "u"}, "gracePeriodSeconds": 1}


async def test_patches_are_merge_patches(tmp_path: Path) -> None:
    asked: list[tuple[str, str, str, dict[str, str]]] = []

    async def noting(request: web.Request) -> web.StreamResponse:
        asked.append((request.method, request.path, request.headers["Content-Type"], dict(request.query)))
        return web.json_response({})

    async with connected(tmp_path, noting) as made:
        await made.merge_patch(resources.ROTATIONS, "r", {}, subresource="status", dry_run=True)
    path = "/apis/exuvia.dev/v1alpha1/rotations/r/status"
    assert asked == [("PATCH", path, "application/merge-patch+json", {"dryRun": "All"})]


async def test_rejected_credentials_are_read_anew_once(tmp_path: Path) -> None:
    tokens: list[str] = []
    path = tmp_path / "kubeconfig"

    async def picky(request: web.Request) -> web.StreamResponse:
        tokens.append(request.headers.get("Authorization", ""))
        if len(tokens) == 1:
            path.write_text(path.read_text().replace("old", "new"))
        return web.json_response({}, status=200 if tokens[-1] == "Bearer new" else 401)

    async with connected(tmp_path, picky, token="old") as made:
        await made.get(resources.NODES, "a")
        assert tokens == ["Bearer old", "Bearer new"]
        path.write_text(path.read_text().replace("new", "wrong"))
        made._configuration = await connecting.load(str(path))
        with pytest.raises(errors.Unauthorized, match="Log in again"):
            await made.get(resources.NODES, "a")
        assert tokens[2:] == ["Bearer wrong", "Bearer wrong"]


async def test_the_servers_clock_is_compared(tmp_path: Path) -> None:
    dates = iter(["nonsense", "", format_datetime(datetime.now(UTC) - timedelta(minutes=3), usegmt=True)] * 3)

    async def dated(_: web.Request) -> web.StreamResponse:
        return web.json_response({}, headers={"Date": next(dates)})

    async with connected(tmp_path, dated) as made:
        assert made.clock_skew == timedelta(0)
        for _ in range(3):
            await made.get(resources.NODES, "a")
        assert timedelta(seconds=178) < made.clock_skew < timedelta(seconds=182)


async def test_every_request_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, str, int]] = []
    async with connected(tmp_path, saying(409, {"reason": "Conflict"})) as made:
        made.on_request = lambda verb, resource, code: told.append((verb, resource.plural, code))
        with pytest.raises(errors.Conflict):
            await made.merge_patch(resources.NODES, "a", {})
    assert told == [("PATCH", "nodes", 409)]


async def test_an_endless_line_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "WATCH_LINE_LIMIT", 1000)

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"a":1}\n\n{"b":' + b"1" * 5000)
        await asyncio.sleep(3600)
        return response

    async with connected(tmp_path, endless) as made:
        lines = made.watch_lines(resources.NODES, version="1", seconds=5)
        assert await anext(lines) == b'{"a":1}'
        with pytest.raises(errors.ServerTrouble, match="one event is over"):
            await asyncio.wait_for(anext(lines), 2)


async def test_the_log_of_a_container_comes_in_chunks(tmp_path: Path) -> None:
    asked: list[dict[str, str]] = []

    async def log(request: web.Request) -> web.StreamResponse:
        asked.append(dict(request.query))
        return web.Response(body=b"x" * 100_000)

    async with connected(tmp_path, log) as made:
        options: dict[str, Any] = {"previous": True, "since": timedelta(hours=1), "limit_bytes": 7}
        chunks = [one async for one in made.logs("shop", "cart", "main", **options)]
    assert b"".join(chunks) == b"x" * 100_000
    assert asked == [{"container": "main", "previous": "true", "sinceSeconds": "3600", "limitBytes": "7"}]


@pytest.mark.parametrize("content", ["", "{{{", "clusters: 7", "apiVersion: v1"])
async def test_a_kubeconfig_that_cannot_be_used_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(content)
    with pytest.raises(errors.SettingsError, match=r"kubeconfig .* cannot be used.*kubectl config view"):
        await Client.connect(str(path))


async def test_no_kubeconfig_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(errors.SettingsError, match=r"There is no kubeconfig at .*exuvia dev up"):
        await Client.connect(str(tmp_path / "none"))
