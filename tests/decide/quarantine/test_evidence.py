"""Evidence: when it is collected, when it counts as sealed, and what is tried again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from exuvia.decide import quarantine as decide
from exuvia.model.evidence import Collected, DiskState, EvidenceOnDisk
from exuvia.model.pods import Pod
from exuvia.model.quarantine_views import Noted
from exuvia.model.reasons import EventReason

from .world import DIGEST, PAUSED, World, condition, instance, pod, quarantine, release, settings

POLICY = {"name": "workers", "uid": "policy-uid", "generation": 3}
HERE = {"kind": "Node", "name": "worker-7", "uid": "11111111-node", "providerID": "simulated://7"}


def _said(world: World, reason: EventReason) -> int:
    return [one.reason for one in world.notes].count(reason)


def test_phases_come_one_after_the_other() -> None:
    world = World().add(pod("cart")).held()
    assert world.phases == ["Isolating", "Collecting", "Sealed", "Held"]
    assert condition(world, "EvidenceSealed") == ("True", "Sealed")
    assert world.status.evidence.digest == DIGEST
    assert _said(world, EventReason.EVIDENCE_SEALED) == 1
    assert _said(world, EventReason.EVIDENCE_CAPTURED) == 2
    assert any(DIGEST in one.what for one in world.status.custody)


def test_the_order_says_all_that_collectors_need() -> None:
    world = World(quarantine=quarantine(policy=POLICY, rule="intrusion")).grant()
    world.settle()
    order = world.orders[0]
    assert [(one.name, one.type) for one in order.collectors] == [("api", "APIObjects"), ("logs", "PodLogs")]
    assert order.collectors[1].since == timedelta(hours=24)
    assert order.timeout == timedelta(minutes=30)
    assert order.isolated_at is not None
    assert order.seal_incomplete is False
    assert dict(order.about) == {
        "policy": "workers",
        "policyUID": "policy-uid",
        "rule": "intrusion",
        "reason": "suspicious",
        "requestedBy": "eve",
        "machineID": "machine-7",
    }


def test_what_is_missing_is_said_and_tried_again_with_back_off() -> None:
    world = World(missing="logs: connection refused").grant()
    world.live(lambda one: str(one.status.phase) == "Held")
    assert condition(world, "EvidenceSealed") == ("False", "Missing")
    assert world.phases == ["Isolating", "Collecting", "Held"]
    waits = []
    for _ in range(8):
        waits.append(world.status.evidence.next_attempt - world.now)
        assert world.settle().collect is False
        assert world.status.blocked.reason == "EvidenceMissing"
        assert "connection refused" in world.status.blocked.message
        world.tick(waits[-1]).settle()
        world.tick()
    minutes = [round(one.total_seconds() / 60) for one in waits]
    assert minutes == [1, 2, 4, 8, 16, 30, 30, 30]
    assert [one.what for one in world.status.custody if "not complete" in one.what].__len__() == 1


def test_once_it_can_be_got_it_is_sealed_and_stays_held() -> None:
    world = World(missing="logs: connection refused").grant()
    world.live(lambda one: str(one.status.phase) == "Held")
    world.missing = ""
    world.tick(timedelta(minutes=2)).live(lambda one: bool(one.status.evidence.digest))
    world.settle()
    assert str(world.status.phase) == "Held"
    assert world.status.blocked is None
    assert condition(world, "Blocked") == ("False", "NotBlocked")


def test_best_effort_seals_what_could_be_got_and_says_what_not() -> None:
    world = World(missing="logs: connection refused").grant(settings(evidence={"requirement": "BestEffort"})).held()
    assert condition(world, "EvidenceSealed") == ("True", "Incomplete")
    assert world.phases[-2:] == ["Sealed", "Held"]


def test_one_run_at_a_time() -> None:
    world = World().grant()
    world.settle()
    world.settle()
    assert len(world.orders) == 1


def test_a_run_that_died_with_its_process_is_begun_again() -> None:
    world = World().grant()
    world.settle()
    world.collecting = None
    world.held()
    assert len(world.orders) == 2


def test_damaged_evidence_is_no_evidence() -> None:
    world = World().held()
    world.disk = EvidenceOnDisk(state=DiskState.DAMAGED, digest=DIGEST, problems=("logs/a.log: changed",))
    world.write(release=release("Rotate")).settle()
    assert condition(world, "EvidenceSealed") == ("False", "Damaged")
    assert not world.rotations
    assert world.status.blocked.reason == "EvidenceMissing"
    world.live(lambda one: bool(one.rotations))
    assert not world.lost


def test_a_manifest_that_was_exchanged_is_no_evidence() -> None:
    world = World().held()
    world.disk = EvidenceOnDisk(state=DiskState.SOUND, digest="another")
    world.write(release=release("Rotate")).settle()
    assert condition(world, "EvidenceSealed") == ("False", "Damaged")


def test_evidence_goes_on_during_a_pause() -> None:
    world = World().add(pod("cart")).grant()
    world.settle()
    world.hold = PAUSED
    world.held()
    assert world.status.evidence.digest == DIGEST


def test_what_was_got_of_a_machine_that_is_gone_is_sealed() -> None:
    world = World(missing="node: not found").grant()
    world.settle()
    world.node = None
    world.tick().live(lambda one: bool(one.status.evidence and one.status.evidence.digest))
    assert world.orders[-1].seal_incomplete is True


def test_answers_after_the_end_change_nothing() -> None:
    world = World().held().write(release=release()).live()
    late = Collected(sealed=True, manifest="m", digest="other")
    assert decide.note_evidence(world.view(), late, world.now) == Noted()


@pytest.mark.parametrize("pods", [[], [pod("cart")]])
def test_a_return_waits_for_the_run_that_is_under_way(pods: list[Pod]) -> None:
    world = World().add(*pods).grant()
    world.settle()
    world.write(release=release()).settle()
    assert world.collecting is not None
    assert world.node == instance()
    assert world.quarantine.open
    world.live()
    assert world.status.evidence.digest == DIGEST


def test_a_heir_seals_for_itself() -> None:
    former = World(quarantine=quarantine(instance=HERE)).held()
    heir = quarantine(name="heir", uid="heir", node="33333333-node", inheritedFrom=former.quarantine.name)
    world = World(
        quarantine=heir,
        node=instance(uid="33333333-node", provider_id="simulated://7"),
        quarantines=[former.quarantine],
    )
    world.live(lambda one: str(one.status.phase) == "Held")
    assert world.orders[0].about["inheritedFrom"] == former.quarantine.name
