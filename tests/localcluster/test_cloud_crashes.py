"""The simulated cloud, killed at any moment: no key ever launches twice, nothing that was told is forgotten."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia import errors, ports
from exuvia.localcluster.cloud.book import Book
from exuvia.localcluster.cloud.engine import Cloud
from exuvia.localcluster.cloud.groups import Machine, State
from exuvia.model.resources import Resource

POOL = "blue"


class Killed(BaseException):
    """The process is gone, at once."""


class Nodes:
    """An API server with nothing but Nodes; `fatal` says after which of its writes the caller is killed."""

    def __init__(self) -> None:
        self.nodes: dict[str, ports.Body] = {}
        self.created: Counter[str] = Counter()
        self.fatal: set[int] = set()
        self._writes = itertools.count()
        self._uids = itertools.count()

    async def get(self, resource: Resource, name: str, *, namespace: str = "") -> ports.Body | None:
        return self.nodes.get(name)

    async def create(self, resource: Resource, body: Mapping[str, Any], **_: object) -> ports.Body:
        name = body["metadata"]["name"]
        if name in self.nodes:
            raise errors.AlreadyExists(name, status=409)
        self.nodes[name] = {**body, "metadata": {**body["metadata"], "uid": f"uid-{next(self._uids)}"}}
        self.created[body["spec"]["providerID"]] += 1
        self._maybe_die()
        return self.nodes[name]

    async def delete(self, resource: Resource, name: str, *, uid: str, **_: object) -> None:
        if self.nodes.get(name, {}).get("metadata", {}).get("uid") != uid:
            raise errors.NotFound(name, status=404)
        del self.nodes[name]
        self._maybe_die()

    async def pages(self, resource: Resource, **_: object) -> Any:
        yield list(self.nodes.values())

    def _maybe_die(self) -> None:
        if next(self._writes) in self.fatal:
            raise Killed


def _restart(path: Path, nodes: Nodes) -> Cloud:
    return Cloud(Book(path), nodes)  # type: ignore[arg-type]


STEPS = st.lists(
    st.tuples(st.sampled_from(["launch", "terminate", "work", "restart"]), st.integers(0, 4)), min_size=1, max_size=25
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, fatal=st.sets(st.integers(0, 12), max_size=5))
def test_killed_anywhere_a_key_never_launches_twice(steps: list[tuple[str, int]], fatal: set[int]) -> None:
    nodes = Nodes()
    nodes.fatal = fatal
    with tempfile.TemporaryDirectory() as folder:
        told = asyncio.run(_live_through(steps, Path(folder) / "cloud.json", nodes))
        book = Book(Path(folder) / "cloud.json")

    assert all(count == 1 for count in nodes.created.values())
    for key, promised in told.items():
        kept = book.machine(POOL, key)
        assert kept is not None, "what was told is in the book"
        assert kept.provider_id == promised.provider_id
        assert kept.state in (State.RUNNING, State.GONE)
        assert (kept.node_name in nodes.nodes) == (kept.state is State.RUNNING)


async def _live_through(steps: list[tuple[str, int]], path: Path, nodes: Nodes) -> dict[str, Machine]:
    """Take the steps, starting anew after each death; at the end let the work be finished."""
    told: dict[str, Machine] = {}
    cloud = _restart(path, nodes)
    cloud.define(POOL, {}, merge=False)
    for what, number in [*steps, *[("work", 0)] * 20]:
        try:
            await _step(cloud, what, f"key-{number}", told)
        except Killed:
            what = "restart"
        if what == "restart":
            cloud = _restart(path, nodes)
    return told


async def _step(cloud: Cloud, what: str, key: str, told: dict[str, Machine]) -> None:
    if what == "launch":
        told[key], _ = cloud.launch(POOL, key)
    elif what == "terminate" and key in told:
        machine = cloud.book.machine(POOL, key)
        assert machine is not None
        cloud.terminate(machine)
    elif what == "work":
        await cloud.carry_out()


async def test_a_machine_terminated_while_it_arrives_goes_again(tmp_path: Path) -> None:
    nodes = Nodes()
    cloud = _restart(tmp_path / "cloud.json", nodes)
    cloud.define(POOL, {}, merge=False)
    machine, _ = cloud.launch(POOL, "key")

    arriving = asyncio.create_task(cloud.carry_out())
    await asyncio.sleep(0)
    cloud.terminate(machine)
    await arriving
    await cloud.carry_out()

    assert nodes.nodes == {}
    assert nodes.created.total() <= 1


async def test_a_cluster_that_does_not_answer_is_asked_again(tmp_path: Path) -> None:
    class Silent(Nodes):
        async def create(self, resource: Resource, body: Mapping[str, Any], **_: object) -> ports.Body:
            raise errors.Unreachable("no answer")

    cloud = _restart(tmp_path / "cloud.json", Silent())
    cloud.define(POOL, {}, merge=False)
    before, _ = cloud.launch(POOL, "key")

    await cloud.carry_out()

    after = cloud.book.machine(POOL, "key")
    assert after is not None
    assert after.state is State.LAUNCHING
    assert after.due is not None
    assert before.due is not None
    assert after.due > before.due


def test_a_file_that_is_no_book_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "cloud.json"
    path.write_text("{", encoding="utf-8")

    with pytest.raises(errors.SettingsError, match=r"cloud\.json cannot be read: .* Name another file by --state"):
        Book(path)


def test_a_book_is_whole_after_a_save_that_was_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "cloud.json"
    book = Book(path)
    book.save()
    (tmp_path / "cloud.json.new").write_text('{"groups": {', encoding="utf-8")

    assert Book(path).machines() == []
