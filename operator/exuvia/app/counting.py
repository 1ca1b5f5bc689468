"""Counting for one policy: what its machines are, what is under way for it, and what waits and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from exuvia.app.fleet import Fleet
from exuvia.app.operations import Operation, everything
from exuvia.app.services import Services
from exuvia.model.blocking import Blocked
from exuvia.model.findings import Result, Verdict
from exuvia.model.planning import Plan
from exuvia.model.specs.common import BlockedStatus
from exuvia.model.specs.quarantine import Quarantine, QuarantinePhase
from exuvia.model.specs.rotation import Rotation, RotationPhase
from exuvia.model.specs.security_policy import Action, ActionCounts, InstanceCounts, RuleCounts


def instances(services: Services, policy: str) -> InstanceCounts:
    """Machines by verdict."""
    counts = services.judgements.verdicts.get(policy, Counter())
    return InstanceCounts(
        matched=sum(counts.values()),
        compliant=counts[Verdict.COMPLIANT],
        violating=counts[Verdict.VIOLATING],
        unknown=counts[Verdict.UNKNOWN],
        exempt=counts[Verdict.EXEMPT],
    )


def rules(services: Services, policy: str) -> tuple[RuleCounts, ...]:
    """Machines by the result of each rule, in the order of the policy."""
    compiled = services.policies.compiled.get(policy)
    found = []
    for rule in compiled.rules if compiled else ():
        counts = services.judgements.results.get((policy, rule.name), Counter())
        found.append(
            RuleCounts(
                name=rule.name,
                passed=counts[Result.PASS] + counts[Result.WARN],
                fail=counts[Result.FAIL],
                error=counts[Result.ERROR],
            )
        )
    return tuple(found)


@dataclass(slots=True, kw_only=True)
class Standing:
    """What concerns one policy: its operations, why what waits does, and what it would do if it enforced."""

    operations: list[Operation] = field(default_factory=list)  # open and ended
    waits: list[BlockedStatus | Blocked] = field(default_factory=list)  # planned ones, and open operations
    would: Counter[Action] = field(default_factory=Counter)


def standings(services: Services, fleet: Fleet, plan: Plan) -> dict[str, Standing]:
    """Of every policy, by its name, in one walk over operations and what waits."""
    names = {one.uid: name for name, one in services.policies.facts.items()}
    found = {name: Standing() for name in names.values()}
    for one in everything(services.view):
        name = names.get(one.spec.policy.uid) if one.spec.policy is not None else None
        if name is not None:
            _add(found[name], one, plan)
    for uid, blocked in plan.blocked.items():
        wish = fleet.wish(uid, enforced=True)
        if wish is not None and wish.policy in found:
            found[wish.policy].waits.append(blocked)
    if _in_audit(services):
        for wish in (fleet.wish(uid, enforced=False) for uid in list(services.judgements.by_uid)):
            if wish is not None and wish.policy in found:
                found[wish.policy].would[wish.action] += 1
    return found


def _add(standing: Standing, one: Operation, plan: Plan) -> None:
    standing.operations.append(one)
    if not one.open:
        return
    blocked = plan.waiting.get(one.uid) or one.status.blocked
    if blocked is not None:
        standing.waits.append(blocked)


def _in_audit(services: Services) -> bool:
    """Whether a policy that does not act has violations, so that it is worth to look what it would do."""
    verdicts = services.judgements.verdicts
    idle = (name for name, one in services.policies.facts.items() if not one.enforces)
    return any(verdicts.get(name, Counter())[Verdict.VIOLATING] for name in idle)


def actions(standing: Standing) -> ActionCounts:
    """What is under way, waits, or would be done."""
    mine = standing.operations
    return ActionCounts(
        rotating=sum(isinstance(one, Rotation) and _under_way(one) for one in mine),
        quarantined=sum(isinstance(one, Quarantine) and _under_way(one) for one in mine),
        pending=sum(one.open and not _under_way(one) for one in mine),
        blocked=len(standing.waits),
        failed=sum(isinstance(one, Rotation) and one.status.phase is RotationPhase.FAILED for one in mine),
        would_rotate=standing.would[Action.ROTATE],
        would_quarantine=standing.would[Action.QUARANTINE],
    )


def grouped(said: Iterable[BlockedStatus | Blocked], now: datetime) -> tuple[BlockedStatus, ...]:
    """By reason, with one message as an example and the earliest next try."""
    by_reason: dict[str, list[BlockedStatus | Blocked]] = {}
    for one in said:
        by_reason.setdefault(str(one.reason), []).append(one)
    return tuple(
        BlockedStatus(
            reason=reason,
            count=len(some),
            message=min(one.message for one in some)[:1024],
            next=min((one.next for one in some if one.next is not None and one.next > now), default=None),
        )
        for reason, some in sorted(by_reason.items())
    )


def _under_way(one: Operation) -> bool:
    if not one.open:
        return False
    return one.status.phase not in (RotationPhase.PENDING, QuarantinePhase.PENDING)
