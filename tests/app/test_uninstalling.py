"""What was let go when somebody asked for an uninstall is never held again, whatever of the installation goes first."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exuvia.app import uninstalling
from exuvia.app.advance import Advancer
from exuvia.app.guarding import Guarding, body
from exuvia.model import marks
from exuvia.model.specs.fleet_guard import FleetGuard
from exuvia.model.specs.quarantine import Quarantine
from tests.app import stage

ASKED = {"uninstall": {"by": "alice", "at": "2026-11-25T11:00:00Z", "releaseQuarantines": True}}
HELD = {"phase": "Held", "startedAt": "2026-11-25T11:10:00Z"}
DELETED = "2026-11-25T11:30:00Z"


def guard(**meta: Any) -> FleetGuard:
    spec, status = meta.pop("spec", {}), meta.pop("status", {})
    return FleetGuard.parse({"metadata": {"name": "default", "uid": "G", **meta}, "spec": spec, "status": status})


def quarantine(status: dict[str, Any], **meta: Any) -> Quarantine:
    spec = {"instance": {"kind": "Node", "name": "w", "uid": "node-w"}}
    return Quarantine.parse({"metadata": {"name": "q", "uid": "uid-q", **meta}, "spec": spec, "status": status})


class Scene:
    """An Advancer whose view is filled by hand, and would put our finalizer on or not."""

    def __init__(self, cluster: stage.Objects | None = None) -> None:
        told = SimpleNamespace(note=lambda *facts: None)
        self.services = stage.services(
            leadership=SimpleNamespace(leads=lambda: True),
            hands=None,
            cluster=cluster,
            scribe=told,
            events=SimpleNamespace(say=lambda event: None),
        )
        self.view = self.services.view
        self.begin_a_term()

    def begin_a_term(self) -> None:
        self.fleet = stage.fleet(self.services)
        self._advancer = Advancer(self.services, self.fleet)

    def holds(self, one: Quarantine) -> bool:
        return self._advancer._lacks_finalizer(one)


def test_a_fleet_guard_that_goes_after_an_uninstall_takes_nothing_back() -> None:
    """`kubectl delete -k deploy/` deletes it first: what was let go must not be held again before the operator ends."""
    scene = Scene()
    scene.view.guards.store.put(guard(spec=ASKED), "1")
    assert uninstalling.asked(scene.fleet) and not scene.holds(quarantine(HELD))
    scene.view.guards.store.drop("G", "2")
    for _ in range(2):
        assert uninstalling.asked(scene.fleet) and not scene.holds(quarantine(HELD))
        asked = scene.fleet.uninstall()
        assert asked is not None and asked.release_quarantines
        scene.begin_a_term()  # another term of the same process knows it too


def test_it_is_through_when_nothing_is_left_also_after_the_fleet_guard_went() -> None:
    scene = Scene()
    guards = scene.view.guards.store
    ended, waits = (
        {"conditions": [{"type": "Uninstalled", "status": status, "reason": reason}]}
        for status, reason in (("True", "NothingLeft"), ("False", "AbortingRotations"))
    )
    for spec, status, through in ((ASKED, {}, False), (ASKED, waits, False), ({}, ended, False), (ASKED, ended, True)):
        guards.put(guard(spec=spec, status=status), "1")
        assert uninstalling.through(scene.services, scene.fleet) is through
    guards.drop("G", "2")
    assert uninstalling.through(scene.services, scene.fleet)


@pytest.mark.parametrize(("spec", "made"), [(ASKED, []), ({}, ["default"])])
async def test_a_fleet_guard_that_goes_is_made_anew_but_not_after_an_uninstall(
    spec: dict[str, Any], made: list[str]
) -> None:
    cluster = stage.Objects()
    scene = Scene(cluster)
    scene.view.guards.synced = True
    scene.view.guards.store.put(guard(spec=spec), "1")
    scene.view.guards.store.drop("G", "2")
    history: Any = SimpleNamespace(loaded=True, guard_seen=True)
    await Guarding(scene.services, scene.fleet, history)._look()
    assert list(cluster.kept) == made


def test_under_a_fleet_guard_that_was_made_anew_nothing_that_was_let_go_is_held_before_a_person_resumes() -> None:
    """An operator that is started after the FleetGuard was deleted knows of no uninstall."""
    scene = Scene()
    scene.view.guards.store.put(guard(spec=body(paused=True)["spec"]), "1")
    assert not scene.holds(quarantine(HELD)) and scene.holds(quarantine({"phase": "Pending"}))
    scene.view.guards.store.put(guard(), "2")
    assert scene.holds(quarantine(HELD))


def test_a_person_who_takes_it_back_is_heard() -> None:
    scene = Scene()
    scene.view.guards.store.put(guard(spec=ASKED), "1")
    scene.view.guards.store.put(guard(), "2")
    assert not uninstalling.leaving(scene.fleet) and scene.holds(quarantine(HELD))
    scene.view.guards.store.drop("G", "3")
    assert not uninstalling.asked(scene.fleet), "what was taken back is not asked for"


def test_an_operator_that_starts_when_the_fleet_guard_is_gone_holds_nothing_that_was_let_go() -> None:
    """A person's Quarantine may start without brakes: that one is held from its first sight on."""
    scene = Scene()
    assert not scene.holds(quarantine(HELD))
    assert scene.holds(quarantine({"phase": "Pending"}))
    assert not scene.holds(quarantine({"phase": "Pending"}, finalizers=[marks.FINALIZER]))


def test_nothing_begins_and_nothing_is_held_while_the_fleet_guard_is_being_deleted() -> None:
    scene = Scene()
    scene.view.guards.store.put(guard(deletionTimestamp=DELETED), "1")
    assert uninstalling.leaving(scene.fleet) and not uninstalling.asked(scene.fleet)
    assert not scene.holds(quarantine({"phase": "Pending"}))


@given(
    guards=st.lists(st.sampled_from([None, guard(), guard(spec=ASKED), guard(deletionTimestamp=DELETED)]), max_size=5),
    status=st.sampled_from([HELD, {"phase": "Pending"}]),
)
def test_what_is_being_deleted_never_gets_a_finalizer(guards: list[FleetGuard | None], status: dict[str, Any]) -> None:
    scene = Scene()
    for number, one in enumerate(guards):
        if one is None:
            scene.view.guards.store.drop("G", str(number))
            break
        scene.view.guards.store.put(one, str(number))
    assert not scene.holds(quarantine(status, deletionTimestamp=DELETED))


@pytest.mark.parametrize("name", ["other", "former"])
def test_only_the_fleet_guard_of_that_name_is_remembered(name: str) -> None:
    scene = Scene()
    scene.view.guards.store.put(FleetGuard.parse({"metadata": {"name": name, "uid": "O"}, "spec": ASKED}), "1")
    scene.view.guards.store.drop("O", "2")
    assert not uninstalling.asked(scene.fleet)
