"""`exuvia status`: policies with their counts, the fleet's brakes, and every operation that is under way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

from exuvia import ports
from exuvia.app import posture
from exuvia.app.leading import Leader
from exuvia.cli import asking, cluster, printing
from exuvia.decide.brakes import acting
from exuvia.model import resources
from exuvia.model.specs import fleet_guard
from exuvia.model.specs.common import BlockedStatus, ConditionStatus
from exuvia.model.specs.fleet_guard import FleetGuard
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.model.specs.security_policy import SecurityPolicy
from exuvia.observe import ours
from exuvia.observe.ours import Unparsable
from exuvia.report.text import Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the cluster holds of ours."""

    policies: tuple[SecurityPolicy | Unparsable, ...]
    guard: FleetGuard | Unparsable | None
    operations: tuple[Rotation | Quarantine | Unparsable, ...]  # open ones, Quarantines first
    now: datetime  # by the API server's clock
    leader: Leader | None = None  # None: the Lease may not be read


@click.command()
@cluster.cluster_options
@printing.output_option
def status(kubeconfig: str, context: str, output: str) -> None:
    """Show policies, brakes, and operations under way.

    Exit code 1 when a machine violates or cannot be judged, a brake holds, an operation is blocked, or no operator acts
    (nobody leads, it only watches, or it was uninstalled).
    """
    _print(cluster.run(kubeconfig, context, gather), output)


async def gather(client: ports.Cluster) -> Found:
    """Read all of it."""
    policies = [ours.from_body(SecurityPolicy, one) for one in await cluster.every(client, resources.SECURITY_POLICIES)]
    guards = [ours.from_body(FleetGuard, one) for one in await cluster.every(client, resources.FLEET_GUARDS)]
    quarantines = [ours.from_body(Quarantine, one) for one in await cluster.every(client, resources.QUARANTINES)]
    rotations = [ours.from_body(Rotation, one) for one in await cluster.every(client, resources.ROTATIONS)]
    under_way = [one for one in (*quarantines, *rotations) if isinstance(one, Unparsable) or one.open]
    return Found(
        policies=tuple(sorted(policies, key=lambda one: one.name)),
        guard=next((one for one in guards if one.name == fleet_guard.NAME), None),
        operations=tuple(under_way),
        leader=await asking.leader(client),
        now=asking.moment(client),
    )


def _print(found: Found, how: str) -> None:
    now = found.now
    policies = [_policy(one) for one in found.policies]
    brakes = _brakes(found.guard)
    operations = [_operation(one) for one in found.operations]
    blocked = [line for one in found.policies if isinstance(one, SecurityPolicy) for line in _blocked(one)]
    sections = [
        ("POLICIES", _rows(_POLICY_COLUMNS, policies)),
        ("WAITING", _rows(_BLOCKED_COLUMNS, blocked)),
        ("BRAKES", _rows(_BRAKE_COLUMNS, brakes, now)),
        ("OPERATIONS", _rows(_OPERATION_COLUMNS, operations, now)),
    ]
    if how == "table" and not (policies or operations):
        printing.say("No policy and no operation under way. Begin with one of examples/.\n")
    idle = _idle(found)
    if how == "table" and idle:
        printing.say(f"{idle}\n")
    data: dict[str, Any] = {"policies": policies, "waiting": blocked, "brakes": brakes, "operations": operations}
    data["leader"] = None if found.leader is None else found.leader.said(now)
    data["idle"] = idle or None
    printing.show(sections, data, how)
    findings = any(one["violating"] or one["unknown"] or one["ready"] == "False" for one in policies)
    engaged = any(one["state"] == "Engaged" for one in brakes)
    printing.finish(findings=findings or engaged or bool(idle) or any(one["blocked"] for one in operations))


def _idle(found: Found) -> str:
    """Why nothing is begun by anybody, with the next step; "" where an operator acts, as far as is known."""
    if found.leader is not None and not found.leader.works(found.now):
        return f"No operator works: {found.leader.said(found.now)}. See `exuvia doctor`."
    guard = found.guard if isinstance(found.guard, FleetGuard) else None
    if posture.only_watches(guard):
        return f"The operator only watches (--read-only): nothing is begun or ended. To change that, {acting.WAY_OUT}."
    if guard is not None and guard.spec.uninstall is not None:
        return f"exuvia is {acting.uninstalled(guard.spec.uninstall.by)}."
    return ""


_POLICY_COLUMNS = (
    *("policy", "mode", "ready", "matched", "compliant", "violating", "unknown", "exempt"),
    *("rotating", "quarantined", "blocked", "message"),
)
_BLOCKED_COLUMNS = ("policy", "reason", "count", "next", "message")
_BRAKE_COLUMNS = ("brake", "state", "since", "reason")
_OPERATION_COLUMNS = ("kind", "name", "instance", "phase", "blocked", "age", "message")


def _rows(columns: tuple[str, ...], entries: Iterable[dict[str, Any]], now: datetime | None = None) -> Rows:
    return Rows(
        headings=tuple(one.upper() for one in columns),
        rows=tuple(tuple(_cell(entry[column], column, now) for column in columns) for entry in entries),
    )


def _cell(value: Any, column: str, now: datetime | None) -> str:
    if isinstance(value, datetime) and now is not None and column in ("since", "age"):
        return printing.since(value, now)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return "" if value is None else printing.one_line(str(value))


def _policy(one: SecurityPolicy | Unparsable) -> dict[str, Any]:
    if isinstance(one, Unparsable):
        unread: dict[str, Any] = dict.fromkeys(_POLICY_COLUMNS)
        return unread | {"policy": one.name, "ready": "False", "message": one.problem}
    ready = _condition(one.status.conditions, "Ready")
    machines, actions = one.status.instances, one.status.actions
    return {
        "policy": one.name,
        "mode": "suspended" if one.spec.suspend else str(one.spec.mode),
        "ready": ready.status if ready else "Unknown",
        "matched": machines.matched if machines else None,
        "compliant": machines.compliant if machines else None,
        "violating": machines.violating if machines else None,
        "unknown": machines.unknown if machines else None,
        "exempt": machines.exempt if machines else None,
        "rotating": actions.rotating if actions else None,
        "quarantined": actions.quarantined if actions else None,
        "blocked": actions.blocked if actions else None,
        "message": _not_ready(ready),
    }


def _not_ready(ready: ConditionStatus | None) -> str:
    if ready is None:
        return "not judged yet; see `exuvia doctor` if it stays so"
    return "" if ready.status == "True" else ready.message or ready.reason


def _blocked(policy: SecurityPolicy) -> list[dict[str, Any]]:
    return [
        {"policy": policy.name, "reason": one.reason, "count": one.count, "next": one.next, "message": one.message}
        for one in policy.status.blocked
    ]


def _brakes(guard: FleetGuard | Unparsable | None) -> list[dict[str, Any]]:
    if guard is None:
        said = "there is none yet; exuvia makes it with its defaults when it first starts"
        return [{"brake": "FleetGuard", "state": "Unknown", "since": None, "reason": said}]
    if isinstance(guard, Unparsable):
        return [{"brake": "FleetGuard", "state": "Engaged", "since": None, "reason": guard.problem}]
    found = [
        {"brake": one.name, "state": one.state, "since": one.since, "reason": one.reason} for one in guard.status.brakes
    ]
    for pool in guard.status.halted_pools:
        said = f"{pool.failures} failed replacements; go on with `exuvia resume --pool {pool.pool}`"
        found.append({"brake": f"Pool {pool.pool}", "state": "Engaged", "since": pool.since, "reason": said})
    return found or _requests(guard)


def _requests(guard: FleetGuard) -> list[dict[str, Any]]:
    """Before the operator's first answer the requests themselves are all that is known."""
    return [
        {"brake": "Paused", "state": "Engaged", "since": None, "reason": f"{one.by}: {one.reason}"}
        for one in guard.spec.pause_requests
        if one.until is None or one.until > datetime.now(UTC)
    ]


def _operation(one: Rotation | Quarantine | Unparsable) -> dict[str, Any]:
    if isinstance(one, Unparsable):
        spread = dict.fromkeys(("kind", "instance", "phase", "blocked", "age"))
        return {**spread, "name": one.name, "message": one.problem}
    held: BlockedStatus | None = one.status.blocked
    return {
        "kind": one.KIND,
        "name": one.name,
        "instance": one.spec.instance.name,
        "phase": str(one.status.phase),
        "blocked": held.reason if held else "",
        "age": one.metadata.creation_timestamp,
        "message": held.message if held else one.status.message,
    }


def _condition(conditions: Iterable[ConditionStatus], type_: str) -> ConditionStatus | None:
    return next((one for one in conditions if one.type == type_), None)
