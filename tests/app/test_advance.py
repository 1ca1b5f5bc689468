"""Between the win of a step and its writes the world goes on: what holds by then holds the writes as well."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from exuvia.act.hands import TOGETHER
from exuvia.app.advance import Advancer
from exuvia.decide.rotation import HAND_OVER
from exuvia.model.actions import EvictPod, Outcome, OutcomeKind, PodTarget
from exuvia.model.blocking import Blocked
from exuvia.model.reasons import BlockedReason
from exuvia.model.steps import Step
from tests import virtual
from tests.app import stage

PAUSED = Blocked(reason=BlockedReason.PAUSED, message="paused by alice")
STORM = Blocked(reason=BlockedReason.STORM, message="too many are not ready")
WON: Any = SimpleNamespace(KIND="Rotation", name="r-1", uid="uid-r-1")


def evictions(count: int) -> tuple[EvictPod, ...]:
    return tuple(EvictPod(pod=PodTarget(namespace="shop", name=f"p{n}", uid=f"u{n}")) for n in range(count))


class Scene:
    """A Rotation whose brakes engage after so many writes."""

    def __init__(
        self, *, after: int | None = None, hold: Blocked | None = None, eviction: Blocked | None = None
    ) -> None:
        self.written = 0
        self._after = after
        self._holds = (hold, eviction)
        self.resigned = 0
        services = stage.services(
            hands=SimpleNamespace(execute_all=self._execute),
            leadership=SimpleNamespace(resign=self._resign, leads=lambda: True),
        )
        self.advancer = Advancer(services, stage.fleet(services))
        self.line: Any = SimpleNamespace(gather=self._gather, held=lambda view, now: view.hold)

    def view(self) -> Any:
        engaged = self._after is not None and self.written >= self._after
        hold, eviction = self._holds if engaged else (None, None)
        return SimpleNamespace(hold=hold, eviction_hold=eviction)

    async def _gather(self, won: Any, looks: Any) -> Any:
        return self.view()

    async def _execute(self, actions: Any) -> tuple[Outcome, ...]:
        self.written += len(actions)
        return tuple(Outcome(action=one, kind=OutcomeKind.DONE) for one in actions)

    def _resign(self) -> None:
        self.resigned += 1

    def act(self, step: Step, seen: Any = None) -> tuple[tuple[Outcome, ...], bool]:
        return virtual.run(self.advancer._act(self.line, WON, seen or self.view(), step))


def test_a_whole_wave_goes_out_where_nothing_holds() -> None:
    scene = Scene()
    outcomes, whole = scene.act(Step(name="Evicting", actions=evictions(20), disruptive=True))
    assert whole and len(outcomes) == scene.written == 20


def test_a_pause_that_comes_while_the_step_was_won_stops_it_before_the_first_write() -> None:
    scene = Scene(after=0, hold=PAUSED)
    seen = SimpleNamespace(hold=None, eviction_hold=None)
    assert scene.act(Step(name="Marking", actions=evictions(1), disruptive=True), seen) == ((), False)
    assert scene.written == 0


@pytest.mark.parametrize(("hold", "eviction"), [(PAUSED, None), (None, STORM)])
def test_what_engages_in_the_middle_of_a_wave_stops_the_rest_of_it(
    hold: Blocked | None, eviction: Blocked | None
) -> None:
    scene = Scene(after=1, hold=hold, eviction=eviction)
    outcomes, whole = scene.act(Step(name="Evicting", actions=evictions(20), disruptive=True))
    assert not whole
    assert len(outcomes) == scene.written == TOGETHER


def test_what_gives_back_is_not_held() -> None:
    scene = Scene(after=0, hold=PAUSED)
    _, whole = scene.act(Step(name="Restoring", actions=evictions(1)))
    assert whole and scene.written == 1


def test_what_was_decided_although_something_holds_is_done() -> None:
    """Else it would be won again and again, for nothing."""
    scene = Scene(after=0, hold=PAUSED)
    _, whole = scene.act(Step(name="GivingBack", actions=evictions(1), disruptive=True))
    assert whole and scene.written == 1


def test_leadership_is_handed_over_when_a_rotation_asks_for_it() -> None:
    scene = Scene()
    scene.advancer._hand_over(WON, Step(name="Evicting"))
    assert scene.resigned == 0
    scene.advancer._hand_over(WON, Step(name=HAND_OVER))
    assert scene.resigned == 1
