"""Capacity meanwhile: asked for once, watched until it is good, tried again only after a definite failure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from exuvia.model.actions import Outcome, OutcomeKind, RequestMachine
from exuvia.model.instances import Condition
from exuvia.model.reasons import EventReason

from .world import PAUSED, UID, World, instance, pod, quarantine, refusal, release, rotation, settings

TIMEOUT = timedelta(minutes=20)
HERE = {"kind": "Node", "name": "worker-7", "uid": "11111111-node", "providerID": "simulated://7"}


def _asked(world: World) -> list[str]:
    return [one.key for one in world.done if isinstance(one, RequestMachine)]


def _answer(kind: OutcomeKind, reason: str = "") -> Any:
    def answer(action: object) -> Outcome | None:
        if not isinstance(action, RequestMachine):
            return None
        return Outcome(action=action, kind=kind, reason=reason, message="the cloud says so")

    return answer


def test_it_is_asked_for_with_the_marks_and_good_after_the_soak_time() -> None:
    world = World().grant()
    world.settle()
    assert _asked(world) == [f"{UID}-0"]
    assert world.status.capacity.state == "Requested"
    world.tick().settle()
    assert world.status.capacity.state == "Requested"
    assert world.status.capacity.replacement.good_since == world.now
    world.tick(timedelta(minutes=1)).settle()
    assert world.status.capacity.state == "Replaced"
    assert world.status.capacity.replacement.name == "worker-99"
    assert EventReason.REPLACEMENT_READY in [one.reason for one in world.notes]
    assert _asked(world) == [f"{UID}-0"]


def test_the_soak_time_starts_anew_when_it_was_not_ready() -> None:
    world = World().grant()
    world.live(lambda one: one.joined is not None)
    world.settle()
    assert world.joined is not None
    world.joined = replace(world.joined, conditions=(Condition(type="Ready", status="False"),))
    world.tick(timedelta(minutes=1)).settle()
    assert world.status.capacity.replacement.good_since is None
    world.joined = instance("worker-99", "99999999-node")
    world.settle()
    world.tick(timedelta(seconds=59)).settle()
    assert world.status.capacity.state == "Requested"
    world.tick(timedelta(seconds=1)).settle()
    assert world.status.capacity.state == "Replaced"


@pytest.mark.parametrize(
    ("provider", "word"), [("", "no provider"), ("Nonsense", "no provider"), ("NodeDelete", "NodeDelete")]
)
def test_without_a_provider_that_can_it_is_unsupported(provider: str, word: str) -> None:
    world = World().grant(settings(provider)).held()
    assert world.status.capacity.state == "Unsupported"
    assert word in world.status.capacity.message
    assert not _asked(world)


def test_it_is_not_asked_for_where_the_policy_does_not() -> None:
    world = World().grant(settings(replaceCapacity=False)).held()
    assert world.status.capacity.state == "NotAsked"
    assert not _asked(world)


@pytest.mark.parametrize("reason", ["ProviderUnknown", "ReplacementUnsupported"])
def test_a_provider_that_says_never_is_believed(reason: str) -> None:
    world = World(refuse=_answer(OutcomeKind.REFUSED, reason)).grant().held()
    world.settle()
    assert world.status.capacity.state == "Unsupported"


def test_definite_failures_are_tried_again_with_back_off_under_a_new_key() -> None:
    world = World(refuse=_answer(OutcomeKind.FAILED)).grant()
    world.settle()
    assert world.status.capacity.state == "Missing"
    assert world.status.capacity.attempts == 1
    wait = world.status.capacity.next_attempt - world.now
    assert wait == timedelta(minutes=1)
    world.held()
    world.refuse = lambda action: None
    world.tick(wait).settle()
    assert _asked(world) == [f"{UID}-1"]


@pytest.mark.parametrize("state", ["Failed", "Gone"])
def test_a_machine_that_did_not_come_is_missing_and_asked_for_anew(state: str) -> None:
    world = World().grant()
    world.settle()
    world.machines[f"{UID}-0"] = state
    world.tick().settle()
    assert world.status.capacity.state == "Missing"
    assert EventReason.REPLACEMENT_FAILED in [one.reason for one in world.notes]
    world.tick(timedelta(minutes=1)).settle()
    assert _asked(world) == [f"{UID}-0", f"{UID}-1"]


def test_a_request_that_never_arrived_is_sent_again_under_the_same_key() -> None:
    world = World(refuse=_answer(OutcomeKind.UNKNOWN)).grant()
    world.settle()
    world.refuse = lambda action: None
    world.tick(timedelta(seconds=29)).settle()
    assert not _asked(world)
    world.tick(timedelta(seconds=1)).settle()
    assert _asked(world) == [f"{UID}-0"]


def test_one_that_is_not_good_in_time_is_missing_and_watched_but_not_added_to() -> None:
    world = World(failing="workers, rule image").grant()
    world.live(lambda one: one.joined is not None)
    world.tick(TIMEOUT).settle()
    assert world.status.capacity.state == "Missing"
    assert "workers, rule image" in world.status.capacity.message
    world.failing = ""
    world.tick(timedelta(minutes=2)).settle()
    world.tick(timedelta(minutes=2)).settle()
    assert world.status.capacity.state == "Replaced"
    assert _asked(world) == [f"{UID}-0"]


def test_the_machine_itself_is_no_replacement() -> None:
    world = World(joined=instance()).grant()
    world.settle()
    world.tick(timedelta(minutes=5)).settle()
    assert world.status.capacity.state == "Requested"


def test_nothing_is_asked_for_during_a_pause() -> None:
    world = World(refuse=_answer(OutcomeKind.FAILED)).grant().held()
    world.refuse, world.hold = (lambda action: None), PAUSED
    world.tick(timedelta(hours=1)).settle()
    assert not _asked(world)
    world.hold = None
    world.settle()
    assert _asked(world) == [f"{UID}-1"]


def test_the_replacement_of_a_rotation_that_is_taken_over_passes() -> None:
    taken = rotation(phase="Replacing", replacement={"requestID": "rotation-0", "requestedAt": "2026-11-24T11:59:00Z"})
    world = World(rotations=[taken], machines={"rotation-0": "Running"}).grant()
    world.settle()
    world.tick().settle()
    world.tick(timedelta(minutes=1)).settle()
    assert world.status.capacity.state == "Replaced"
    assert not _asked(world)


def test_an_heir_goes_on_with_what_its_former_asked_for() -> None:
    former = World(quarantine=quarantine(instance=HERE)).held()
    heir = quarantine(name="heir", uid="heir", node="33333333-node", inheritedFrom=former.quarantine.name)
    world = World(
        quarantine=heir,
        node=instance(uid="33333333-node", provider_id="simulated://7"),
        quarantines=[former.quarantine],
    )
    world.machines = former.machines
    world.live(lambda one: str(one.status.phase) == "Held")
    assert world.status.capacity.replacement.request_id == f"{UID}-0"
    assert not _asked(world)


def test_after_a_release_nothing_more_is_asked_for() -> None:
    world = World(refuse=_answer(OutcomeKind.FAILED)).grant().held()
    world.refuse = lambda action: None
    world.write(release=release("Rotate")).settle()
    world.tick(timedelta(hours=1)).settle()
    assert not _asked(world)


def test_capacity_holds_nothing_up() -> None:
    world = World(refuse=refusal(RequestMachine)).add(pod("cart")).grant().held()
    assert world.status.evidence.digest
    assert world.status.capacity.state == "Missing"


def test_a_request_that_never_arrived_is_not_sent_again_during_a_pause() -> None:
    world = World(refuse=_answer(OutcomeKind.UNKNOWN)).grant()
    world.settle()
    world.refuse, world.hold = (lambda action: None), PAUSED
    world.tick(timedelta(minutes=5)).settle()
    assert not _asked(world)


def test_a_rotation_that_asked_for_nothing_passes_nothing() -> None:
    world = World(rotations=[rotation(phase="Cordoned", replacement={"requestedAt": "2026-11-24T11:59:00Z"})]).grant()
    world.settle()
    assert _asked(world) == [f"{UID}-0"]


def test_a_machine_that_was_claimed_without_a_request_passes_too() -> None:
    claimed = {"name": "worker-99", "uid": "99999999-node"}
    world = World(rotations=[rotation(phase="Draining", replacement=claimed)]).grant(settings("NodeDelete"))
    world.joined = instance("worker-99", "99999999-node")
    world.settle()
    world.tick(timedelta(minutes=1)).settle()
    assert world.status.capacity.state == "Replaced"
    assert not _asked(world)


def test_a_claimed_machine_that_is_gone_is_asked_for_under_our_own_key() -> None:
    claimed = {"name": "worker-99", "uid": "99999999-node"}
    world = World(rotations=[rotation(phase="Draining", replacement=claimed)]).grant()
    world.settle()
    world.tick(timedelta(minutes=1)).settle()
    assert _asked(world) == [f"{UID}-0"]
