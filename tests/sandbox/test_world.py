"""The world as an API server: preconditions, merge patches, subresources, finalizers, lists and watches."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from exuvia import errors
from exuvia.model import marks, resources
from exuvia.model.specs import operation as specs
from exuvia.model.specs.common import InstanceReference
from exuvia.model.specs.rotation import RotationSpec
from exuvia.observe.cluster_view import ClusterView
from exuvia.sandbox import builders, objects
from exuvia.sandbox.cluster import World

MAP = {"metadata": {"name": "m", "namespace": "default"}, "data": {"a": "1", "b": "2"}}


@pytest.fixture
def world() -> World:
    return World()


async def stored(world: World) -> dict[str, Any]:
    return await world.create(resources.CONFIG_MAPS, MAP)


async def test_a_create_sets_what_the_server_sets(world: World) -> None:
    made = await stored(world)

    assert made["kind"] == "ConfigMap"
    assert made["metadata"]["creationTimestamp"] == "2026-11-24T12:00:00Z"
    assert made["metadata"]["uid"] != (await world.get(resources.NAMESPACES, "default") or {})["metadata"]["uid"]
    with pytest.raises(errors.AlreadyExists):
        await stored(world)


async def test_a_create_in_no_namespace_is_not_found(world: World) -> None:
    with pytest.raises(errors.NotFound):
        await world.create(resources.CONFIG_MAPS, {"metadata": {"name": "m"}}, namespace="nowhere")


async def test_a_merge_patch_removes_nulls_and_bumps_the_version(world: World) -> None:
    made = await stored(world)

    patched = await world.merge_patch(resources.CONFIG_MAPS, "m", {"data": {"a": None, "c": "3"}}, namespace="default")

    assert patched["data"] == {"b": "2", "c": "3"}
    assert patched["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]


async def test_a_patch_that_changes_nothing_is_no_write(world: World) -> None:
    made = await stored(world)

    same = await world.merge_patch(resources.CONFIG_MAPS, "m", {"data": {"a": "1"}}, namespace="default")

    assert same == made


@pytest.mark.parametrize(
    ("precondition", "error"),
    [
        ({"uid": "another"}, errors.Refused),
        ({"resourceVersion": "1"}, errors.Conflict),
        ({"uid": "another", "resourceVersion": "1"}, errors.Conflict),
    ],
)
async def test_preconditions_of_a_patch_hold(
    world: World, precondition: dict[str, str], error: type[errors.ClusterError]
) -> None:
    made = await stored(world)

    with pytest.raises(error):
        await world.merge_patch(resources.CONFIG_MAPS, "m", {"metadata": precondition}, namespace="default")

    assert await world.get(resources.CONFIG_MAPS, "m", namespace="default") == made


@pytest.mark.parametrize("precondition", [{"uid": "another"}, {"resource_version": "1"}])
async def test_preconditions_of_a_delete_hold(world: World, precondition: dict[str, str]) -> None:
    made = await stored(world)
    given = {"uid": made["metadata"]["uid"], **precondition}

    with pytest.raises(errors.Conflict):
        await world.delete(resources.CONFIG_MAPS, "m", namespace="default", **given)

    assert await world.get(resources.CONFIG_MAPS, "m", namespace="default") == made


async def test_what_is_read_is_a_copy(world: World) -> None:
    await stored(world)
    found = await world.get(resources.CONFIG_MAPS, "m", namespace="default")
    assert found is not None

    found["data"]["a"] = "changed"

    assert world.find(resources.CONFIG_MAPS, "m", "default") != found


async def test_a_dry_run_changes_nothing(world: World) -> None:
    made = await stored(world)

    await world.merge_patch(resources.CONFIG_MAPS, "m", {"data": None}, namespace="default", dry_run=True)
    await world.delete(resources.CONFIG_MAPS, "m", uid=made["metadata"]["uid"], namespace="default", dry_run=True)
    await world.create(resources.CONFIG_MAPS, {"metadata": {"name": "n", "namespace": "default"}}, dry_run=True)

    assert world.all(resources.CONFIG_MAPS) == [made]


def operation(name: str = "a-00000001-1") -> dict[str, Any]:
    spec = RotationSpec(instance=InstanceReference(name="a", uid="uid-a"))
    return specs.body(name, spec, marks.FINALIZER)


async def test_status_and_spec_go_separate_ways(world: World) -> None:
    made = await world.create(resources.ROTATIONS, {**operation(), "status": {"phase": "Draining"}})
    assert "status" not in made

    name = made["metadata"]["name"]
    both = {"spec": {"abort": True}, "status": {"phase": "Cordoned"}}
    plain = await world.merge_patch(resources.ROTATIONS, name, both)
    of_status = await world.merge_patch(resources.ROTATIONS, name, both, subresource="status")

    assert plain["spec"]["abort"] is True
    assert "status" not in plain
    assert plain["metadata"]["generation"] == 2
    assert of_status["status"] == {"phase": "Cordoned"}
    assert of_status["metadata"]["generation"] == 2


async def test_a_finalizer_holds_an_object_until_it_is_taken_off(world: World) -> None:
    made = await world.create(resources.ROTATIONS, operation())
    name, uid = made["metadata"]["name"], made["metadata"]["uid"]

    await world.delete(resources.ROTATIONS, name, uid=uid)
    held = await world.get(resources.ROTATIONS, name)
    assert held is not None
    assert held["metadata"]["deletionTimestamp"]

    await world.merge_patch(resources.ROTATIONS, name, {"metadata": {"finalizers": []}})
    assert await world.get(resources.ROTATIONS, name) is None


@pytest.mark.parametrize(
    ("patch", "subresource"),
    [
        ({"status": {"epoch": 3}}, "status"),
        ({"status": {"epoch": None}}, "status"),
        ({"status": {"phase": "Dancing"}}, "status"),
        ({"spec": {"instance": {"uid": "another"}}}, ""),
        ({"spec": {"reason": "changed"}}, ""),
    ],
)
async def test_what_the_schema_forbids_is_refused(world: World, patch: dict[str, Any], subresource: str) -> None:
    made = await world.create(resources.ROTATIONS, operation())
    name = made["metadata"]["name"]
    await world.merge_patch(resources.ROTATIONS, name, {"status": {"epoch": 4}}, subresource="status")

    with pytest.raises(errors.Refused):
        await world.merge_patch(resources.ROTATIONS, name, patch, subresource=subresource)


async def test_pods_of_a_node_are_listed_in_pages(world: World) -> None:
    world.add(resources.NODES, builders.node("a"))
    for index in range(5):
        world.add(resources.PODS, builders.pod(f"p{index}", node="a" if index else "b"))

    pages = [page async for page in world.pages(resources.PODS, field_selector="spec.nodeName=a", limit=3)]

    assert [len(one) for one in pages] == [3, 1]
    assert [one["metadata"]["name"] for page in pages for one in page] == ["p1", "p2", "p3", "p4"]


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("app=x", ["p0"]),
        ("app!=x", ["p1", "p2"]),
        ("app", ["p0", "p1"]),
        ("!app", ["p2"]),
        ("app in (x,y)", ["p0", "p1"]),
        ("app notin (x), tier=db", ["p2"]),
    ],
)
async def test_label_selectors(world: World, selector: str, found: list[str]) -> None:
    for index, labels in enumerate(({"app": "x"}, {"app": "y"}, {"tier": "db"})):
        world.add(resources.PODS, builders.pod(f"p{index}", labels=labels))

    pages = [page async for page in world.pages(resources.PODS, label_selector=selector)]

    assert [one["metadata"]["name"] for page in pages for one in page] == found


async def test_an_empty_list_is_one_empty_page(world: World) -> None:
    assert [page async for page in world.pages(resources.PODS)] == [[]]


async def test_logs_are_of_a_pod_that_is_there(world: World) -> None:
    world.add(resources.PODS, builders.pod("p"))
    world.texts[("default", "p", "app")] = b"0123456789"

    assert [chunk async for chunk in world.logs("default", "p", "app", limit_bytes=4)] == [b"0123"]
    with pytest.raises(errors.NotFound):
        [chunk async for chunk in world.logs("default", "q", "app")]


async def test_reflectors_see_the_world_and_its_time_keeps_them_fresh(world: World) -> None:
    world.add(resources.NODES, builders.node("a"))
    view = ClusterView(world, world.clock)
    tasks = view.start()
    await world.advance(timedelta(seconds=2))
    node = world.find(resources.NODES, "a")
    assert node is not None

    world.add(resources.NODES, builders.node("b"))
    await world.delete(resources.NODES, "a", uid=node["metadata"]["uid"])
    await world.advance(timedelta(minutes=3))

    assert [one.name for one in view.nodes.store] == ["b"]
    assert view.view().missing == ()
    assert view.view().oldest is not None
    assert world.clock.now() - (view.view().oldest or world.clock.now()) < timedelta(seconds=5)
    assert all(not one.done() for one in tasks)
    await view.stop()


async def test_a_watch_that_is_behind_a_compaction_is_told(world: World) -> None:
    world.add(resources.NODES, builders.node("a"))
    world.storage.compact()

    with pytest.raises(errors.Expired):
        async for _ in world.watch_lines(resources.NODES, version="1", seconds=5):
            pytest.fail("an event after a gap")


async def test_writes_are_kept_for_those_who_judge_by_the_wire(world: World) -> None:
    made = await stored(world)
    await world.delete(resources.CONFIG_MAPS, "m", uid=made["metadata"]["uid"], namespace="default")

    assert [(one.verb, one.name, one.uid) for one in world.writes] == [
        ("create", "m", made["metadata"]["uid"]),
        ("delete", "m", made["metadata"]["uid"]),
    ]


async def test_two_writers_with_one_version_cannot_both_win(world: World) -> None:
    made = await world.create(resources.ROTATIONS, operation())
    meta = made["metadata"]

    async def win(phase: str) -> None:
        body = {"metadata": {"resourceVersion": meta["resourceVersion"]}, "status": {"phase": phase}}
        await world.merge_patch(resources.ROTATIONS, meta["name"], body, subresource="status")

    results = await asyncio.gather(win("Cordoned"), win("Replacing"), return_exceptions=True)

    assert [type(one) for one in results] == [type(None), errors.Conflict]


def test_merge_patches_are_those_of_rfc_7396() -> None:
    assert objects.merged({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": None}, "d": [2, 3]}) == {
        "a": {"c": 2},
        "d": [2, 3],
    }
    assert objects.merged({"a": "text"}, {"a": {"b": {"c": None}}}) == {"a": {"b": {}}}
