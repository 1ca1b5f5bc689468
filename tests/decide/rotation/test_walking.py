"""The undisturbed way of a Rotation, from grant to end, for both strategies."""

from __future__ import annotations

from datetime import timedelta

from exuvia.model.actions import EvictPod, MarkInstance, RemoveMachine, RequestMachine
from exuvia.model.reasons import EventReason
from exuvia.model.specs.rotation import RotationPhase
from tests.decide.rotation.world import NODE_DELETE, START, UID, World, daemon_pod, frozen, pod

P = RotationPhase


def _kinds(world: World) -> list[str]:
    return [type(one).__name__ for one in world.actions()]


def test_replace_first_walks_every_phase_and_replaces_once() -> None:
    world = World().add(pod("web"), pod("cart"), daemon_pod()).grant().run()
    assert world.phases == [
        P.REPLACING, P.CORDONED, P.DRAINING, P.DRAINED, P.TERMINATING, P.SUCCEEDED,
    ]  # fmt: skip
    assert world.status.reason == "Replaced"
    assert _kinds(world) == ["RequestMachine", "MarkInstance", "EvictPod", "EvictPod", "RemoveMachine"]
    assert UID not in world.nodes
    assert len(world.nodes) == 1
    assert not world.lost
    assert world.status.blocked is None


def test_conditions_are_there_for_kubectl_wait() -> None:
    world = World().grant()
    assert [(one.type, one.status) for one in world.status.conditions] == [
        ("Blocked", "False"),
        ("Succeeded", "Unknown"),
    ]
    world.run()
    assert [(one.type, one.status, one.reason) for one in world.status.conditions] == [
        ("Blocked", "False", "NotBlocked"),
        ("Succeeded", "True", "Replaced"),
    ]


def test_drain_first_goes_the_same_way_without_replacing_and_asks_in_terminating() -> None:
    world = World(settings=frozen(strategy="DrainFirst")).add(pod("web")).grant().run()
    assert world.phases == [P.CORDONED, P.DRAINING, P.DRAINED, P.TERMINATING, P.SUCCEEDED]
    assert _kinds(world) == ["MarkInstance", "EvictPod", "RemoveMachine", "RequestMachine"]
    assert world.status.reason == "Replaced"


def test_node_delete_waits_for_a_machine_that_the_owner_brings() -> None:
    world = World(settings=frozen(strategy="DrainFirst"), provider=NODE_DELETE, refill=True).grant().run()
    assert world.status.reason == "Replaced"
    assert world.status.replacement.uid == "new-refill-0"
    assert not world.actions(RequestMachine)


def test_the_request_carries_the_operation_and_the_attempt_as_key() -> None:
    world = World().grant()
    world.advance()
    request = world.actions(RequestMachine)[0]
    assert isinstance(request, RequestMachine)
    assert request.key == f"{world.rotation.uid}-0"
    assert request.pool == "workers"


def test_the_removal_goes_by_uid_and_provider_id() -> None:
    world = World().grant().run()
    removal = world.actions(RemoveMachine)[0]
    assert isinstance(removal, RemoveMachine)
    assert (removal.instance.uid, removal.instance.provider_id) == (UID, f"simulated://{UID}")


def test_before_is_won_before_the_marks_are_written() -> None:
    world = World(settings=frozen(strategy="DrainFirst")).grant()
    view, step = world.ask()
    assert [type(one) for one in step.actions] == [MarkInstance]
    assert step.status["before"] == {"unschedulable": False, "labels": {}, "annotations": {}, "taints": []}
    assert step.disruptive
    assert view.rotation.status.before is None


def test_the_replacement_soaks_without_a_break() -> None:
    world = World(settings=frozen(soak_time="1m")).grant()
    world.advance()
    world.tick(20).advance()
    since = world.status.replacement.good_since
    assert since is not None
    new = next(uid for uid in world.nodes if uid != UID)
    world.tick(30)
    world.nodes[new]["status"]["conditions"][0]["status"] = "False"
    world.advance()
    assert world.status.replacement.good_since is None
    world.nodes[new]["status"]["conditions"][0]["status"] = "True"
    world.advance()
    assert world.status.replacement.good_since == world.now
    world.tick(59).advance()
    assert world.status.phase is P.REPLACING
    world.tick(1).advance()
    assert world.status.phase is not P.REPLACING


def test_nothing_is_called_drained_sooner_than_5_s_after_the_taint() -> None:
    world = World(settings=frozen(strategy="DrainFirst")).grant()
    world.advance()
    world.tick(4).advance()
    assert world.status.phase is P.DRAINING
    world.tick(1).advance()
    assert world.status.phase is P.TERMINATING


def test_the_settle_time_is_never_short_of_5_s_by_a_fraction() -> None:
    world = World(settings=frozen(strategy="DrainFirst"), now=START + timedelta(milliseconds=900)).grant()
    world.advance()
    world.tick(5 - 0.9).advance()
    assert world.status.phase is P.DRAINING
    world.tick(0.9).advance()
    assert world.status.phase is P.DRAINING
    world.tick(0.1).advance()
    assert world.status.phase is P.TERMINATING


def test_it_says_how_it_goes() -> None:
    world = World().add(pod("web")).grant().run()
    reasons = [one.reason for one in world.notes]
    for reason in (
        EventReason.ROTATION_STARTED,
        EventReason.REPLACEMENT_READY,
        EventReason.DRAINED,
        EventReason.ROTATION_SUCCEEDED,
    ):
        assert reasons.count(reason) == 1


def test_every_eviction_and_every_removal_follows_a_fresh_look() -> None:
    world = World().add(pod("web")).grant()
    for _ in range(200):
        if world.status.phase.ended:
            break
        _, step = world.ask()
        if any(isinstance(one, EvictPod | RemoveMachine) for one in step.actions):
            assert {"node", "pods"} <= world.looked[-1]
        world.advance()
        world.tick(timedelta(seconds=5))
    assert world.status.phase is P.SUCCEEDED
