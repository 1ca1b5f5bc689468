"""What outcomes mean for the status: done only when all was done, failed with a reason and a later try."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from exuvia.decide import quarantine as decide
from exuvia.decide.quarantine import asking, patching
from exuvia.model import marks
from exuvia.model.actions import LabelPod, MarkInstance, Outcome, OutcomeKind
from exuvia.model.quarantine_views import Noted
from exuvia.model.steps import Step

from .world import NOW, World, condition, pod, release


def _first(world: World) -> Step:
    step = world.ask()
    assert step.name == asking.MARK
    return step


def _outcomes(step: Step, kind: OutcomeKind = OutcomeKind.DONE, **more: object) -> tuple[Outcome, ...]:
    return tuple(Outcome(action=one, kind=kind, **more) for one in step.actions)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [OutcomeKind.DONE, OutcomeKind.ALREADY])
def test_marks_that_landed_are_noted(kind: OutcomeKind) -> None:
    world = World().grant()
    step = _first(world)
    world._patch(step.status)
    world._patch(decide.note(world.view(), step, _outcomes(step, kind), NOW).status)
    assert asking.marked_at(world.quarantine) == NOW


def test_the_view_before_the_win_serves_as_well_as_the_one_after() -> None:
    world = World().grant()
    step = _first(world)
    before = decide.note(world.view(), step, _outcomes(step), NOW)
    world._patch(step.status)
    assert decide.note(world.view(), step, _outcomes(step), NOW) == before


def test_what_was_not_tried_is_not_done() -> None:
    world = World().grant()
    step = _first(world)
    world._patch(step.status)
    for outcomes in ((), _outcomes(step)[1:]):
        world._patch(decide.note(world.view(), step, outcomes, NOW).status)
        assert asking.marked_at(world.quarantine) is None


def test_a_refusal_is_kept_with_its_reason_and_waits_as_asked() -> None:
    world = World().grant()
    step = _first(world)
    said = _outcomes(
        step, OutcomeKind.REFUSED, reason="Throttled", message="slow down", retry_after=timedelta(minutes=1)
    )
    noted = decide.note(world.view(), step, said[:1], NOW)
    assert noted.recheck_after == timedelta(minutes=1)
    world._patch(noted.status)
    found = patching.trouble_of(world.quarantine, asking.MARK)
    assert found is not None
    assert (str(found[0]), found[1]) == ("Throttled", "slow down")
    assert patching.retry_at(world.quarantine, asking.MARK) == NOW + timedelta(minutes=1)


def test_several_troubles_are_counted() -> None:
    world = World().add(pod("a"), pod("b")).grant()
    world._carry_out(_first(world))
    step = world.ask()
    noted = decide.note(world.view(), step, _outcomes(step, OutcomeKind.FAILED, message="500"), NOW)
    world._patch(noted.status)
    found = patching.trouble_of(world.quarantine, asking.FREEZE)
    assert found is not None
    assert found[1] == "500 (and 2 more)"
    assert condition(world, "Isolated") == ("False", "Partial")


def test_a_step_without_actions_or_after_the_end_notes_nothing() -> None:
    world = World().held().write(release=release()).live()
    step = Step(name=asking.MARK, actions=(_mark(world),))
    assert decide.note(world.view(), step, _outcomes(step), NOW) == Noted()
    assert decide.note(World().grant().view(), Step(name="x"), (), NOW) == Noted()


def _mark(world: World) -> MarkInstance:
    """The first marks that were put on."""
    return next(one for one in world.done if isinstance(one, MarkInstance))


def test_labels_that_do_not_stick_do_not_keep_us_busy() -> None:
    def pretend(action: object) -> Outcome | None:
        return Outcome(action=action, kind=OutcomeKind.DONE) if isinstance(action, LabelPod) else None

    world = World(refuse=pretend).add(pod("db", "StatefulSet")).grant()
    step = world.settle(rounds=15)
    assert step.recheck_after is not None
    world.refuse = lambda action: None
    world.tick().settle()
    assert marks.QUARANTINE_POD_LABEL in world.pods["uid-db"].labels
    world.refuse = pretend
    world.pods["uid-db"] = replace(world.pods["uid-db"], labels={"app": "db"})
    world.tick().settle(rounds=15)
