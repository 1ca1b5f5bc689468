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
