"""What is asked for before the first mark: each thing once, and only what our marks change is waited for."""

from __future__ import annotations

import asyncio
import gc
import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

from exuvia.act.evidence.events import EventLists
from exuvia.model import resources
from exuvia.model.resources import Resource
from tests.act.evidence.world import EvidenceWorld, custodian, kubelet_down, order, pod

FOLDER = "worker-7-node-uid-1-quarantine-uid"


class SlowEvents(EvidenceWorld):
    """Events take their time; `selectors` are those of their lists."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.selectors: list[str] = []

    async def pages(
        self, resource: Resource, *, namespace: str = "", field_selector: str = "", **more: object
    ) -> AsyncIterator[list[dict[str, Any]]]:
        if resource == resources.CORE_EVENTS:
            self.selectors.append(field_selector)
            await self.gate.wait()
        if resource == resources.CORE_EVENTS and not namespace:
            for name in ("worker-7", "worker-8", "worker-9"):
                yield [{"involvedObject": {"kind": "Node", "name": name}, "message": f"{name} is ready"}]
            return
        async for page in super().pages(resource, namespace=namespace, field_selector=field_selector, **more):
            yield page


async def test_isolation_waits_for_the_node_and_its_pods_and_for_no_list_of_events(tmp_path: Path) -> None:
    world = SlowEvents()
    keeper = custodian(world, tmp_path)
    await asyncio.wait_for(keeper.snapshot(order()), 1)
    world.pods = []  # what happens from now on is not in it
    world.node = None
    world.gate.set()

    done = await keeper.collect(order(seal_incomplete=True))

    objects = tmp_path / FOLDER / "objects"
    assert done.sealed
    assert [one["metadata"]["name"] for one in json.loads((objects / "pods.json").read_text())["items"]] == ["cart-1"]
    said = [one["message"] for one in json.loads((objects / "events.json").read_text())["items"]]
    assert said == ["worker-7 is ready", "Pulled"]


async def test_each_thing_is_read_once_for_a_snapshot(tmp_path: Path) -> None:
    world = EvidenceWorld()
    keeper = custodian(world, tmp_path)
    await keeper.snapshot(order())
    await asyncio.sleep(0)
    asked = Counter(world.asked)
    assert asked["get nodes /worker-7"] == asked["list pods "] == 1
    await keeper.snapshot(order())
    assert Counter(world.asked) == asked


async def test_a_snapshot_of_a_step_that_was_lost_is_taken_anew(tmp_path: Path) -> None:
    world = EvidenceWorld()
    keeper = custodian(world, tmp_path)
    await keeper.snapshot(order())
    keeper.forget(order().uid)
    world.node = {"kind": "Node", "metadata": {"name": "worker-7", "uid": "node-uid", "labels": {"later": "yes"}}}
    await keeper.snapshot(order())

    await keeper.collect(order())

    assert json.loads((tmp_path / FOLDER / "objects/node.json").read_text())["metadata"]["labels"] == {"later": "yes"}


async def test_one_who_asks_alone_gets_his_events_picked_out_and_several_share_one_list() -> None:
    world = SlowEvents()
    world.gate.set()
    lists = EventLists(world)  # type: ignore[arg-type]
    alone = await lists.of_node("worker-7")
    several = await asyncio.gather(*(lists.of_node(name) for name in ("worker-8", "worker-9", "worker-10")))
    assert [one["message"] for one in alone] == ["worker-7 is ready"]
    assert [[one["message"] for one in some] for some in several] == [["worker-8 is ready"], ["worker-9 is ready"], []]
    assert world.selectors == ["involvedObject.kind=Node,involvedObject.name=worker-7", "involvedObject.kind=Node"]


def holds(root: object, secret: str, *, but: object) -> bool:
    """Whether that text can be reached from an object, other than by way of another one or of code."""
    seen, todo = {id(but)}, [root]
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, ModuleType | FunctionType | type):
            continue
        seen.add(id(one))
        if isinstance(one, str) and secret in one:
            return True
        todo += gc.get_referents(one)
    return False


@pytest.mark.parametrize("broken", [False, True])
async def test_nothing_that_is_not_redacted_is_kept_in_memory(tmp_path: Path, broken: bool) -> None:
    """Not for the hold time, which may be a week: not even by a part that failed when the pods had been read."""
    world = EvidenceWorld()
    world.pods = [pod("shop", "cart-1", env={"PASSWORD": "hunter2"})]
    if broken:
        world.broken = {"list events shop": kubelet_down()}
    keeper = custodian(world, tmp_path)
    await keeper.snapshot(order())
    taking = keeper._snapshots[order().uid]
    kept = await taking.whole()
    assert "PASSWORD" in json.dumps(kept.objects["pods"])
    assert ("events" in kept.objects) is not broken
    assert not holds(keeper, "hunter2", but=world)


async def test_what_is_sealed_is_kept_in_memory_no_longer(tmp_path: Path) -> None:
    keeper = custodian(EvidenceWorld(), tmp_path)
    await keeper.snapshot(order())
    assert not (await keeper.collect(order(draft_only=True))).sealed
    assert keeper._snapshots
    assert (await keeper.collect(order())).sealed
    assert not keeper._snapshots


async def test_each_part_says_when_it_was_read(tmp_path: Path) -> None:
    """Events that are served when the machine is marked already do not pass for read before."""
    world = SlowEvents()
    keeper = custodian(world, tmp_path)
    await asyncio.wait_for(keeper.snapshot(order()), 1)
    marked = keeper._clock.now()
    world.gate.set()
    await keeper._snapshots[order().uid].whole()
    read = keeper._clock.now()
    await keeper.collect(order())

    items = json.loads((tmp_path / FOLDER / "manifest.json").read_text())["items"]
    times = {one["subject"]: (parsed(one["startedAt"]), parsed(one["finishedAt"])) for one in items}
    assert times["node"][1] < marked and times["pods"][1] < marked
    assert times["events"][0] < marked < times["events"][1] < read
    assert all(times[name][1] < read for name in ("volumeattachments", "quarantine"))
    assert times["shop/cart-1/app"][0] > read


def parsed(text: str) -> datetime:
    return datetime.fromisoformat(text)
