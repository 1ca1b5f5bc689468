"""Before anything is done to the machine: who waits, who starts, who ends at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from exuvia.model.actions import AllowNetwork, CreateOperation
from exuvia.model.blocking import Blocked
from exuvia.model.quarantine_views import NetworkPolicyFacts

from .world import NOW, PAUSED, UID, World, instance, marked, pod, quarantine, release, settings


def test_pending_does_nothing_until_the_sweep_grants_it() -> None:
    world = World().add(pod("cart"))
    step = world.settle()
    assert not world.done
    assert step.recheck_after is not None
    assert world.node == instance()


def test_a_grant_copies_the_settings_and_says_who_asked() -> None:
    world = World().grant(settings(workloads="Evict"))
    assert str(world.status.phase) == "Isolating"
    assert world.status.started_at == NOW
    assert str(world.status.settings.quarantine.workloads) == "Evict"
    assert world.status.custody[0].by == "eve"
    assert "suspicious" in world.status.custody[0].what


def test_a_pending_one_is_called_off_by_a_return() -> None:
    world = World().write(release=release())
    world.settle()
    assert (str(world.status.phase), world.status.reason) == ("Released", "Released")
    assert world.status.custody[-1].by == "alice"
    assert not world.done


def test_a_pending_one_whose_machine_is_gone_is_aborted() -> None:
    world = World(node=None)
    world.settle()
    assert (str(world.status.phase), world.status.reason) == ("Aborted", "InstanceGone")


def test_a_uid_that_no_machine_has_is_named_with_the_one_that_bears_the_name() -> None:
    world = World(node=None)
    asked = world.quarantine.spec.instance
    world.instances = (replace(instance(), name=asked.name, uid="another-uid"),)
    world.settle()
    assert (str(world.status.phase), world.status.reason) == ("Aborted", "InstanceGone")
    said = world.status.message
    assert asked.uid in said and "another-uid" in said and f"`exuvia quarantine {asked.name}`" in said
    (note,) = world.notes
    assert note.text.endswith(said) and note.warning and note.of_operation


def test_a_machine_that_is_only_unknown_is_not_gone() -> None:
    world = World(node=None, known=False)
    world.settle()
    assert str(world.status.phase) == "Pending"


def test_of_two_the_older_stays_and_the_other_clears_its_policies() -> None:
    older = quarantine(name="worker-7-11111111-0", uid="older")
    older = older.model_copy(
        update={"metadata": older.metadata.model_copy(update={"creation_timestamp": NOW - timedelta(hours=1)})}
    )
    world = World(quarantines=[older]).grant()
    ours = NetworkPolicyFacts(namespace="shop", name=f"exuvia-{UID}", quarantine=UID)
    world.policies.append(ours)
    world._patch({"namespaces": ["shop"]})
    world.settle()
    assert (str(world.status.phase), world.status.reason) == ("Aborted", "Duplicate")
    assert "worker-7-11111111-0" in world.status.message
    assert world.done == [AllowNetwork(namespace="shop", name=f"exuvia-{UID}")]


def test_of_two_of_the_same_age_the_name_decides() -> None:
    world = World(quarantines=[quarantine(name="worker-7-11111111-2", uid="other")])
    world.grant().settle()
    assert world.quarantine.open
    assert marked(world)


HERE = {"kind": "Node", "name": "worker-7", "uid": "11111111-node", "providerID": "simulated://7"}


def _heir(provider_id: str, **more: Any) -> World:
    """A new object that says it is the machine of a Quarantine that is held."""
    former = World(quarantine=quarantine(instance=HERE)).grant(settings(workloads="Evict")).held()
    newborn = instance(uid="33333333-node", provider_id=provider_id)
    said = quarantine(name="heir", uid="heir", node="33333333-node", inheritedFrom=former.quarantine.name)
    return World(quarantine=said, node=newborn, quarantines=[former.quarantine], **more)


@pytest.mark.parametrize("hold", [None, PAUSED])
def test_an_heir_starts_without_a_grant_under_any_brake_as_its_former_was(hold: Blocked | None) -> None:
    world = _heir("simulated://7", hold=hold)
    world.settle()
    assert marked(world)
    assert str(world.status.settings.quarantine.workloads) == "Evict"


def test_a_bare_claim_to_inherit_starts_nothing() -> None:
    world = _heir("simulated://8")
    world.settle()
    assert str(world.status.phase) == "Pending"
    assert not world.done


def test_a_bare_claim_to_inherit_lifts_no_brake() -> None:
    world = _heir("simulated://8", hold=PAUSED).grant()
    world.settle()
    assert not world.done


def test_an_heir_of_one_that_never_started_waits_as_well() -> None:
    former = quarantine(name="former", uid="former")
    heir = quarantine(name="heir", uid="heir", node="33333333-node", inheritedFrom="former")
    world = World(quarantine=heir, node=instance(uid="33333333-node"), quarantines=[former])
    world.settle()
    assert not world.done


def test_a_pending_one_makes_its_heir_as_early_as_possible() -> None:
    provider = {"kind": "Node", "name": "worker-7", "uid": "11111111-node", "providerID": "simulated://7"}
    pending = quarantine(instance=provider)
    world = World(
        quarantine=pending, node=None, instances=(instance(uid="33333333-node", provider_id="simulated://7"),)
    )
    world.settle()
    made = [one for one in world.done if isinstance(one, CreateOperation)]
    assert [one.name for one in made] == ["worker-7-33333333-1"]
    assert made[0].body["spec"]["inheritedFrom"] == pending.name  # type: ignore[index]
