"""The table of brakes (operations.md), row by row: what holds a Rotation, what a Quarantine, what hardLimit and bypass
lift. `world_for` makes a fleet of which one machine is wanted, and everything else lets it go."""

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
from exuvia.model.specs.security_policy import Action, Severity, not_supported
from tests.decide.planner.world import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    World,
    control_plane,
    fleet,
    guard,
    machine,
    policy,
    quarantine,
    quiet,
    rotation,
    subject,
    tainted,
    wish,
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
    Row(name="uninstall", engage=uninstalling, rotation="Paused", quarantine="Paused"),
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


@pytest.mark.parametrize("action", [Action.ROTATE, Action.QUARANTINE])
def test_with_no_brake_engaged_it_starts(action: Action) -> None:
    world = world_for(wish(SUSPECT, action))
    assert [one.instance for one in world.plan().openings] == [SUSPECT.uid]


@ROWS
def test_what_holds_a_rotation(row: Row) -> None:
    world = engaged(row, wish(SUSPECT))
    assert world.reason(SUSPECT) == row.rotation
    assert len(world.started()) == (0 if row.rotation else 1)


@ROWS
def test_what_holds_a_quarantine(row: Row) -> None:
    world = engaged(row, wish(SUSPECT, Action.QUARANTINE))
    assert world.reason(SUSPECT) == row.quarantine
    assert len(world.started("Quarantine")) == (0 if row.quarantine else 1)


@ROWS
def test_what_a_hard_limit_lifts(row: Row) -> None:
    world = engaged(row, wish(SUSPECT, hard=True))
    assert world.reason(SUSPECT) == ("" if row.lifted_when_hard else row.rotation)


@ROWS
def test_what_a_bypass_may_lift(row: Row) -> None:
    world = engaged(row, wish(SUSPECT, severity=Severity.HIGH))
    assert world.reason(SUSPECT) == ("" if row.lifted_by_bypass else row.rotation)


@ROWS
def test_a_finding_that_is_not_severe_enough_passes_nothing(row: Row) -> None:
    world = engaged(row, wish(SUSPECT, severity=Severity.MEDIUM))
    assert world.reason(SUSPECT) == row.rotation


MANUAL_IS_NOT_CONCERNED = ("pool halted", "back-off", "called off", "returned")
A_PERSONS_QUARANTINE_MAY = (*MANUAL_IS_NOT_CONCERNED, "guard unreadable")


@ROWS
def test_what_holds_a_manual_rotation(row: Row) -> None:
    world = engaged(row, wish(SUSPECT))
    world.subjects[0] = replace(world.subjects[0], wish=None)
    world.rotations.append(rotation(SUSPECT, by_policy=False, number=9))
    expected = "" if row.name in MANUAL_IS_NOT_CONCERNED else row.rotation
    assert world.reason(SUSPECT) == expected
    assert len(world.started()) == (0 if expected else 1)


@ROWS
def test_what_holds_a_persons_quarantine(row: Row) -> None:
    world = engaged(row, wish(SUSPECT))
    world.subjects[0] = replace(world.subjects[0], wish=None)
    world.quarantines.append(quarantine(SUSPECT, by_policy=False, number=9))
    expected = "" if row.name in A_PERSONS_QUARANTINE_MAY else row.quarantine
    assert world.reason(SUSPECT) == expected


RELEASES_ARE_HELD_BY = (
    "pause",
    "guard deleted",
    "guard unreadable",
    "uninstall",
    "view unsynced",
    "view old",
    "view never heard of",
    "ledger locked",
    "ledger locked too long",
    "ledger down",
    "ledger not trusted",
    "own machine, pinned",
)


@ROWS
def test_what_holds_the_rotation_of_a_released_machine(row: Row) -> None:
    world = engaged(row, wish(SUSPECT))
    world.subjects[0] = replace(world.subjects[0], wish=None)
    release = {"by": "alice", "verdict": "Rotate"}
    held = quarantine(SUSPECT, "Held", created=NOW - 2 * DAY, number=8, release_accepted=release)
    world.quarantines.append(held)
    world.rotations.append(rotation(SUSPECT, by_policy=False, number=9, spec={"releasedFrom": held.name}))
    expected = row.rotation if row.name in RELEASES_ARE_HELD_BY else ""
    assert world.reason(SUSPECT) == expected
    assert len(world.started()) == (0 if expected else 1)


def test_a_claim_to_be_released_lifts_nothing() -> None:
    world = world_for(wish(SUSPECT))
    world.subjects[0] = replace(world.subjects[0], wish=None)
    held = quarantine(SUSPECT, "Held", created=NOW - 2 * DAY)
    world.rotations = [rotation(SUSPECT, by_policy=False, number=9, spec={"releasedFrom": held.name})]
    node_opted_out(world)
    assert world.reason(SUSPECT) == "OptedOut"
    world.quarantines = [held]
    assert world.reason(SUSPECT) == "Quarantined"


def test_gates_make_a_policy_that_is_not_served_so_it_never_acts() -> None:
    gate = {"name": "alerts", "type": "Prometheus", "prometheus": {"url": "http://p", "query": "1", "maxValue": "0"}}
    rules = policy(gates=[gate])
    assert [place for place, _ in not_supported(rules.spec)] == ["spec.disruption.gates"]
    world = world_for(wish(SUSPECT), rules=replace(rules, enforces=False))
    made = world.plan()
    assert not made.openings and not made.blocked


def control_planes(count: int, wanted: Action) -> World:
    members = [control_plane(number) for number in range(count)]
    return World([subject(members[0], wanted), *quiet(members[1:]), *quiet(fleet(20)[10:])])


def test_control_plane_rotation_needs_three_or_more() -> None:
    assert control_planes(2, Action.ROTATE).reason(control_plane(0)) == "ControlPlane"
    assert control_planes(3, Action.ROTATE).started() == ["worker-0"]


def test_control_plane_rotation_needs_the_others_healthy() -> None:
    for spoilt in (control_plane(1, ready=False), control_plane(1, deleting=True), tainted(control_plane(1))):
        world = control_planes(4, Action.ROTATE)
        world.subjects[1] = subject(spoilt)
        assert world.reason(control_plane(0)) == "ControlPlane"
        assert not world.started()


def test_control_plane_goes_one_at_a_time() -> None:
    for action in (Action.ROTATE, Action.QUARANTINE):
        for kind in (rotation, quarantine):
            world = control_planes(5, action)
            other = kind(control_plane(1), "Draining" if kind is rotation else "Held", created=NOW - DAY)
            (world.rotations if kind is rotation else world.quarantines).append(other)  # type: ignore[arg-type]
            assert world.reason(control_plane(0)) == "ControlPlane"


def test_control_plane_quarantine_asks_neither_for_three_nor_for_healthy_others() -> None:
    world = control_planes(2, Action.QUARANTINE)
    world.subjects[1] = subject(control_plane(1, ready=False))
    assert world.started("Quarantine") == ["worker-0"]


def test_control_plane_waits_for_one_that_is_gone_but_not_yet_replaced() -> None:
    world = control_planes(3, Action.ROTATE)
    world.rotations = [rotation(control_plane(9), "Terminating", strategy="DrainFirst")]
    assert world.reason(control_plane(0)) == "ControlPlane"


def test_two_of_the_control_plane_never_start_in_one_plan() -> None:
    members = [control_plane(number) for number in range(5)]
    world = World([subject(one, Action.ROTATE) for one in members])
    assert world.started() == ["worker-0"]
    world = World([subject(one, Action.QUARANTINE) for one in members])
    assert world.started("Quarantine") == ["worker-0"]


def test_a_persons_quarantine_starts_without_brakes_but_one_at_a_time() -> None:
    machines = fleet(10)
    world = World(quiet(machines))
    unreadable_guard(world)
    world.quarantines = [quarantine(one, by_policy=False) for one in machines[:2]]
    assert world.started("Quarantine") == ["worker-0"]
    world.quarantines = [quarantine(machines[0], "Collecting"), quarantine(machines[1], by_policy=False)]
    assert not world.started("Quarantine")
    world.quarantines = [quarantine(machines[0], "Held"), quarantine(machines[1], by_policy=False)]
    assert world.started("Quarantine") == ["worker-1"]


def test_a_pause_that_is_over_holds_nothing() -> None:
    world = world_for(wish(SUSPECT))
    world.guard = guard(pauseRequests=[{"by": "alice", "until": NOW + MINUTE}])
    assert world.reason(SUSPECT) == "Paused"
    assert world.plan().blocked[SUSPECT.uid].next == NOW + MINUTE
    world.guard = guard(pauseRequests=[{"by": "alice", "until": NOW}])
    assert world.reason(SUSPECT) == ""


def test_of_several_pauses_the_last_one_counts() -> None:
    world = world_for(wish(SUSPECT))
    soon, later = {"by": "alice", "until": NOW + MINUTE}, {"by": "bob", "until": NOW + HOUR}
    world.guard = guard(pauseRequests=[soon, later])
    assert world.plan().blocked[SUSPECT.uid].next == NOW + HOUR
    world.guard = guard(pauseRequests=[soon, {"by": "bob"}])
    found = world.plan().blocked[SUSPECT.uid]
    assert found.next is None and "alice" in found.message and "bob" in found.message


def test_while_the_view_is_not_to_be_trusted_a_machine_that_is_not_seen_need_not_be_gone() -> None:
    world = World([], rotations=[rotation(SUSPECT, by_policy=False)])
    assert not world.plan().waiting
    old_view(world)
    assert str(world.plan().waiting[world.rotations[0].uid].reason) == "Unsynced"


def test_a_machine_that_a_policy_wants_quarantined_is_not_rotated_meanwhile() -> None:
    world = world_for(wish(SUSPECT, Action.QUARANTINE))
    world.guard = guard(quarantine={"maxAtOnce": "0", "maxPerHour": "10"})
    world.rotations = [rotation(SUSPECT)]
    made = world.plan()
    assert not made.openings and not made.grants
    assert str(made.waiting[world.rotations[0].uid].reason) == "Quarantined"
    assert str(made.blocked[SUSPECT.uid].reason) == "QuarantineLimit"


def test_a_quarantine_keeps_every_rotation_of_its_machine_from_starting() -> None:
    for phase in ("Pending", "Isolating", "Held"):
        world = world_for(wish(SUSPECT))
        world.quarantines = [quarantine(SUSPECT, phase)]
        assert str(world.plan().blocked[SUSPECT.uid].reason) == "Quarantined"
        world.rotations = [rotation(SUSPECT, by_policy=False, number=3)]
        assert str(world.plan().waiting[world.rotations[0].uid].reason) == "Quarantined"


def test_a_quarantine_displaces_a_rotation() -> None:
    world = world_for(wish(SUSPECT, Action.QUARANTINE))
    world.rotations = [rotation(SUSPECT, "Draining")]
    assert world.started("Quarantine") == ["worker-0"]


def test_every_message_says_something_and_explain_names_all_brakes() -> None:
    world = world_for(wish(SUSPECT))
    paused(world)
    node_opted_out(world)
    skewed(world)
    found = world.planner().explain(SUSPECT.uid, world.moment(), NOW)
    assert [str(one.reason) for one in found] == ["Paused", "ClockSkew", "OptedOut"]
    assert all(one.message for one in found)
