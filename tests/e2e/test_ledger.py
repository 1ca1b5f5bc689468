"""The ledger through a whole life: down, damaged, cut and mended; intents, outcomes, births and deaths."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exuvia.localcluster import fleet
from exuvia.model import facts, marks, resources
from exuvia.model.specs.quarantine import Quarantine, QuarantinePhase
from exuvia.model.specs.rotation import Rotation, RotationPhase
from exuvia.record import missing
from tests.cluster import until
from tests.e2e.operated import Operated, entries, exuvia, guard, held_for, policy, settle
from tests.e2e.test_crash import QUICK_LEASE, live_through, sound
from tests.e2e.test_quarantine import RULE, SUSPICIOUS, frozen
from tests.e2e.test_rotation import EVICT, FIRST, OLD, OLD_IMAGE, define, one_rotation

pytestmark = [pytest.mark.cluster, pytest.mark.proof, pytest.mark.timeout(300)]


async def a_held_drain(world: Operated) -> Rotation:
    """A Rotation in the middle of its drain, held by a budget of pods named cart."""
    (old,) = await world.cluster.nodes(1, image=OLD_IMAGE)
    name, namespace = old["metadata"]["name"], world.cluster.namespace
    await world.cluster.pods(1, node_name=name, labels={"app": "cart"}, grace_seconds=1)
    pdb = fleet.disruption_budget("cart", namespace, "cart", minAvailable=1)
    await world.cluster.client.create(resources.POD_DISRUPTION_BUDGETS, pdb, namespace=namespace)
    return await one_rotation(world, RotationPhase.DRAINING)


async def rotated(world: Operated, name: str) -> list[Rotation]:
    """Rotations of a machine by its name."""
    return [one for one in await world.rotations() if one.spec.instance.name == name]


def assert_told(world: Operated, since: int) -> None:
    """Intent before effect, one outcome an intent, a chain that verifies (safety.md, 1 and 13)."""
    assert sound(world.ledger)
    told = entries(world.ledger)
    intents = {one["seq"]: one for one in told if one["type"] == "intent"}
    outcomes = Counter(one["body"]["intent"] for one in told if one["type"] == "outcome")
    assert set(outcomes.values()) <= {1}, "an intent has more than one outcome"
    without = [intents[seq]["body"] for seq in set(intents) - set(outcomes)]
    assert without == [], "an intent has no outcome"
    for uid, written in first_writes(world, since).items():
        meant = [one for one in intents.values() if one["body"]["instance"] == uid]
        assert meant, f"a Node was written to without an intent: {uid}"
        late = all(one["body"].get("late") for one in meant)
        assert late or min(one["recorded"] for one in meant) <= written, f"the intent for {uid} came after the effect"


def first_writes(world: Operated, since: int) -> dict[str, int]:
    """Instance UID -> when the operator first wrote to its Node (microseconds), by the audit log."""
    found: dict[str, int] = {}
    for one in world.audit(since=since):
        meta = (one.get("responseObject") or {}).get("metadata") or {}
        if one["objectRef"]["resource"] == "nodes" and one["responseStatus"]["code"] < 300:
            moment = datetime.fromisoformat(one["requestReceivedTimestamp"].replace("Z", "+00:00"))
            found.setdefault(meta["uid"], facts.microseconds(moment))
    return found


async def test_while_the_ledger_is_down_nothing_new_rotates_and_all_else_goes_on(world: Operated) -> None:
    """A folder stands in its place: an open rotation only undoes, a quarantine starts, and is entered late."""
    await define(world)
    nodes = await world.cluster.nodes(3)
    suspect = nodes[0]["metadata"]["name"]
    since = world.audit_position()
    world.apply(guard(), policy("down", world.cluster.pool, OLD, RULE, rotation=FIRST, drain=EVICT))
    replica = await world.start()
    open_ = await a_held_drain(world)

    away = world.folder / "away.db"
    world.ledger.rename(away)
    world.ledger.mkdir()
    (later,) = await world.cluster.nodes(1, image=OLD_IMAGE)
    await held_for(world, "down", "LedgerDown")
    world.plane.kubectl("delete", "pdb", "cart", "-n", world.cluster.namespace)
    world.plane.kubectl("label", "node", suspect, f"{SUSPICIOUS}=true")
    held = await frozen(world, suspect)

    assert all(one.status.phase is RotationPhase.PENDING for one in await rotated(world, later["metadata"]["name"]))
    assert await world.brake("ledger") == "Engaged"
    pod = await world.cluster.get(resources.PODS, "pod-0", namespace=world.cluster.namespace)
    assert "deletionTimestamp" not in pod["metadata"]
    assert 'exuvia_blocked{policy="down",reason="LedgerDown"}' in await replica.metrics()
    assert "ledger" not in held.status.model_fields_set or held.status.ledger is None
    world.plane.kubectl("patch", "rotations.exuvia.dev", open_.name, "--type=merge", "-p", '{"spec":{"abort":true}}')
    await one_rotation(world, RotationPhase.ABORTED)
    node = await world.node(open_.spec.instance.name)
    assert node is not None
    assert not node["spec"].get("unschedulable")

    world.ledger.rmdir()
    away.rename(world.ledger)

    async def goes_on() -> bool:
        found = await rotated(world, later["metadata"]["name"])
        return bool(found) and found[0].status.phase is RotationPhase.SUCCEEDED

    await until(goes_on, what="the new rotation to succeed", seconds=60)
    assert await world.brake("ledger") == "Released"
    world.stop()
    mine = [one for one in entries(world.ledger) if one["body"].get("operation") == held.uid]
    assert {one["body"].get("late", False) for one in mine if one["type"] == "intent"} >= {True}
    assert_told(world, since)


async def test_a_damaged_ledger_is_named_and_mended_by_a_good_copy(world: Operated) -> None:
    """Garbage in its place while the operator runs; the good copy is put back: it goes on without help."""
    await define(world)
    await world.cluster.nodes(1)
    since = world.audit_position()
    world.apply(guard(), policy("damaged", world.cluster.pool, OLD, rotation=FIRST))
    await world.start()
    await settle(1)
    good = world.folder / "good.db"
    garbage = world.folder / "garbage"
    garbage.write_bytes(b"this is no database at all" * 500)
    copy(world.ledger, good)
    for one in world.folder.glob("ledger.db-*"):
        one.unlink()  # its journal alone would make it whole again
    garbage.replace(world.ledger)
    (old,) = await world.cluster.nodes(1, image=OLD_IMAGE)

    said = await held_for(world, "damaged", "LedgerDown")

    assert "damaged" in said
    assert all(one.status.phase is RotationPhase.PENDING for one in await world.rotations())
    good.replace(world.ledger)
    await one_rotation(world, RotationPhase.SUCCEEDED, seconds=60)
    assert await world.node(old["metadata"]["name"]) is None
    world.stop()
    assert_told(world, since)


async def test_a_restored_backup_is_noticed_and_a_person_lets_it_go_on(world: Operated) -> None:
    """The tail is cut while nobody runs: LedgerTruncated, nothing new; after `ledger accept` all is told again."""
    await define(world)
    await world.cluster.nodes(2)
    world.apply(guard())
    replica = await world.start(*QUICK_LEASE)
    await settle(1)
    backup = world.folder / "backup.db"
    copy(world.ledger, backup)
    world.apply(policy("cut", world.cluster.pool, OLD, rotation=FIRST, drain=EVICT))
    open_ = await a_held_drain(world)
    replica.kill()
    for one in world.folder.glob("ledger.db*"):
        one.unlink()
    shutil.copy(backup, world.ledger)
    (later,) = await world.cluster.nodes(1, image=OLD_IMAGE)
    replica.start()
    await until(replica.leads, what="the operator to lead", seconds=40)

    await held_for(world, "cut", "LedgerTruncated")

    world.plane.kubectl("delete", "pdb", "cart", "-n", world.cluster.namespace)
    await settle(3)
    assert [one.uid for one in await world.rotations()] == [open_.uid]
    pod = await world.cluster.get(resources.PODS, "pod-0", namespace=world.cluster.namespace)
    assert "deletionTimestamp" not in pod["metadata"]
    accepted = exuvia(world, "ledger", "accept", "--ledger", str(world.ledger), "--reason", "the backup of today")
    assert accepted.returncode == 0, accepted.stderr
    assert "accepted by admin" in accepted.stdout

    async def replaced() -> bool:
        found = await world.rotations()
        return len(found) == 2 and all(one.status.phase is RotationPhase.SUCCEEDED for one in found)

    await until(replaced, what="both rotations to succeed", seconds=60)
    assert await world.node(later["metadata"]["name"]) is None
    world.stop()
    assert sound(world.ledger)
    assert_lives(world, {one["metadata"]["uid"] for one in await world.cluster.list(resources.NODES)})


async def test_an_empty_ledger_in_place_of_a_lost_one_is_not_trusted(world: Operated) -> None:
    """Its head was noted when the operator stopped. The file is gone at the next start: said until it is accepted."""
    (node,) = await world.cluster.nodes(1)
    world.apply(guard())
    replica = await world.start(*QUICK_LEASE)
    await born(world, node["metadata"]["uid"])
    assert replica.stop() == 0
    place = {"namespace": marks.SYSTEM_NAMESPACE}
    head = (await world.cluster.get(resources.CONFIG_MAPS, marks.LEDGER_HEAD, **place))["data"]
    assert int(head["seq"]) == entries(world.ledger)[-1]["seq"]
    for one in world.folder.glob("ledger.db*"):
        one.unlink()
    replica.start()

    async def distrusted() -> str:
        said = (await world.cluster.get(resources.FLEET_GUARDS, "default")).get("status") or {}
        brakes = {one["name"]: one for one in said.get("brakes") or ()}
        engaged = brakes.get("ledger", {}).get("state") == "Engaged"
        return str(brakes["ledger"]["reason"]) if engaged and "misses" in brakes["ledger"]["reason"] else ""

    said = await until(distrusted, what="the brake to say it", seconds=40)
    which = missing.lost(0, int(head["seq"]), "ConfigMap exuvia-system/exuvia-ledger-head")
    assert f"misses {which}: " in said
    assert "exuvia ledger accept" in said
    accepted = exuvia(world, "ledger", "accept", "--ledger", str(world.ledger), "--reason", "the volume is lost")
    assert accepted.returncode == 0, accepted.stderr
    await until(lambda: is_released(world), what="the brake to let go", seconds=15)
    await born(world, node["metadata"]["uid"])


async def test_a_loss_that_only_the_leader_knows_of_is_accepted_at_once_and_by_the_next_leader_as_well(
    world: Operated,
) -> None:
    """The last entry was noted nowhere when a backup was put in place: one acceptance, however soon, is enough."""
    (first,) = await world.cluster.nodes(1)
    world.apply(guard())
    replica = await world.start(*QUICK_LEASE)
    await born(world, first["metadata"]["uid"])
    await until(lambda: noted(world, entries(world.ledger)[-1]["seq"]), what="the head to be noted", seconds=90)
    backup = world.folder / "backup.db"
    for kill in (False, True):
        copy(world.ledger, backup)
        (later,) = await world.cluster.nodes(1)
        await born(world, later["metadata"]["uid"])
        seq = entries(world.ledger)[-1]["seq"]
        for one in world.folder.glob("ledger.db*"):
            one.unlink()
        shutil.copy(backup, world.ledger)
        if kill:  # what it knew, its Lease says
            await until(lambda: held(world), what="the brake to hold", seconds=15)
            await settle(2)
            replica.kill()
            replica.start()
            await until(lambda: held(world), what="the brake to hold again", seconds=40)
        accepted = exuvia(world, "ledger", "accept", "--ledger", str(world.ledger), "--reason", "the backup of today")
        assert accepted.returncode == 0, accepted.stderr
        assert f"{seq} " in accepted.stdout and "a running exuvia goes on within seconds" in accepted.stdout
        await until(lambda: is_released(world), what="the brake to let go", seconds=15)
        await born(world, later["metadata"]["uid"])
    again = exuvia(world, "ledger", "accept", "--ledger", str(world.ledger), "--reason", "once more")
    assert again.returncode == 2 and "Nothing is missing" in again.stderr
    world.stop()
    assert sound(world.ledger)


async def noted(world: Operated, seq: int) -> bool:
    """Whether the head is noted outside, as far as that entry."""
    place = {"namespace": marks.SYSTEM_NAMESPACE}
    found = await world.cluster.client.get(resources.CONFIG_MAPS, marks.LEDGER_HEAD, **place)
    return found is not None and int(found["data"]["seq"]) >= seq


async def held(world: Operated) -> bool:
    """Whether the ledger holds everything, because something is missing."""
    said = (await world.cluster.get(resources.FLEET_GUARDS, "default")).get("status") or {}
    brakes = {one["name"]: one for one in said.get("brakes") or ()}
    engaged = brakes.get("ledger", {}).get("state") == "Engaged"
    return engaged and "misses" in brakes["ledger"]["reason"]


async def is_released(world: Operated) -> bool:
    """Whether the ledger holds nothing any more."""
    return await world.brake("ledger") == "Released"


def copy(source: Path, target: Path) -> None:
    """A consistent copy of a ledger that is in use."""
    with sqlite3.connect(source) as here, sqlite3.connect(target) as there:
        here.backup(there)
    here.close()
    there.close()


def assert_lives(world: Operated, living: set[str]) -> None:
    """One birth for each machine, one death for each that is gone, none for those that live."""
    told = entries(world.ledger)
    births = Counter(one["body"]["uid"] for one in told if one["type"] == "birth")
    deaths = Counter(one["body"]["uid"] for one in told if one["type"] == "death")
    assert set(births.values()) == {1}
    assert set(deaths.values()) <= {1}
    assert living <= set(births)
    assert set(births) - living == set(deaths)


async def test_every_life_is_told_once_also_when_nobody_looked(world: Operated) -> None:
    """Born and died while running and while down, under a name that is used again: `who` tells them apart."""
    first, second = await world.cluster.nodes(2)
    name, uid = first["metadata"]["name"], first["metadata"]["uid"]
    replica = await world.start(*QUICK_LEASE)
    await born(world, uid)
    before = datetime.now(UTC)
    await settle(1.1)  # creation times are whole seconds
    world.plane.kubectl("delete", "node", name)
    await until(lambda: deaths(world, uid), what="the death to be told")
    (namesake,) = await again(world, name, "2")
    await born(world, namesake["metadata"]["uid"])
    await settle(1.1)
    down = datetime.now(UTC)
    replica.kill()
    await settle(1.1)
    world.plane.kubectl("delete", "node", name, second["metadata"]["name"])
    (third,) = await again(world, name, "3")
    replica.start()
    await born(world, third["metadata"]["uid"])
    await until(lambda: deaths(world, namesake["metadata"]["uid"]), what="the missed death to be told")
    replica.stop()

    assert_lives(world, {one["metadata"]["uid"] for one in await world.cluster.list(resources.NODES)})
    assert "notBefore" not in deaths(world, uid)[0]["body"]
    missed = deaths(world, namesake["metadata"]["uid"])[0]
    assert missed["body"]["notBefore"] <= facts.microseconds(down) <= missed["at"]
    assert bearers(world, name, before) == {uid: "certain"}
    assert bearers(world, name, down) == {namesake["metadata"]["uid"]: "uncertain"}
    assert bearers(world, name, datetime.now(UTC)) == {third["metadata"]["uid"]: "certain"}


async def again(world: Operated, name: str, tag: str) -> list[dict[str, Any]]:
    """Another machine under that name."""
    machine = fleet.Machine(name=name, pool=world.cluster.pool, zone="a", provider_id=f"simulated://elsewhere/{tag}")
    return await fleet.create_nodes(world.cluster.client, [machine], datetime.now(UTC))


async def born(world: Operated, uid: str) -> None:
    """Once its birth is told."""

    def told() -> bool:
        return any(one["type"] == "birth" and one["body"]["uid"] == uid for one in entries(world.ledger))

    await until(told, what=f"the birth of {uid} to be told", seconds=40)


def deaths(world: Operated, uid: str) -> list[dict[str, Any]]:
    """Entries that tell of its death."""
    return [one for one in entries(world.ledger) if one["type"] == "death" and one["body"]["uid"] == uid]


def bearers(world: Operated, name: str, at: datetime) -> dict[str, str]:
    """What `exuvia ledger who` answers: UID -> certainty."""
    asked = ("--ledger", str(world.ledger), "--name", name, "--at", at.isoformat())
    found = exuvia(world, "ledger", "who", *asked, "-o", "json")
    return {one["uid"]: one["certainty"] for one in found.json()["instances"]}


async def test_intent_and_outcome_survive_sudden_death(world: Operated) -> None:
    """Killed after every eighth write: an intent before each first write, and one outcome for each intent."""
    await define(world)
    since = world.audit_position()
    (old,) = await world.cluster.nodes(1, image=OLD_IMAGE)
    node, *_ = await world.cluster.nodes(2)
    await world.cluster.pods(2, node_name=old["metadata"]["name"], grace_seconds=1)
    world.apply(guard(), policy("death", world.cluster.pool, OLD, RULE, rotation=FIRST, drain=EVICT))
    world.plane.kubectl("label", "node", node["metadata"]["name"], f"{SUSPICIOUS}=true")

    async def done() -> bool:
        rotations, quarantines = await world.rotations(), await world.quarantines()
        ended = [one for one in rotations if one.status.phase.ended and not one.metadata.finalizers]
        return bool(ended) and any(one.status.phase is QuarantinePhase.HELD for one in quarantines)

    assert await live_through(world, 8, done) >= 2
    world.replicas[-1].kill()
    replica = await world.start(*QUICK_LEASE)
    await settle(2)
    assert replica.stop() == 0

    assert_told(world, since)


@pytest.mark.slow
async def test_a_quarantine_that_began_without_a_ledger_is_entered_by_the_next_leader(world: Operated) -> None:
    """Down at the start, killed, mended, started again: the start of the quarantine stands in it, marked late."""
    node, _ = await world.cluster.nodes(2)
    world.ledger.mkdir()
    world.apply(guard(), policy("late", world.cluster.pool, RULE))
    replica = await world.start(*QUICK_LEASE)
    world.plane.kubectl("label", "node", node["metadata"]["name"], f"{SUSPICIOUS}=true")
    held: Quarantine = await frozen(world, node["metadata"]["name"])
    replica.kill()
    world.ledger.rmdir()
    replica.start()

    def told() -> bool:
        return {"intent", "outcome", "operation"} <= {
            one["type"] for one in entries(world.ledger) if held.uid in str(one["body"])
        }

    await until(told, what="the late entries", seconds=40)
    late = [one["body"]["step"] for one in entries(world.ledger) if one["body"].get("late") and one["type"] == "intent"]
    assert late[:2] == ["Start", "Isolating"]
    assert marks.QUARANTINED_TAINT in {
        one["key"] for one in ((await world.node(node["metadata"]["name"])) or {})["spec"]["taints"]
    }
