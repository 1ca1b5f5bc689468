"""What is over for long is removed, by an operator that acts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from exuvia.app.retention import Retention
from exuvia.app.settings import Settings
from exuvia.model.planning import Plan
from exuvia.model.specs.rotation import Rotation
from tests.app import stage


def rotation(name: str, finished: str) -> Rotation:
    meta = {"name": name, "uid": f"uid-{name}", "creationTimestamp": "2026-11-23T11:00:00Z"}
    spec = {"instance": {"kind": "Node", "name": "w", "uid": f"node-{name}"}}
    return Rotation.parse({"metadata": meta, "spec": spec, "status": {"phase": "Succeeded", "finishedAt": finished}})


@pytest.mark.parametrize(("read_only", "removed"), [(False, ["old"]), (True, [])])
async def test_only_one_that_acts_removes_what_is_over_for_long(read_only: bool, removed: list[str]) -> None:
    asked: list[str] = []

    async def delete(resource: Any, name: str, *, uid: str) -> None:
        asked.append(name)

    services = stage.services(cluster=SimpleNamespace(delete=delete), settings=Settings(read_only=read_only))
    for one in (rotation("old", "2026-11-24T10:00:00Z"), rotation("young", "2026-11-25T10:00:00Z")):
        services.view.rotations.store.put(one, "1")
    statuses: Any = SimpleNamespace(plan=Plan())
    assert await Retention(services, statuses).once() == len(removed)
    assert asked == removed
