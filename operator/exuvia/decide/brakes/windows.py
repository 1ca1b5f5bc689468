"""Windows: when Rotations may start. A hard limit and a severe finding lift those of their own policy."""

from __future__ import annotations

from datetime import datetime

from exuvia.decide.brakes.picture import Candidate, Picture
from exuvia.decide.brakes.schedules import Door, door
from exuvia.model.blocking import Blocked
from exuvia.model.planning import PolicyFacts
from exuvia.model.reasons import BlockedReason
from exuvia.model.specs.security_policy import BypassBrake


def window_open(candidate: Candidate, picture: Picture) -> Blocked | None:
    """Every enforcing policy that selects it and has an allow-list must have a window open."""
    for policy in picture.enforcing(candidate.subject):
        stands = allowed_now(policy, picture.now)
        if stands.open or _lifted(candidate, policy):
            continue
        message = f"no window of policy {policy.name} is open (disruption.windows.allow)"
        if stands.problem:
            message = f"{message}: {stands.problem}"
        return Blocked(reason=BlockedReason.WINDOW_CLOSED, message=message, next=stands.until)
    return None


def allowed_now(policy: PolicyFacts, now: datetime) -> Door:
    """Whether a policy's windows allow a start now; without any they always do. Any open one is enough."""
    windows = policy.spec.disruption.windows
    if windows is None or not windows.allow:
        return Door(open=True)
    doors = [door(one.schedule, one.duration, one.time_zone, now) for one in windows.allow]
    open_ = [one for one in doors if one.open]
    if open_:
        return max(open_, key=lambda one: one.until or now)
    problem = "; ".join(sorted({one.problem for one in doors if one.problem}))
    until = min((one.until for one in doors if one.until is not None), default=None)
    return Door(open=False, until=until, problem=problem)


def _lifted(candidate: Candidate, policy: PolicyFacts) -> bool:
    """Past a hard limit, or severe enough: but only what its own policy says."""
    return (_is_own(candidate, policy) and _hard(candidate)) or bypasses(candidate, policy, BypassBrake.WINDOWS)


def bypasses(candidate: Candidate, policy: PolicyFacts, brake: BypassBrake) -> bool:
    """Whether the finding is severe enough to pass this brake of its own policy."""
    bypass = policy.spec.disruption.bypass
    if bypass is None or brake not in bypass.brakes or not _is_own(candidate, policy):
        return False
    return candidate.severity.rank >= bypass.min_severity.rank


def _is_own(candidate: Candidate, policy: PolicyFacts) -> bool:
    return candidate.wish is not None and candidate.wish.policy == policy.name


def _hard(candidate: Candidate) -> bool:
    return candidate.wish is not None and candidate.wish.hard
