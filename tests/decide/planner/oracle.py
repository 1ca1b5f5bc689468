"""A second opinion: what the contract says of budgets and floors, counted slowly and from scratch, machine by machine.

It shares no code with the planner but the parsing of amounts, so that both are unlikely to err alike.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from exuvia.decide.brakes.amounts import allowance, requirement
from exuvia.model.instances import Instance
from exuvia.model.planning import Plan, Subject
from exuvia.model.specs.rotation import Rotation
from exuvia.model.specs.security_policy import Budget
from tests.decide.planner.world import HOUR, World

Where = Callable[[Instance], bool]
OURS = ("exuvia.dev/rotating", "exuvia.dev/quarantined")


def living(world: World) -> dict[str, Subject]:
    """Machines that are there, by UID."""
    return {one.uid: one for one in world.subjects if one.instance is not None}


def held(world: World) -> set[str]:
    """Machines that serve nothing any more, as their Quarantine holds them."""
    return {one.spec.instance.uid for one in world.quarantines if str(one.status.phase) == "Held"}


def operated(world: World) -> set[str]:
    """Machines that an operation disrupts."""
    there = living(world)
    rotating = {one.spec.instance.uid for one in world.rotations if one.open and str(one.status.phase) != "Pending"}
    isolating = {
        one.spec.instance.uid
        for one in world.quarantines
        if one.open and str(one.status.phase) not in ("Pending", "Held") and one.spec.instance.uid in there
    }
    return rotating | isolating


def disrupted(world: World) -> set[str]:
    """The disrupted set."""
    seen = {uid for uid, one in living(world).items() if _looks_disrupted(one, world)}
    return (seen - held(world)) | operated(world)


def _looks_disrupted(one: Subject, world: World) -> bool:
    assert one.instance is not None
    since = one.instance.not_ready_since
    bad = since is not None and one.ready_once and world.now - since >= timedelta(seconds=5)
    return bad or one.instance.deleting or any(taint.key in OURS for taint in one.instance.taints)


def base(world: World) -> set[str]:
    """Alive and Ready once, or gone while its Rotation is open; neither held nor a surge replacement."""
    there = living(world)
    open_ = [one for one in world.rotations if one.open and str(one.status.phase) != "Pending"]
    gone = {one.spec.instance.uid for one in open_} - set(there)
    surge = {one.status.replacement.uid for one in open_ if one.status.replacement is not None}
    return ({uid for uid, one in there.items() if one.ready_once} - held(world) - surge) | gone


def where(world: World, uid: str) -> dict[str, str]:
    """The topology values of a machine, gone or not."""
    found = living(world).get(uid)
    if found is not None and found.instance is not None:
        return dict(found.instance.labels)
    frozen = next(one.status.settings for one in world.rotations if one.spec.instance.uid == uid)
    return dict(frozen.labels) if frozen else {}


def selected(world: World, uid: str, policy: str) -> bool:
    """Whether a policy selects a machine, gone or not."""
    found = living(world).get(uid)
    if found is not None:
        return policy in found.selecting
    frozen = next(one.status.settings for one in world.rotations if one.spec.instance.uid == uid)
    return frozen is not None and policy in {one.name for one in frozen.policies}


def breaches(world: World, made: Plan) -> list[str]:
    """What is broken after a plan was applied, that the plan's own starts are answerable for. `world` is the world
    before; it is left as it was."""
    after = World(**{name: getattr(world, name) for name in world.__dataclass_fields__})
    after.rotations, after.quarantines = list(world.rotations), list(world.quarantines)
    after.apply(made)
    rotated = {one.instance for one in (*made.openings, *made.grants) if one.kind == "Rotation"}
    frozen = {one.instance for one in (*made.openings, *made.grants) if one.kind == "Quarantine"}
    before = disrupted(world)
    found = []
    for policy in world.policies:
        for budget in policy.spec.disruption.budgets:
            found += _budget(after, before, policy.name, budget, rotated, frozen)
    found += _fleet(world, after, before, rotated, frozen)
    return found


def _budget(
    after: World, before: set[str], policy: str, budget: Budget, rotated: set[str], frozen: set[str]
) -> list[str]:
    answerable: set[str] = set()
    if budget.actions is None or "Rotate" in budget.actions:
        answerable |= rotated
    if budget.actions is not None and "Quarantine" in budget.actions:
        answerable |= frozen
    key = budget.topology_key
    values = {where(after, uid).get(key, "") if key else "" for uid in answerable if selected(after, uid, policy)}
    found = []
    for value in sorted(values):

        def inside(uid: str, value: str = value) -> bool:
            return selected(after, uid, policy) and (not key or where(after, uid).get(key, "") == value)

        scope = {uid for uid in disrupted(after) if inside(uid)}
        size = len({uid for uid in base(after) if inside(uid)})
        first = after.strategy == "ReplaceFirst" and not frozen
        allowed = allowance(budget.nodes, size, replace_first=first).count
        mine = {uid for uid in answerable if inside(uid)}
        if mine - before and len(scope) > allowed:
            found.append(f"budget {policy}/{budget.name} {value!r}: {len(scope)} disrupted, {allowed} allowed")
        if mine and len(scope & operated(after)) > allowed:
            found.append(f"budget {policy}/{budget.name} {value!r}: operated beyond {allowed}")
    return found


def _fleet(world: World, after: World, before: set[str], rotated: set[str], frozen: set[str]) -> list[str]:
    assert world.guard is not None
    guard, found = world.guard.spec, []
    size = len(base(after))
    allowed = allowance(guard.max_unavailable, size, replace_first=world.strategy == "ReplaceFirst").count
    if rotated - before and len(disrupted(after)) > allowed:
        found.append(f"maxUnavailable: {len(disrupted(after))} disrupted, {allowed} allowed")
    floor = requirement(guard.min_healthy, len(base(world)))
    assert floor is not None
    taken = (rotated - before) & base(world)
    if taken and world.strategy == "DrainFirst" and len(base(after) - disrupted(after)) < floor:
        found.append(f"minHealthy: below {floor}")
    cap = allowance(guard.quarantine.max_at_once, len(base(after))).count
    present = {one.spec.instance.uid for one in after.quarantines if one.open and str(one.status.phase) != "Pending"}
    if frozen and len(present & set(living(after))) > cap:
        found.append(f"quarantine.maxAtOnce: beyond {cap}")
    zones = {_zone(one) for one in after.rotations if one.open and str(one.status.phase) != "Pending"}
    if rotated and guard.one_zone_at_a_time and len(zones) > 1:
        found.append(f"oneZoneAtATime: {zones}")
    return found + _rates(world, after, rotated)


def _zone(rotation: Rotation) -> str:
    return rotation.status.settings.zone if rotation.status.settings else ""


def _rates(world: World, after: World, rotated: set[str]) -> list[str]:
    assert world.guard is not None
    written = world.guard.spec.max_per_hour
    starts = {one.uid: one.status.started_at for one in after.rotations if one.status.started_at is not None}
    starts |= {one.operation: one.at for one in world.starts if one.kind == "Rotation"}
    count = len([at for at in starts.values() if world.now - at < HOUR])
    size = len(base(after))
    first = world.strategy == "ReplaceFirst"
    allowed = allowance(written, size, replace_first=first).count if written else max(5, size // 100)
    return [f"maxPerHour: {count} starts, {allowed} allowed"] if rotated and count > allowed else []
