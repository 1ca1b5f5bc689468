"""A machine that may be a quarantined one under a new object is looked at, at once, with or without a ledger."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from exuvia.app.chronicle import Chronicle
from exuvia.app.heirs import Heirs
from exuvia.app.sweep import Sweep
from exuvia.model.instances import Instance
from exuvia.model.specs.quarantine import Quarantine
from tests.app import stage
from tests.evaluate.world import node


def quarantine(name: str, provider_id: str) -> Quarantine:
    meta = {"name": name, "uid": f"uid-{name}", "creationTimestamp": "2026-11-25T11:00:00Z"}
    spec = {"instance": {"kind": "Node", "name": f"was-{name}", "uid": f"node-{name}", "providerID": provider_id}}
    return Quarantine.parse({"metadata": meta, "spec": spec, "status": {"phase": "Held"}})


class Scene:
    """A sweep whose ledger is not loaded, over two Quarantines."""

    def __init__(self, *held: Quarantine) -> None:
        self.woken: list[str] = []
        self.services = stage.services(chronicle=Chronicle(lambda *facts: None, lambda: stage.NOW), tallies=None)
        for one in held or (quarantine("q-1", "cloud://7"), quarantine("q-2", "cloud://8")):
            self.services.view.quarantines.store.put(one, "1")
        self.sweep: Any = Sweep.__new__(Sweep)
        self.sweep._services, self.sweep._ripening = self.services, []
        self.sweep._fleet = SimpleNamespace(ready_once=lambda one, now: True)
        nobody = SimpleNamespace(changed=lambda uid, seen: None, seen=lambda one: None, died=lambda last: None)
        self.sweep._examiner = nobody
        self.sweep._waking = SimpleNamespace(of_machines=lambda machines: None)
        self.sweep._heirs = Heirs(self.services, lambda kind, uid: self.woken.append(uid))
        self._version = 0

    def see(self, machine: Instance) -> list[str]:
        """Whom a pass wakes after that machine changed."""
        self._version += 1
        self.services.view.nodes.store.put(machine, str(self._version))
        return self.look()

    def look(self) -> list[str]:
        self.woken.clear()
        self.sweep._nodes(stage.NOW)
        return list(self.woken)


def test_a_birth_wakes_whose_machine_it_may_be_though_no_ledger_is_there() -> None:
    scene = Scene()
    assert not scene.services.chronicle.loaded
    assert scene.see(node("new", provider_id="cloud://7")) == ["uid-q-1"]
    assert scene.see(node("was-q-2")) == ["uid-q-2"]
    assert scene.see(node("other", provider_id="cloud://9")) == []


def test_a_providerid_that_comes_later_wakes_and_what_was_known_wakes_nobody() -> None:
    scene = Scene()
    early = node("new")
    assert scene.see(early) == []
    late = replace(early, provider_id="cloud://7")
    assert scene.see(late) == ["uid-q-1"]
    assert scene.see(replace(late, labels={"team": "shop"})) == []
    scene.services.view.nodes.store.mark_all()
    assert scene.look() == []


def test_a_machine_that_is_there_still_is_known_by_what_it_says_now() -> None:
    """It had no providerID when it was quarantined."""
    scene = Scene(quarantine("q-1", ""))
    assert scene.see(replace(node("was-q-1", provider_id="cloud://7"), uid="node-q-1")) == [], "it is the very machine"
    assert scene.see(node("new", provider_id="cloud://7")) == ["uid-q-1"]


def test_what_is_gone_is_forgotten() -> None:
    scene = Scene()
    machine = node("new", provider_id="cloud://7")
    assert scene.see(machine) == ["uid-q-1"]
    scene.services.view.nodes.store.drop(machine.uid, "9")
    scene.look()
    assert not scene.sweep._heirs._known
