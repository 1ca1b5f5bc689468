"""What the status says and how it is written: since when, the next try, conditions, and that an end is an end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exuvia.decide.rotation import grant, step
from exuvia.decide.rotation.patching import Patch, merged
from exuvia.model.actions import Action, MarkInstance, RemoveMachine, RestoreInstance
from exuvia.model.blocking import Blocked
from exuvia.model.reasons import BlockedReason
from exuvia.model.specs.rotation import RotationPhase
from tests.decide.rotation.world import PAUSE, START, UID, World, budget, frozen, make_rotation, pod

P = RotationPhase
MINUTE = timedelta(minutes=1)


def test_since_when_stays_while_the_reason_does() -> None:
    rotation = make_rotation()
    rotation = merged(rotation, Patch(rotation, START).blocked(PAUSE).body)
    again = Blocked(reason=BlockedReason.PAUSED, message="bob asked for a pause")
    rotation = merged(rotation, Patch(rotation, START + MINUTE).blocked(again).body)
    assert rotation.status.blocked is not None
    assert rotation.status.blocked.message == "bob asked for a pause"
    assert rotation.status.blocked.since == START
    other = Blocked(reason=BlockedReason.STORM, message="storm")
    rotation = merged(rotation, Patch(rotation, START + 2 * MINUTE).blocked(other).body)
    assert rotation.status.blocked.since == START + 2 * MINUTE


def test_the_next_try_is_written_on_change_and_every_5_min_only() -> None:
    rotation = make_rotation()

    def patch(minutes: int) -> dict[str, object]:
        now = START + minutes * MINUTE
        blocked = Blocked(reason=BlockedReason.PDB, message="shop/cart", next=now + MINUTE)
        return Patch(rotation, now).blocked(blocked).body

    rotation = merged(rotation, patch(0))
    assert patch(1) == {}
    assert patch(5) == {}
    assert set(patch(6)) == {"blocked"}


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    rotation = make_rotation()
    rotation = merged(rotation, Patch(rotation, START).condition("Blocked", True, "Paused").body)
    rotation = merged(rotation, Patch(rotation, START + MINUTE).condition("Blocked", True, "Storm").body)
    assert rotation.status.conditions[0].last_transition_time == START
    rotation = merged(rotation, Patch(rotation, START + MINUTE).condition("Blocked", False, "NotBlocked").body)
    assert rotation.status.conditions[0].last_transition_time == START + MINUTE


def test_the_grant_freezes_the_settings_and_lets_go_of_what_held_it() -> None:
    waiting = make_rotation(status={"blocked": {"reason": "WindowClosed", "message": "closed until 22:00"}})
    patch = grant(waiting, frozen(strategy="DrainFirst", soak_time="2m"), START)
    granted = merged(waiting, patch)
    assert patch["blocked"] is None
    assert granted.status.phase is P.CORDONED
    assert granted.status.started_at == START
    assert granted.status.settings == frozen(strategy="DrainFirst", soak_time="2m")
    assert grant(waiting, frozen(), START)["phase"] == "Replacing"


def test_each_phase_is_a_step_with_its_times() -> None:
    world = World().add(pod("web")).grant().run()
    steps = {one.name: one for one in world.status.steps}
    for phase in ("Replacing", "Cordoned", "Draining", "Drained", "Terminating"):
        assert steps[phase].started_at
        assert steps[phase].finished_at
        assert steps[phase].started_at <= steps[phase].finished_at


@given(st.sampled_from(sorted(P, key=str)), st.sampled_from(sorted(P, key=str)))
def test_no_phase_goes_back(present: RotationPhase, asked: RotationPhase) -> None:
    rotation = make_rotation(status={"phase": str(present)})
    after = merged(rotation, Patch(rotation, START).phase(asked).body)
    assert after.status.phase.rank == max(present.rank, asked.rank)


@pytest.mark.parametrize("phase", [P.SUCCEEDED, P.FAILED, P.ABORTED])
def test_an_end_is_an_end(phase: RotationPhase) -> None:
    spec = {"abort": True}
    world = World(rotation=make_rotation(status={"phase": str(phase), "reason": "Replaced"}, spec=spec))
    found = step(world.gather(), START)
    assert found.finished
    assert not found.status
    assert not found.actions


def _walk(world: World) -> list[tuple[Action, bool]]:
    """Every action to the end, and whether its step was said to be disruptive."""
    found: list[tuple[Action, bool]] = []
    while not world.status.phase.ended:
        view, one = world.ask()
        found += [(action, one.disruptive) for action in one.actions]
        if one.status or one.actions:
            world.carry_out(view, one)
        else:
            world.tick(5)
    return found


def test_what_is_disruptive_is_said_to_be() -> None:
    world = World(settings=frozen(drain={"timeout": "10m", "on_timeout": "Force"})).add(pod("web"), pod("cart"))
    world.budgets = (budget("cart", "cart"),)
    walked = _walk(world.grant())
    assert world.status.phase is P.SUCCEEDED
    assert walked
    assert all(disruptive for _, disruptive in walked)


def test_restoring_needs_no_intent_and_no_brake_holds_it() -> None:
    world = World(settings=frozen(strategy="DrainFirst")).add(pod("web", grace_seconds=300)).grant()
    world.until(P.DRAINING)
    world.view = {"wanted": False, "hold": PAUSE, "ledger_down": True}
    assert [(type(one), disruptive) for one, disruptive in _walk(world)] == [(RestoreInstance, False)]


def test_giving_back_is_entered_as_an_intent_and_no_brake_holds_it() -> None:
    world = World(never_ready=True).grant().until(P.REPLACING)
    world.advance()
    world.tick(1300)
    world.view = {"hold": PAUSE}
    assert [(type(one), disruptive) for one, disruptive in _walk(world)] == [
        (MarkInstance, True),
        (RemoveMachine, True),
    ]
    assert list(world.nodes) == [UID]


def test_while_the_ledger_is_down_a_replacement_is_kept() -> None:
    world = World(never_ready=True).grant().until(P.REPLACING)
    world.advance()
    world.tick(1300)
    world.view = {"ledger_down": True}
    assert _walk(world) == []
    assert world.status.replacement.surplus


def test_a_drain_names_what_holds_it_by_what_and_since_when_at_every_moment() -> None:
    world = World(settings=frozen(strategy="DrainFirst")).add(pod("cart"))
    world.budgets = (budget("cart", "cart"),)
    world.grant().run(5 * MINUTE)
    for _ in range(30):
        world.advance()
        assert world.status.blocked is not None
        assert world.status.blocked.reason == "PDB"
        assert world.status.blocked.since is not None
        assert world.status.drain.blocked_by[0].since is not None
        world.tick(7)
