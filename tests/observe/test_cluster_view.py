"""The whole picture: how far it can be trusted, what is on which machine, and that our own writes show at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exuvia import errors
from exuvia.app.clock import SystemClock
from exuvia.model import resources
from exuvia.observe import fresh, leases, reflector, shapes
from exuvia.observe.cluster_view import ClusterView
from exuvia.observe.ours import Unparsable
from tests.cluster import until
from tests.observe.faulty import Fault, FaultyServer, node, serving

ROTATION_SPEC = {"instance": {"kind": "Node", "name": "a", "uid": "a"}}


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector, "BACKOFF_FIRST", 0.05)


@asynccontextmanager
async def viewing(folder: Path, *, synced: bool = True) -> AsyncIterator[tuple[FaultyServer, ClusterView]]:
    async with serving(folder) as (server, client):
        view = ClusterView(client, SystemClock())
        view.start()
        try:
            if synced:
                await until(lambda: not view.view().missing, what="everything to be listed")
            yield server, view
        finally:
            await view.stop()


def pod(name: str, on: str = "", **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": {"nodeName": on} | more}


async def test_it_is_whole_once_everything_was_listed(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    async with viewing(tmp_path) as (_, view):
        found = view.view()
        assert found.missing == ()
        assert found.oldest is not None and found.oldest >= before
        assert set(view.last_heard()) == {one.resource.plural for one in view.reflectors}


async def test_what_may_not_be_read_is_missing_and_named(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, client):
        server.of(resources.POD_DISRUPTION_BUDGETS).lists.extend([Fault(status=403)] * 100)
        view = ClusterView(client, SystemClock())
        view.start()
        await until(lambda: len(view.view().missing) == 1, what="the rest to be listed")
        found = view.view()
        assert found.oldest is None
        assert found.missing[0].startswith("poddisruptionbudgets.policy (")
        assert "it is a day of 403" in found.missing[0]
        await view.stop()


@pytest.mark.parametrize(
    ("resource", "good", "odd"),
    [
        (resources.NODES, node("x"), node("x", spec={"taints": "none"})),
        (resources.PODS, pod("x", "a"), pod("x", "a", priority="high")),
        (
            resources.POD_DISRUPTION_BUDGETS,
            {"metadata": {"name": "x", "namespace": "shop"}},
            {"metadata": {"name": "x", "namespace": "shop"}, "status": {"disruptionsAllowed": "some"}},
        ),
        (
            resources.ROTATIONS,
            {"metadata": {"name": "x"}, "spec": ROTATION_SPEC},
            {"metadata": {"name": "x"}, "spec": ROTATION_SPEC, "status": {"phase": "Dancing"}},
        ),
        (
            resources.QUARANTINES,
            {"metadata": {"name": "x"}, "spec": ROTATION_SPEC},
            {"metadata": {"name": "x"}, "spec": {"instance": "a"}},
        ),
    ],
    ids=lambda one: getattr(one, "plural", ""),
)
async def test_an_object_that_cannot_be_read_is_not_taken_for_none(
    tmp_path: Path, resource: resources.Resource, good: dict[str, Any], odd: dict[str, Any]
) -> None:
    async with viewing(tmp_path) as (server, view):
        await server.put(resource, good)
        await server.put(resource, odd)
        await until(lambda: view.view().missing, what="the odd one to count")
        (said,) = view.view().missing
        assert said.startswith(resource.full_name)
        assert "x" in said
        assert view.view().oldest is None
        await server.put(resource, odd | {"metadata": odd["metadata"] | {"name": "y"}})
        await until(lambda: "and 1 more" in view.view().missing[0], what="the other odd one")
        await server.delete(resource, "y")
        await server.put(resource, good)
        await until(lambda: not view.view().missing, what="the picture to be whole again")


async def test_a_policy_that_cannot_be_read_is_kept_and_holds_up_nobody(tmp_path: Path) -> None:
    async with viewing(tmp_path) as (server, view):
        await server.put(resources.SECURITY_POLICIES, {"metadata": {"name": "odd"}, "spec": {"rules": 7}})
        await until(lambda: len(view.policies.store) == 1, what="the policy")
        (found,) = view.policies.store
        assert isinstance(found, Unparsable)
        assert (found.name, found.uid) == ("odd", "odd")
        assert "SecurityPolicy odd" in found.problem
        assert view.view().missing == ()


async def test_pods_by_machine_follow_their_pods(tmp_path: Path) -> None:
    def on(name: str) -> set[str]:
        return {one.name for one in view.pods_on(name)}

    async with viewing(tmp_path) as (server, view):
        await server.put(resources.PODS, pod("one", "a"))
        await server.put(resources.PODS, pod("two", "a"))
        await server.put(resources.PODS, pod("waiting"))
        await until(lambda: on("a") == {"one", "two"}, what="both pods")
        await server.put(resources.PODS, pod("waiting", "b"))
        await server.delete(resources.PODS, "one")
        await until(lambda: on("a") == {"two"} and on("b") == {"waiting"}, what="the changes")
        await server.delete(resources.PODS, "two")
        await until(lambda: on("a") == set(), what="nothing left")
        assert view._pods_on.keys() == {"b"}


async def test_our_own_answers_show_at_once(tmp_path: Path) -> None:
    async with viewing(tmp_path) as (server, view):
        body = {"metadata": {"name": "r", "uid": "r", "resourceVersion": "900"}, "spec": ROTATION_SPEC}
        view.overlay(resources.ROTATIONS, body)
        assert [one.name for one in view.open_rotations()] == ["r"]
        ended = body | {"metadata": body["metadata"] | {"resourceVersion": "901"}, "status": {"phase": "Succeeded"}}
        view.overlay(resources.ROTATIONS, ended)
        assert view.open_rotations() == []
        view.overlay(resources.ROTATIONS, body)
        assert view.open_rotations() == [], "never back in time"
        assert [one.name for one in view.all_rotations()] == ["r"]
        dying = {"metadata": body["metadata"] | {"resourceVersion": "902", "deletionTimestamp": "2026-01-01T00:00:00Z"}}
        view.overlay(resources.ROTATIONS, body | dying)
        assert view.open_rotations() == [], "without finalizers it is gone already"
        assert server.of(resources.ROTATIONS).objects == {}


async def test_whole_objects_are_kept_on_request_and_follow(tmp_path: Path) -> None:
    async with viewing(tmp_path) as (server, view):
        noise = {"images": [{"names": ["x"]}], "conditions": [{"type": "Ready", "status": "True"}]}
        body = node("a") | {"status": noise}
        body["metadata"]["managedFields"] = [{"manager": "kubelet"}]
        await server.put(resources.NODES, body)
        await until(lambda: view.nodes.store.get("a"), what="the node")
        assert view.object_of("a") is None
        view.keep_objects(True)
        await until(lambda: view.object_of("a"), what="its object", seconds=3)
        kept = view.object_of("a")
        assert kept is not None
        assert "managedFields" not in kept["metadata"]
        assert "images" not in kept["status"]

        view.nodes.store.take_dirty()
        heard = view.nodes.last_heard
        beat = {"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:09Z"}]}
        await server.put(resources.NODES, node("a") | {"status": beat})
        await until(lambda: view.nodes.last_heard != heard, what="the heartbeat")
        assert view.nodes.store.take_dirty() == {}, "a heartbeat changes nothing that anybody would act on"
        await server.put(resources.NODES, node("a") | {"status": beat | {"capacity": {"cpu": "4"}}})
        await until(lambda: "a" in view.nodes.store.take_dirty(), what="what only expressions see")

        stale = node("a") | {"status": {"capacity": {"cpu": "1"}}}
        stale["metadata"] |= {"uid": "a", "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"}
        view.overlay(resources.NODES, stale)
        fresh_one = view.object_of("a")
        assert fresh_one is not None and fresh_one["status"]["capacity"] == {"cpu": "4"}, "never back in time"

        await server.delete(resources.NODES, "a")
        await until(lambda: view.object_of("a") is None, what="it to be forgotten")
        view.keep_objects(False)
        assert view._objects is None


async def test_objects_of_the_dead_are_not_kept_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exuvia.observe.cluster_view.SLACK", 5)
    async with viewing(tmp_path) as (server, view):
        view.keep_objects(True)
        for number in range(30):
            await server.put(resources.NODES, node(f"n{number}"))
            await server.delete(resources.NODES, f"n{number}")
        await server.put(resources.NODES, node("last"))
        await until(lambda: view.object_of("last"), what="the last one")
        assert view._objects is not None and len(view._objects) < 12


async def test_a_change_wakes(tmp_path: Path) -> None:
    async with viewing(tmp_path) as (server, view):
        view.wake.clear()
        await server.put(resources.NODES, node("a"))
        await asyncio.wait_for(view.wake.wait(), 5)


# Fresh reads


class Answering:
    """A cluster that answers with these objects; a None in a list raises instead of going on."""

    def __init__(self, one: dict[str, Any] | None = None, pages: list[Any] | None = None) -> None:
        self.one = one
        self._pages = pages or []

    async def get(self, *_: object, **__: object) -> dict[str, Any] | None:
        return self.one

    async def pages(self, *_: object, **__: object) -> AsyncIterator[list[dict[str, Any]]]:
        for page in self._pages:
            if page is None:
                raise errors.Unreachable("the connection broke")
            yield page


def served(body: dict[str, Any], uid: str = "u") -> dict[str, Any]:
    meta = {"uid": uid, "resourceVersion": "5", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return body | {"metadata": meta | body["metadata"]}


async def test_a_fresh_read_of_a_namesake_is_none() -> None:
    cluster: Any = Answering(served(node("a"), "new"))
    assert await fresh.read_instance(cluster, "a", "old") is None
    found = await fresh.read_instance(cluster, "a", "new")
    assert found is not None and found.uid == "new"
    assert await fresh.read_instance(Answering(None), "a", "old") is None  # type: ignore[arg-type]


async def test_a_fresh_read_that_is_odd_or_partial_raises() -> None:
    odd: Any = Answering(served(node("a", spec={"taints": 7})))
    with pytest.raises(errors.InvalidObject, match="Node a cannot be read"):
        await fresh.read_instance(odd, "a", "u")
    broken: Any = Answering(pages=[[served(pod("one", "a"))], None])
    with pytest.raises(errors.Unreachable):
        await fresh.read_pods(broken, "a")
    with pytest.raises(errors.InvalidObject, match="a pod on a cannot be read"):
        await fresh.read_pods(Answering(pages=[[served(pod("one", "a", priority="x"))]]), "a")  # type: ignore[arg-type]


async def test_expired_leases_are_counted_over_all_pages() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)

    def lease(seconds: float | None, duration: int | None = 40) -> dict[str, Any]:
        renewed = None if seconds is None else (now - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
        return {"spec": {"renewTime": renewed, "leaseDurationSeconds": duration}}

    cluster: Any = Answering(pages=[[lease(10), lease(41)], [lease(40), lease(None), lease(60, None), {}]])
    assert await leases.expired_share(cluster, now) == (4, 6)
    with pytest.raises(errors.Unreachable):
        await leases.expired_share(Answering(pages=[[lease(1)], None]), now)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T02:00:00.5+02:00", datetime(2026, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-01-01T00:00:00", datetime(2026, 1, 1, tzinfo=UTC)),
        ("0001-01-01T00:00:00+14:00", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_moments(text: str | None, expected: datetime | None) -> None:
    assert shapes.moment(text) == expected
