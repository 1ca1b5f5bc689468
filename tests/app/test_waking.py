"""Who looks again when something changes: those it concerns, and nobody else, however many operations are open."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from exuvia.app.waking import Waking
from exuvia.model.instances import Instance
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.observe import pods as pod_records
from tests.app import stage
from tests.app.stage import NOW
from tests.evaluate.world import node

STARTED = NOW - timedelta(minutes=5)
OLD = NOW - timedelta(days=30)


def machine(name: str, *, born: Any = OLD, provider_id: str = "") -> Instance:
    return replace(
        node(), uid=f"uid-{name}", name=name, born=born, pool="workers", provider_id=provider_id or f"kwok://{name}"
    )


def rotation(of: str, phase: str, **status: Any) -> Rotation:
    body = _body(of, phase, status)
    return Rotation.parse(body)


def quarantine(of: str, phase: str, **status: Any) -> Quarantine:
    return Quarantine.parse(_body(of, phase, status))


def _body(of: str, phase: str, status: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"{of}-1",
            "uid": f"uid-{of}-1",
            "resourceVersion": "7",
            "creationTimestamp": STARTED.isoformat(),
        },
        "spec": {"instance": {"kind": "Node", "name": of, "uid": f"uid-{of}"}},
        "status": {"phase": phase, "startedAt": STARTED.isoformat(), "settings": {"pool": "workers"}, **status},
    }


class Scene:
    """A view with some operations; notes who is woken, and how late."""

    def __init__(self, *operations: Rotation | Quarantine) -> None:
        self.woken: dict[str, float] = {}
        self.services = stage.services()
        self.services.chronicle.unplaced = self.services.chronicle.placed = lambda *_: None
        for one in operations:
            self.put(one)
        advancer: Any = SimpleNamespace(wake=self._now, wake_soon=self._soon, changed=self._changed)
        self.waking = Waking(self.services, advancer)
        for reflector in self.services.view.reflectors:
            reflector.store.take_dirty()

    def put(self, one: Rotation | Quarantine, version: str = "7") -> None:
        view = self.services.view
        store = view.rotations.store if isinstance(one, Rotation) else view.quarantines.store
        store.put(one, version)

    def machines(self, *changed: Instance) -> set[str]:
        self.waking.of_machines(changed)
        return set(self.woken)

    def _now(self, kind: str, uid: str) -> None:
        self.woken[uid] = 0.0

    def _soon(self, kind: str, uid: str, seconds: float = 0.1) -> None:
        self.woken[uid] = seconds

    def _changed(self, kind: str, uid: str, version: str) -> None:
        self.woken[uid] = 0.0


def test_a_machine_wakes_its_own_operations() -> None:
    scene = Scene(rotation("a", "Draining"), quarantine("a", "Held"), rotation("b", "Draining"))
    assert scene.machines(machine("a")) == {"uid-a-1"}


def test_a_machine_that_was_there_before_wakes_none_that_waits_for_a_new_one() -> None:
    """A pool may have thousands of machines that change, and hundreds that are waited for."""
    scene = Scene(*(rotation(f"r{number}", "Terminating") for number in range(40)))
    assert scene.machines(*(machine(f"m{number}") for number in range(200))) == set()


@pytest.mark.parametrize("phase", ["Replacing", "Terminating"])
def test_a_newborn_machine_wakes_whoever_waits_for_one(phase: str) -> None:
    scene = Scene(rotation("a", phase), rotation("b", "Draining"))
    assert scene.machines(machine("new", born=NOW)) == {"uid-a-1"}


def test_clocks_that_differ_a_little_hide_no_newborn_machine() -> None:
    scene = Scene(rotation("a", "Terminating"))
    assert scene.machines(machine("new", born=STARTED - timedelta(seconds=59))) == {"uid-a-1"}


def test_a_replacement_that_is_known_wakes_whom_it_replaces_alone() -> None:
    by_uid = rotation("a", "Terminating", replacement={"uid": "uid-new", "name": "new"})
    by_provider = rotation("b", "Replacing", replacement={"providerID": "kwok://new", "requestID": "k"})
    other = rotation("c", "Replacing", replacement={"providerID": "kwok://another", "requestID": "k"})
    scene = Scene(by_uid, by_provider, other)
    assert scene.machines(machine("new", born=NOW)) == {"uid-a-1", "uid-b-1"}


def test_a_left_over_machine_that_is_old_wakes_whoever_named_it() -> None:
    scene = Scene(rotation("a", "Replacing", replacement={"uid": "uid-old"}))
    assert scene.machines(machine("old")) == {"uid-a-1"}


def test_capacity_that_was_asked_for_before_the_quarantine_began_is_waited_for() -> None:
    asked = (STARTED - timedelta(hours=1)).isoformat()
    capacity = {"state": "Requested", "replacement": {"requestID": "k", "requestedAt": asked}}
    scene = Scene(quarantine("a", "Held", capacity=capacity), quarantine("b", "Held"))
    assert scene.machines(machine("new", born=STARTED - timedelta(minutes=30))) == {"uid-a-1"}


def test_pods_that_leave_a_drained_machine_make_one_look_a_second() -> None:
    scene = Scene(rotation("a", "Draining"), quarantine("b", "Isolating"))
    for name in ("a", "b"):
        meta = {"name": f"p-{name}", "uid": f"uid-p-{name}", "namespace": "shop"}
        meta["creationTimestamp"] = STARTED.isoformat()
        pod = pod_records.from_body({"metadata": meta, "spec": {"nodeName": name}, "status": {"phase": "Running"}})
        scene.services.view.pods.store.put(pod, "1")
    scene.waking.of_changes()
    assert scene.woken == {"uid-a-1": 1.0, "uid-b-1": 0.1}
