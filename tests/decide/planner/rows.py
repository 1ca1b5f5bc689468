"""The rows of the table of brakes (operations.md): how each engages, and what it says of Rotation and Quarantine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from exuvia.model.blocking import View
from exuvia.model.facts import LedgerHealth, LedgerState
from exuvia.model.findings import Wish
from exuvia.model.planning import PolicyFacts
from exuvia.model.pods import Owner, Pod
from tests.decide.planner.world import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    World,
    guard,
    machine,
    policy,
    quarantine,
    quiet,
    rotation,
    subject,
    tainted,
)

SUSPECT = machine(0)


def world_for(wanted: Wish, *, rules: PolicyFacts | None = None, others: int = 9) -> World:
    """A fleet of ten in which only SUSPECT is wanted."""
    rest = [machine(number) for number in range(1, others + 1)]
    return World([subject(SUSPECT, wanted), *quiet(rest)], policies=[rules or policy()])


Change = Callable[[World], None]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One brake: how it engages, what it says of a Rotation and of a Quarantine ("" : it does not hold it)."""

    name: str
    engage: Change
    rotation: str
    quarantine: str
    rules: PolicyFacts | None = None
    lifted_when_hard: bool = False
    lifted_by_bypass: bool = False


def paused(world: World) -> None:
    world.guard = guard(pauseRequests=[{"by": "alice", "reason": "incident 42"}])


def deleted_guard(world: World) -> None:
    world.guard = guard(pauseRequests=[{"by": "exuvia", "reason": "FleetGuardDeleted"}])


def node_opted_out(world: World) -> None:
    first = world.subjects[0]
    assert first.instance is not None
    marked = replace(first.instance, annotations={"exuvia.dev/do-not-disrupt": "true"})
    world.subjects[0] = replace(first, instance=marked)


def pod_opted_out(world: World) -> None:
    owner = Owner(api_version="apps/v1", kind="ReplicaSet", name="cart", uid="rs-uid")
    pod = Pod(
        namespace="shop",
        name="cart-1",
        uid="cart-1-uid",
        node=SUSPECT.name,
        phase="Running",
        created=NOW - DAY,
        started=NOW - DAY,
        owner=owner,
        annotations={"karpenter.sh/do-not-disrupt": "true"},
    )
    world.pods[SUSPECT.name] = (pod,)


def one_disrupted(world: World) -> None:
    last = world.subjects[-1].instance
    assert last is not None
    world.subjects[-1] = subject(tainted(last))


def guard_of(**spec: Any) -> Change:
    def engage(world: World) -> None:
        one_disrupted(world)
        world.guard = guard(**spec)

    return engage


def hour_used_up(world: World) -> None:
    world.guard = guard(maxPerHour="1")
    others = [one.instance for one in world.subjects[1:2] if one.instance]
    world.rotations = [
        rotation(one, "Succeeded", created=NOW - 30 * MINUTE, finished_at=NOW - 5 * MINUTE, reason="Replaced")
        for one in others
    ]


def quarantine_hour_used_up(world: World) -> None:
    world.guard = guard(quarantine={"maxAtOnce": "100%", "maxPerHour": "1"})
    gone = machine(77)
    world.quarantines = [quarantine(gone, "Released", created=NOW - 30 * MINUTE, finished_at=NOW, reason="Released")]


def one_quarantined(world: World) -> None:
    world.guard = guard(quarantine={"maxAtOnce": "1", "maxPerHour": "1000"})
    other = world.subjects[1].instance
    assert other is not None
    world.quarantines = [quarantine(other, "Held", created=NOW - DAY)]


def other_zone(world: World) -> None:
    far = machine(50, zone="b")
    world.subjects.append(subject(far))
    world.rotations = [rotation(far, "Replacing", created=NOW - 2 * HOUR)]
    world.guard = guard(oneZoneAtATime=True)


def several_zones(world: World) -> None:
    far, near = machine(50, zone="b"), machine(51)
    world.subjects += quiet([far, near])
    world.rotations = [rotation(one, "Replacing", created=NOW - 2 * HOUR) for one in (far, near)]
    world.guard = guard(oneZoneAtATime=True)


def floor_reached(world: World) -> None:
    one_disrupted(world)
    world.strategy = "DrainFirst"
    world.guard = guard(minHealthy="9")


def storm(world: World) -> None:
    for index in (-1, -2):
        one = world.subjects[index].instance
        assert one is not None
        world.subjects[index] = subject(machine(int(one.name[7:]), ready=False))
    world.guard = guard(minHealthy="9")


def cooling_down(world: World) -> None:
    calm = {"since": NOW - HOUR, "calmSince": NOW - 5 * MINUTE}
    world.guard = guard(status={"storm": calm})


def leases_expired(world: World) -> None:
    world.leases = (4, 10)


def no_lease_at_all(world: World) -> None:
    world.leases = (0, 0)


def unsynced(world: World) -> None:
    world.view = View(oldest=None, missing=("pods (not listed yet)",))


def old_view(world: World) -> None:
    world.view = View(oldest=NOW - timedelta(seconds=61))


def never_heard(world: World) -> None:
    world.view = View(oldest=None)


def skewed(world: World) -> None:
    world.skew = timedelta(seconds=-60)


def unreadable_guard(world: World) -> None:
    world.guard, world.guard_problem = None, "FleetGuard default cannot be read: spec.maxUnavailable"


def uninstalling(world: World) -> None:
    world.guard = guard(uninstall={"by": "alice", "at": NOW})


def ledger(state: LedgerState, since: timedelta = timedelta(0)) -> Change:
    def engage(world: World) -> None:
        world.ledger = LedgerHealth(state=state, message="disk full", since=NOW - since)

    return engage


def started_by_policy(world: World) -> None:
    other = world.subjects[1].instance
    assert other is not None
    world.rotations = [rotation(other, "Succeeded", created=NOW - MINUTE, finished_at=NOW - MINUTE, reason="Replaced")]


def halted(world: World) -> None:
    world.rotations = [
        rotation(machine(60 + n), "Failed", created=NOW - DAY, finished_at=NOW - HOUR, reason="ReplacementFailed")
        for n in range(3)
    ]


def failed_before(world: World) -> None:
    world.rotations = [
        rotation(SUSPECT, "Failed", created=NOW - DAY, finished_at=NOW - 9 * MINUTE, reason="DrainTimeout")
    ]


def called_off(world: World) -> None:
    world.rotations = [rotation(SUSPECT, "Aborted", created=NOW - DAY, finished_at=NOW - 23 * HOUR, reason="CalledOff")]


def returned(world: World) -> None:
    release = {"by": "bob", "verdict": "Return"}
    world.quarantines = [
        quarantine(
            SUSPECT,
            "Released",
            created=NOW - DAY,
            finished_at=NOW - 23 * HOUR,
            reason="Released",
            release_accepted=release,
        )
    ]


def no_provider(world: World) -> None:
    world.provider = replace(world.provider, name="", problem="no provider knows providerID simulated://0")


def cannot_add_first(world: World) -> None:
    world.provider = replace(world.provider, name="NodeDelete", adds_first=False)


def read_only(world: World) -> None:
    world.read_only = True


def pinned(world: World) -> None:
    world.own = replace(world.own, node_name=SUSPECT.name, pinned="the local volume ledger-0")


def nothing(world: World) -> None:
    one_disrupted(world)


CLOSED_WINDOW = {"windows": {"allow": [{"schedule": "0 22 * * *", "duration": "6h"}]}}
BYPASS = {"bypass": {"minSeverity": "High", "brakes": ["Windows", "MinInterval", "Gates"]}}

TABLE = (
    Row(name="pause", engage=paused, rotation="Paused", quarantine="Paused"),
    Row(name="guard deleted", engage=deleted_guard, rotation="FleetGuardDeleted", quarantine="FleetGuardDeleted"),
    Row(name="guard unreadable", engage=unreadable_guard, rotation="Unsynced", quarantine="Unsynced"),
    Row(name="uninstall", engage=uninstalling, rotation="Uninstalled", quarantine="Uninstalled"),
    Row(name="read-only", engage=read_only, rotation="ReadOnly", quarantine="ReadOnly"),
    Row(name="opt-out of the node", engage=node_opted_out, rotation="OptedOut", quarantine=""),
    Row(name="opt-out of a pod", engage=pod_opted_out, rotation="PodOptedOut", quarantine=""),
    Row(
        name="budget without actions",
        engage=nothing,
        rules=policy(budgets=[{"name": "one", "nodes": "1"}]),
        rotation="BudgetExhausted",
        quarantine="",
    ),
    Row(
        name="budget for Rotate",
        engage=nothing,
        rules=policy(budgets=[{"name": "one", "nodes": "1", "actions": ["Rotate"]}]),
        rotation="BudgetExhausted",
        quarantine="",
    ),
    Row(
        name="budget for Quarantine",
        engage=nothing,
        rules=policy(budgets=[{"name": "one", "nodes": "1", "actions": ["Quarantine"]}]),
        rotation="",
        quarantine="BudgetExhausted",
    ),
    Row(
        name="budget for both",
        engage=nothing,
        rules=policy(budgets=[{"name": "one", "nodes": "1", "actions": ["Rotate", "Quarantine"]}]),
        rotation="BudgetExhausted",
        quarantine="BudgetExhausted",
    ),
    Row(name="maxUnavailable", engage=guard_of(maxUnavailable="1"), rotation="BudgetExhausted", quarantine=""),
    Row(name="maxPerHour", engage=hour_used_up, rotation="RateLimited", quarantine=""),
    Row(name="oneZoneAtATime", engage=other_zone, rotation="OneZoneAtATime", quarantine=""),
    Row(name="oneZoneAtATime, several", engage=several_zones, rotation="OneZoneAtATime", quarantine=""),
    Row(name="quarantine.maxAtOnce", engage=one_quarantined, rotation="", quarantine="QuarantineLimit"),
    Row(name="quarantine.maxPerHour", engage=quarantine_hour_used_up, rotation="", quarantine="RateLimited"),
    Row(name="minHealthy", engage=floor_reached, rotation="HealthFloor", quarantine=""),
    Row(name="storm", engage=storm, rotation="Storm", quarantine=""),
    Row(name="storm cools down", engage=cooling_down, rotation="Storm", quarantine=""),
    Row(name="maxLeaseExpiry", engage=leases_expired, rotation="LeasesExpired", quarantine=""),
    Row(name="no lease at all", engage=no_lease_at_all, rotation="LeasesExpired", quarantine=""),
    Row(
        name="windows",
        engage=nothing,
        rules=policy(**CLOSED_WINDOW, **BYPASS),
        rotation="WindowClosed",
        quarantine="",
        lifted_when_hard=True,
        lifted_by_bypass=True,
    ),
    Row(
        name="minInterval",
        engage=started_by_policy,
        rules=policy(minInterval="5m", **BYPASS),
        rotation="MinInterval",
        quarantine="",
        lifted_by_bypass=True,
    ),
    Row(name="pool halted", engage=halted, rotation="PoolHalted", quarantine=""),
    Row(name="view unsynced", engage=unsynced, rotation="Unsynced", quarantine="Unsynced"),
    Row(name="view old", engage=old_view, rotation="Unsynced", quarantine="Unsynced"),
    Row(name="view never heard of", engage=never_heard, rotation="Unsynced", quarantine="Unsynced"),
    Row(name="clock", engage=skewed, rotation="ClockSkew", quarantine=""),
    Row(
        name="ledger locked",
        engage=ledger(LedgerState.LOCKED, timedelta(seconds=9)),
        rotation="LedgerDown",
        quarantine="LedgerDown",
    ),
    Row(
        name="ledger locked too long",
        engage=ledger(LedgerState.LOCKED, timedelta(seconds=10)),
        rotation="LedgerDown",
        quarantine="",
    ),
    Row(name="ledger down", engage=ledger(LedgerState.DOWN), rotation="LedgerDown", quarantine=""),
    Row(name="ledger not trusted", engage=ledger(LedgerState.NOT_TRUSTED), rotation="LedgerTruncated", quarantine=""),
    Row(name="back-off", engage=failed_before, rotation="BackingOff", quarantine=""),
    Row(name="called off", engage=called_off, rotation="BackingOff", quarantine="BackingOff"),
    Row(name="returned", engage=returned, rotation="BackingOff", quarantine="BackingOff"),
    Row(name="no provider", engage=no_provider, rotation="ProviderUnknown", quarantine=""),
    Row(name="cannot add first", engage=cannot_add_first, rotation="ReplacementUnsupported", quarantine=""),
    Row(name="own machine, pinned", engage=pinned, rotation="SelfPinned", quarantine=""),
)
ROWS = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)


def engaged(row: Row, wanted: Wish) -> World:
    world = world_for(wanted, rules=row.rules)
    row.engage(world)
    return world
