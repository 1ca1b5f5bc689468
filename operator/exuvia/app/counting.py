"""Counting for one policy: what its machines are, what is under way for it, and what waits and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
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


def operations(services: Services, policy_uid: str) -> list[Operation]:
    """Operations of a policy, open and ended."""
    return [
        one for one in everything(services.view) if one.spec.policy is not None and one.spec.policy.uid == policy_uid
    ]


def actions(services: Services, fleet: Fleet, plan: Plan, policy: str) -> ActionCounts:
    """What is under way, waits, or would be done."""
    facts = services.policies.facts.get(policy)
    mine = operations(services, facts.uid) if facts else []
    blocked = waits(services, fleet, plan, policy, mine)
    would = _would(services, fleet, policy) if facts and not facts.enforces else Counter()
    return ActionCounts(
        rotating=sum(isinstance(one, Rotation) and _under_way(one) for one in mine),
        quarantined=sum(isinstance(one, Quarantine) and _under_way(one) for one in mine),
        pending=sum(one.open and not _under_way(one) for one in mine),
        blocked=len(blocked),
        failed=sum(isinstance(one, Rotation) and one.status.phase is RotationPhase.FAILED for one in mine),
        would_rotate=would[Action.ROTATE],
        would_quarantine=would[Action.QUARANTINE],
    )


def waits(
    services: Services, fleet: Fleet, plan: Plan, policy: str, mine: Iterable[Operation]
) -> list[BlockedStatus | Blocked]:
    """Why each of what waits does: planned ones that may not start, and open operations that may not go on."""
    found: list[BlockedStatus | Blocked] = []
    for uid, blocked in plan.blocked.items():
        wish = fleet.wish(uid, enforced=True)
        if wish is not None and wish.policy == policy:
            found.append(blocked)
    for one in mine:
        if one.open and one.uid in plan.waiting:
            found.append(plan.waiting[one.uid])
        elif one.open and one.status.blocked is not None:
            found.append(one.status.blocked)
    return found


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


def _would(services: Services, fleet: Fleet, policy: str) -> Counter[Action]:
    counts = services.judgements.verdicts.get(policy, Counter())
    if not counts[Verdict.VIOLATING]:
        return Counter()
    wishes = (fleet.wish(uid, enforced=False) for uid in services.judgements.by_uid)
    return Counter(one.action for one in wishes if one is not None and one.policy == policy)
