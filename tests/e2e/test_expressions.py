"""Expressions of users on a running operator: what they say reaches people, and a hostile one hurts its policy only."""

from __future__ import annotations

import time
from typing import Any

import pytest

from exuvia.model import resources
from exuvia.model.specs.rotation import RotationPhase
from exuvia.model.specs.security_policy import InstanceCounts
from tests.cluster import until
from tests.e2e.operated import Operated, guard, policy, settle
from tests.e2e.test_modes import stored
from tests.e2e.test_rotation import FIRST, define, one_rotation

pytestmark = [pytest.mark.cluster, pytest.mark.proof]

AGE = {"name": "ageHours", "expression": "(now - timestamp(object.metadata.creationTimestamp)).getHours()"}
DEBUG = {"name": "debug", "expression": "object.metadata.labels.exists(k, k.startsWith('debug.example.org/'))"}
NO_DEBUG = {
    "name": "no-debug",
    "type": "Expression",
    "expression": {
        "expression": "!variables.debug || variables.ageHours < 0",
        "messageExpression": "'kept debug labels for ' + string(variables.ageHours) + 'h in ' + instance.zone",
    },
}
GROWTH = [{"name": "v0", "expression": "object.metadata.name + 'aaaaaaaaaa'"}] + [
    {"name": f"v{n}", "expression": f"variables.v{n - 1} + variables.v{n - 1}"} for n in range(1, 31)
]
HUNDRED = "[" + ",".join("1" for _ in range(100)) + "]"
MEMORY = ("size(variables.v30) > 0", GROWTH)
TIME = (f"{HUNDRED}.all(x, !variables.v21.matches('(a|b)*Z'))", GROWTH[:22])


def hostile(text: str) -> dict[str, Any]:
    """A rule that asks for too much; even its author wants an error to count as a fail."""
    return {"name": "bomb", "type": "Expression", "failurePolicy": "Fail", "expression": {"expression": text}}


async def counts(world: Operated, name: str, **wanted: int) -> InstanceCounts:
    """The counts of a policy, once they are these."""

    async def look() -> InstanceCounts | None:
        found = (await stored(world, name)).status.instances
        said = found.model_dump() if found else {}
        return found if {key: said.get(key) for key in wanted} == wanted else None

    found = await until(look, what=f"policy {name} to count {wanted}", seconds=40)
    assert found is not None
    return found


async def test_variables_and_message_reach_an_event_and_the_rotation(world: Operated) -> None:
    """A label makes a machine violate it: the Event says what the expression says, and the machine is replaced."""
    await define(world)
    node, _ = await world.cluster.nodes(2)
    name = node["metadata"]["name"]
    world.apply(guard(), policy("cel", world.cluster.pool, NO_DEBUG, variables=[AGE, DEBUG], rotation=FIRST))
    await world.start()
    await counts(world, "cel", matched=2, compliant=2)

    world.plane.kubectl("label", "node", name, "debug.example.org/on=1")

    ended = await one_rotation(world, RotationPhase.SUCCEEDED, seconds=60)
    assert ended.spec.instance.uid == node["metadata"]["uid"]
    said = await until(lambda: notes(world, name, "ViolationFound"), what="the event")
    assert said == [f"{name} violates policy cel: no-debug: kept debug labels for 0h in a"]


async def notes(world: Operated, name: str, reason: str) -> list[str]:
    """What Events of this reason say about a Node."""
    found = await world.cluster.list(resources.EVENTS, namespace="default")
    return [one["note"] for one in found if one["reason"] == reason and one["regarding"]["name"] == name]


@pytest.mark.parametrize("bomb", [MEMORY, TIME], ids=["memory", "time"])
async def test_a_hostile_expression_hurts_its_policy_only(world: Operated, bomb: tuple[str, Any]) -> None:
    """Its machines are unknown and stay untouched; beside it verdicts, rotations and metrics go on."""
    await define(world)
    text, variables = bomb
    nodes = await world.cluster.nodes(3)
    bad = policy("bad", world.cluster.pool, hostile(text), variables=variables, rotation=FIRST)
    good = policy("good", world.cluster.pool, NO_DEBUG, variables=[AGE, DEBUG], rotation=FIRST)
    world.apply(guard(), bad, good)
    replica = await world.start()
    await counts(world, "bad", matched=3, unknown=3, violating=0)
    await counts(world, "good", matched=3, compliant=3)
    suspect = nodes[0]["metadata"]["name"]

    began = time.monotonic()
    world.plane.kubectl("label", "node", suspect, "debug.example.org/on=1")
    await until(lambda: notes(world, suspect, "ViolationFound"), what="the verdict of the good policy")

    assert time.monotonic() - began < 5, "a policy that was stopped holds the others up"
    assert replica.running()
    assert 'exuvia_policy_instances{policy="bad",result="unknown"}' in await replica.metrics()
    await settle(1)
    touched = {one.spec.instance.name for one in await world.rotations()}
    assert touched <= {suspect}
    ready = {one.type: one for one in (await stored(world, "bad")).status.conditions}
    assert (ready["Ready"].status, ready["Compliant"].status) == ("True", "Unknown")
