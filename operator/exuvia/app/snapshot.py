"""One fresh snapshot of the cluster around one machine: all that `app.explaining` thinks about, read at once.

It is what an operator would see if it looked now. What only the operator can know (how its own view, clock and ledger
are) is taken from what it says in the FleetGuard. What may not be read is named in `notes`, never taken for empty.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from exuvia import errors, ports
from exuvia.act.providers import configured
from exuvia.act.providers.simulated import is_simulated
from exuvia.app import expressions, leading, relearning
from exuvia.app.clock import SystemClock
from exuvia.app.leading import Leader
from exuvia.app.policies import Policies
from exuvia.evaluate.expressions import instance_seen
from exuvia.evaluate.judge import Outcomes
from exuvia.kube.client import Client
from exuvia.model import resources
from exuvia.model.instances import Instance
from exuvia.model.pods import DisruptionBudget, Pod
from exuvia.model.resources import Resource
from exuvia.model.specs import fleet_guard
from exuvia.model.specs.fleet_guard import FleetGuard
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.model.specs.security_policy import SecurityPolicy
from exuvia.observe import fresh, leases, nodes, ours
from exuvia.observe import pods as pod_records
from exuvia.observe.ours import Unparsable

ASSUMED_CLOUD = "http://127.0.0.1:9"
"""Only whether the operator serves simulated machines matters here; nothing is asked of this address."""
_WORTH_MENDING = timedelta(seconds=2)

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The picture. `pods` and `leases` are None where they may not be read."""

    taken: datetime  # by the API server's clock
    subject: Instance
    instances: tuple[Instance, ...]  # the whole fleet, the subject among it
    policies: Policies
    outcomes: Outcomes = field(default_factory=dict)  # what the expressions of each policy say of the subject
    guard: FleetGuard | None = None
    guard_problem: str = ""
    rotations: tuple[Rotation, ...] = ()
    quarantines: tuple[Quarantine, ...] = ()
    providers: Mapping[str, ports.Provider] = field(default_factory=dict)
    pods: tuple[Pod, ...] | None = None  # those on the subject
    daemon_sets: Mapping[tuple[str, str], bool | None] = field(default_factory=dict)
    budgets: tuple[DisruptionBudget, ...] = ()
    leases: tuple[int, int] | None = None
    leader: Leader | None = None  # None: the Lease may not be read
    notes: tuple[str, ...] = ()


async def gather(client: Client, name: str, *, simulated_cloud: str = "", ledger: str = "") -> Snapshot:
    """Read everything around the machine that bears a name now. `ledger`: where seats and risk stand, if it is known.

    Raises `errors.NotFound` when there is no such machine or our kinds are not installed, and `errors.ClusterError`
    when machines, policies or operations may not be read: without them nothing can be said.
    """
    body = await client.get(resources.NODES, name)
    if body is None:
        raise errors.NotFound(
            f"There is no Node {name}.",
            remedy=f"See `kubectl get nodes`; for one that is gone `exuvia ledger who --name {name} --at TIME`.",
        )
    subject, notes = nodes.from_body(body), list[str]()
    if is_simulated(subject.provider_id) and not simulated_cloud:
        notes.append("it is taken that the operator was given the simulated cloud; name it by --simulated-cloud")
    policies = Policies()
    policies.refresh([ours.from_body(SecurityPolicy, one) for one in await _all(client, resources.SECURITY_POLICIES)])
    guard, problem = await _guard(client)
    now = _now(client)
    return Snapshot(
        taken=now,
        subject=await relearning.learnt(client, ledger, policies, subject, now),
        instances=tuple(nodes.from_body(one) for one in await _all(client, resources.NODES)),
        policies=policies,
        outcomes=await _outcomes(policies, subject, body, now),
        guard=guard,
        guard_problem=problem,
        rotations=await _operations(client, resources.ROTATIONS, Rotation, notes),
        quarantines=await _operations(client, resources.QUARANTINES, Quarantine, notes),
        providers=configured(cluster=client, simulated_cloud=simulated_cloud or ASSUMED_CLOUD),
        leader=await _allowed(lambda: leading.leader(client), "the Lease of the operator", notes),
        leases=await _allowed(lambda: leases.expired_share(client, now), "node leases", notes),
        **await _around(client, subject, notes),
        notes=tuple(notes),
    )


def _now(client: Client) -> datetime:
    """By the server's clock, where ours is clearly another."""
    skew = client.clock_skew
    return datetime.now(UTC) - (skew if abs(skew) > _WORTH_MENDING else timedelta(0))


async def _all(client: ports.Cluster, resource: Resource) -> list[ports.Body]:
    try:
        return [body async for page in client.pages(resource) for body in page]
    except errors.NotFound as trouble:
        raise errors.NotFound(
            f"This cluster does not know {resource.full_name}.",
            remedy=f"Install exuvia's kinds with `{resources.APPLY_KINDS}`, or name another cluster by --context.",
        ) from trouble


async def _guard(client: ports.Cluster) -> tuple[FleetGuard | None, str]:
    body = await client.get(resources.FLEET_GUARDS, fleet_guard.NAME)
    if body is None:
        return None, f"there is no FleetGuard {fleet_guard.NAME}; exuvia makes it when it first starts"
    found = ours.from_body(FleetGuard, body)
    if isinstance(found, Unparsable):
        return None, f"FleetGuard {fleet_guard.NAME} cannot be read: {found.problem}"
    return found, ""


async def _operations(client: ports.Cluster, resource: Resource, kind: Any, notes: list[str]) -> tuple[Any, ...]:
    found = [ours.from_body(kind, one) for one in await _all(client, resource)]
    notes += [
        f"{resource.kind} {one.name} cannot be read: {one.problem}" for one in found if isinstance(one, Unparsable)
    ]
    return tuple(one for one in found if isinstance(one, kind))


async def _outcomes(policies: Policies, subject: Instance, body: ports.Body, now: datetime) -> Outcomes:
    """Expressions run where they can be stopped, here as in the operator."""
    wanted = [one for one in policies.compiled.values() if one.expressions and one.selects(subject)]
    if not wanted:
        return {}
    evaluator = expressions.Evaluator(SystemClock())
    try:
        asked = expressions.Subject(uid=subject.uid, object=_bare(body), instance=instance_seen(subject))
        return (await evaluator.evaluate(wanted, [asked], now))[subject.uid]
    finally:
        await evaluator.close()


def _bare(body: ports.Body) -> ports.Body:
    """The Node as expressions see it (api.md, Rules)."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    status = {key: value for key, value in (body.get("status") or {}).items() if key != "images"}
    return {**body, "metadata": metadata, "status": status}


async def _around(client: ports.Cluster, subject: Instance, notes: list[str]) -> dict[str, Any]:
    """Pods on the machine, and what may hold them."""
    pods = await _allowed(lambda: fresh.read_pods(client, subject.name), "pods", notes)
    budgets = await _allowed(lambda: _budgets(client), "PodDisruptionBudgets", notes)
    return {
        "pods": pods,
        "budgets": budgets or (),
        "daemon_sets": await fresh.daemon_sets_exist(client, pods or ()),
    }


async def _budgets(client: ports.Cluster) -> tuple[DisruptionBudget, ...]:
    pages = client.pages(resources.POD_DISRUPTION_BUDGETS)
    return tuple([pod_records.budget_from_bytes(msgspec.json.encode(body)) async for page in pages for body in page])


async def _allowed(read: Callable[[], Awaitable[_Answer]], what: str, notes: list[str]) -> _Answer | None:
    """The answer, or None and a note where the right is missing."""
    try:
        return await read()
    except errors.Forbidden as trouble:
        notes.append(f"{what} may not be read, so what they would hold is not known: {trouble.message}")
        return None
