"""A new machine that may be a quarantined one under a new object is looked at, at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from exuvia.app.sweep import Sweep
from exuvia.model.specs.quarantine import Quarantine
from tests.app import stage
from tests.evaluate.world import node


def quarantine(name: str, provider_id: str) -> Quarantine:
    meta = {"name": name, "uid": f"uid-{name}", "creationTimestamp": "2026-11-25T11:00:00Z"}
    spec = {"instance": {"kind": "Node", "name": f"was-{name}", "uid": f"node-{name}", "providerID": provider_id}}
    return Quarantine.parse({"metadata": meta, "spec": spec, "status": {"phase": "Held"}})


def test_a_birth_wakes_whose_machine_it_may_be() -> None:
    woken: list[str] = []
    services = stage.services()
    for one in (quarantine("q-1", "cloud://7"), quarantine("q-2", "cloud://8")):
        services.view.quarantines.store.put(one, "1")
    born = {"new"}
    sweep: Any = Sweep.__new__(Sweep)
    sweep._services, sweep._ripening = services, []
    sweep._fleet = SimpleNamespace(ready_once=lambda one, now: True)
    sweep._examiner = SimpleNamespace(seen=lambda one: one.name in born)
    sweep._advancer = SimpleNamespace(wake_soon=lambda kind, uid: woken.append(uid))
    sweep._born(node("new", provider_id="cloud://7"), stage.NOW)
    sweep._born(node("known", provider_id="cloud://8"), stage.NOW)
    assert woken == ["uid-q-1"]
