"""What one step is decided from: what is not known of a machine's verdict neither disrupts nor calls off."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from exuvia.app.gathering import Gatherer
from exuvia.decide import rotation as decide
from exuvia.decide.brakes.holds import Holds
from exuvia.model import marks
from exuvia.model.blocking import Blocked
from exuvia.model.reasons import BlockedReason
from exuvia.model.rotation_views import RotationView
from exuvia.model.specs.rotation import Rotation
from exuvia.model.specs.security_policy import RuleType
from exuvia.model.steps import Look
from tests import virtual
from tests.app import stage
from tests.app.stage import NOW
from tests.evaluate.world import node, policy, rule

OLD = rule(RuleType.MAX_AGE, {"limit": "1m"})
YOUNG = rule(RuleType.MAX_AGE, {"limit": "720h"})
PAUSED = Blocked(reason=BlockedReason.PAUSED, message="paused by alice")
STARTED = "2026-11-25T11:59:00Z"


def replacing(**status: Any) -> Rotation:
    return Rotation.parse(
        {
            "metadata": {
                "name": "r-1",
                "uid": "uid-r-1",
                "generation": 1,
                "creationTimestamp": STARTED,
                "finalizers": [marks.FINALIZER],
            },
            "spec": {
                "instance": {"kind": "Node", "name": "worker-7", "uid": "uid-worker-7"},
                "policy": {"name": "workers", "uid": "uid-workers", "generation": 1},
                "rule": "maxage",
            },
            "status": {"phase": "Replacing", "startedAt": STARTED, "settings": {"provider": "NodeDelete"}, **status},
        }
    )


class Scene:
    """A machine, its Rotation, and whatever the policy is."""

    def __init__(self, hold: Blocked | None = None) -> None:
        health = SimpleNamespace(state="Fine", since=None, message="")
        self.services = stage.services(
            planner=SimpleNamespace(holds_for=lambda *_: Holds(hold=hold)),
            client=SimpleNamespace(clock_skew=timedelta(0)),
            ledger_health=lambda: health,
            ledger_down=lambda: False,
        )
        self.machine = node()
        self.fleet = stage.fleet(self.services, self.machine)
        for one in self.services.view.reflectors:
            one.synced = True
            one.last_heard = NOW
        self.gatherer = Gatherer(self.services, self.fleet)

    def view(self) -> RotationView:
        return virtual.run(self.gatherer.rotation(replacing(), frozenset()))


def called_off(view: RotationView) -> bool:
    return decide.step(view, NOW).status.get("reason") == "NoLongerWanted" or decide.step(view, NOW).finished


@pytest.mark.parametrize("hold", [None, PAUSED])
def test_after_a_restart_nothing_is_called_off_before_the_machine_was_judged(hold: Blocked | None) -> None:
    scene = Scene(hold)
    scene.services.policies.refresh([policy(OLD)])
    view = scene.view()
    assert view.hold is not None and view.hold.reason is BlockedReason.UNSYNCED
    assert not called_off(view)
    stage.judged(scene.services, scene.machine)
    view = scene.view()
    assert view.wanted and view.hold == hold


def test_an_edit_calls_off_only_once_the_machine_was_judged_by_it() -> None:
    scene = Scene()
    scene.services.policies.refresh([policy(OLD)])
    stage.judged(scene.services, scene.machine)
    scene.services.policies.refresh([policy(YOUNG, generation=2)])
    assert not called_off(scene.view())
    stage.judged(scene.services, scene.machine)
    view = scene.view()
    assert not view.wanted and view.hold is None
    assert called_off(view)


class Server:
    """Counts what is read of it."""

    clock_skew = timedelta(0)

    def __init__(self) -> None:
        self.reads = 0

    async def get(self, *_: object, **__: object) -> None:
        self.reads += 1

    async def pages(self, *_: object, **__: object) -> Any:
        self.reads += 1
        yield []


def test_every_look_reads_anew_however_short_ago_the_last_one_was() -> None:
    """Before a machine is removed Node and pods are read once more: a pod may have come since they were last read."""
    scene = Scene()
    server = scene.services.client = Server()
    looks = frozenset({Look.NODE, Look.PODS})

    def look() -> frozenset[Look]:
        found: RotationView = virtual.run(scene.gatherer.rotation(replacing(), looks))
        return found.fresh

    assert (look(), server.reads) == (looks, 2)
    assert (look(), server.reads) == (looks, 4)


def test_what_runs_on_the_replacement_is_asked_only_when_it_may_be_given_back() -> None:
    scene = Scene()
    server = scene.services.client = Server()
    claim = {"uid": "uid-worker-7", "name": "worker-7"}
    watched = virtual.run(scene.gatherer.rotation(replacing(replacement=claim), frozenset({Look.MACHINE})))
    assert (watched.replacement_pods, server.reads) == (None, 0)
    ends = replacing(replacement=claim, reason="CalledOff")
    ending = virtual.run(scene.gatherer.rotation(ends, frozenset({Look.MACHINE})))
    assert (ending.replacement_pods, server.reads) == ((), 1)
