"""A new leader's epoch reaches every open operation, whatever an older leader writes meanwhile."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from exuvia import errors
from exuvia.app.stamping import stamp
from exuvia.model import resources
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.observe import ours
from exuvia.observe.store import Store
from tests import virtual


def body(kind: resources.Resource, name: str, **status: Any) -> dict[str, Any]:
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": "1",
            "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"instance": {"kind": "Node", "name": "worker-1", "uid": "uid-worker-1"}},
        "status": status,
    }


class Cluster:
    """Rotations and Quarantines as the server has them; each write may be met by an older leader's or by trouble."""

    def __init__(self, *bodies: dict[str, Any]) -> None:
        self.bodies = {one["metadata"]["name"]: one for one in bodies}
        self.trouble: list[Exception] = []
        self.older_writes = 0

    async def get(self, _: resources.Resource, name: str) -> Any:
        return self.bodies.get(name)

    async def merge_patch(self, _: resources.Resource, name: str, patch: Any, *, subresource: str) -> Any:
        assert subresource == "status"
        if self.trouble:
            raise self.trouble.pop(0)
        found = self.bodies.get(name)
        if found is None:
            raise errors.NotFound("gone")
        if self.older_writes:
            self.older_writes -= 1
            meta = found["metadata"]
            self.bodies[name] = {
                **found,
                "metadata": {**meta, "resourceVersion": str(int(meta["resourceVersion"]) + 1)},
            }
        found = self.bodies[name]
        if patch["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
            raise errors.Conflict("changed")
        self.bodies[name] = {**found, "status": {**found["status"], **patch["status"]}}
        return self.bodies[name]

    def epoch(self, name: str) -> Any:
        return self.bodies[name]["status"].get("epoch")


def services(cluster: Cluster) -> Any:
    """What stamping needs of them."""
    stores: dict[str, Store[Any]] = {
        "Rotation": Store(lambda: 0.0, lambda: None),
        "Quarantine": Store(lambda: 0.0, lambda: None),
    }
    kinds: dict[str, Any] = {"Rotation": Rotation, "Quarantine": Quarantine}
    for one in cluster.bodies.values():
        stores[one["kind"]].put(ours.from_body(kinds[one["kind"]], msgspec.json.decode(msgspec.json.encode(one))), "1")
    return SimpleNamespace(
        view=SimpleNamespace(
            rotations=SimpleNamespace(store=stores["Rotation"], resource=resources.ROTATIONS),
            quarantines=SimpleNamespace(store=stores["Quarantine"], resource=resources.QUARANTINES),
            overlay=lambda resource, answer: None,
        ),
        cluster=cluster,
        client=cluster,
        leadership=SimpleNamespace(epoch=7, check=lambda: None),
    )


def test_open_operations_are_stamped_and_ended_ones_are_left_alone() -> None:
    cluster = Cluster(
        body(resources.ROTATIONS, "r-open", phase="Draining", epoch=3),
        body(resources.ROTATIONS, "r-over", phase="Succeeded", epoch=3),
        body(resources.QUARANTINES, "q-open", phase="Held"),
    )
    virtual.run(stamp(services(cluster)))
    assert (cluster.epoch("r-open"), cluster.epoch("r-over"), cluster.epoch("q-open")) == (7, 3, 7)


@pytest.mark.parametrize("older_writes", [1, 5])
def test_an_older_leader_that_goes_on_writing_only_delays_the_stamp(older_writes: int) -> None:
    cluster = Cluster(body(resources.ROTATIONS, "r", phase="Draining", epoch=3))
    cluster.older_writes = older_writes
    virtual.run(stamp(services(cluster)))
    assert cluster.epoch("r") == 7


def test_a_server_in_trouble_is_asked_again_until_it_answers() -> None:
    cluster = Cluster(body(resources.ROTATIONS, "r", phase="Draining", epoch=3))
    cluster.trouble = [errors.Unreachable("away"), errors.ServerTrouble("ill", status=503)]
    virtual.run(stamp(services(cluster)))
    assert cluster.epoch("r") == 7


def test_an_operation_that_does_not_parse_is_stamped_as_well() -> None:
    odd = body(resources.ROTATIONS, "r-odd", phase="Draining", epoch=3)
    odd["spec"] = {"instance": 5}
    cluster = Cluster(odd)
    virtual.run(stamp(services(cluster)))
    assert cluster.epoch("r-odd") == 7


def test_a_right_that_is_missing_stops_nobody() -> None:
    cluster = Cluster(body(resources.QUARANTINES, "q", phase="Held"), body(resources.ROTATIONS, "r", phase="Draining"))
    cluster.trouble = [errors.Forbidden("no"), errors.Forbidden("no")]
    virtual.run(stamp(services(cluster)))
    assert cluster.epoch("q") is None
