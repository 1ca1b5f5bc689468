"""Opening operations: once, whatever happens, and with the finalizer."""

from __future__ import annotations

from exuvia import errors
from exuvia.act.operations import create_operation
from exuvia.model import marks, resources
from exuvia.model.actions import CreateOperation, OutcomeKind
from exuvia.model.specs import operation as specs
from exuvia.model.specs.common import InstanceReference
from exuvia.model.specs.quarantine import QuarantineSpec
from exuvia.model.specs.rotation import RotationSpec
from exuvia.sandbox.cluster import World
from exuvia.sandbox.faults import FaultyCluster, Trouble

NAME = "worker-7-00000001-1"
MACHINE = InstanceReference(name="worker-7", uid="00000001-uid")


def opening(kind: str = "Rotation") -> CreateOperation:
    spec = RotationSpec if kind == "Rotation" else QuarantineSpec
    body = specs.body(NAME, spec(instance=MACHINE), marks.FINALIZER)
    return CreateOperation(kind=kind, name=NAME, body=body)


async def test_both_kinds_are_created_with_their_uid_told() -> None:
    world = World()

    for kind, resource in (("Rotation", resources.ROTATIONS), ("Quarantine", resources.QUARANTINES)):
        outcome = await create_operation(world, opening(kind))

        found = world.find(resource, NAME)
        assert found is not None
        assert outcome.kind is OutcomeKind.DONE
        assert outcome.detail == {"uid": found["metadata"]["uid"]}
        assert found["metadata"]["finalizers"] == [marks.FINALIZER]


async def test_creating_twice_is_creating_once() -> None:
    world = World()
    await create_operation(world, opening())

    again = await create_operation(world, opening())

    assert again.kind is OutcomeKind.ALREADY
    assert len(world.writes) == 1


async def test_a_lost_answer_is_unknown_and_then_there_already() -> None:
    world = World()
    faulty = FaultyCluster(world)
    faulty.troubles.append(Trouble(error=errors.Unreachable("no answer"), verb="create", lost=True))

    assert (await create_operation(faulty, opening())).kind is OutcomeKind.UNKNOWN
    assert (await create_operation(faulty, opening())).kind is OutcomeKind.ALREADY


async def test_what_the_schema_refuses_is_refused() -> None:
    action = opening()
    broken = CreateOperation(kind=action.kind, name=NAME, body={**action.body, "spec": {}})

    outcome = await create_operation(World(), broken)

    assert outcome.kind is OutcomeKind.REFUSED
    assert "instance" in outcome.message


async def test_an_unknown_kind_is_a_failure_that_names_the_kinds() -> None:
    outcome = await create_operation(World(), CreateOperation(kind="Party", name=NAME, body={}))

    assert outcome.kind is OutcomeKind.FAILED
    assert "Rotation, Quarantine" in outcome.message
