"""Rates: starts in an hour, and the time between two. Counted from persisted starts, so a restart refills nothing."""

from __future__ import annotations

from datetime import datetime

from exuvia.decide.brakes.amounts import Allowed, allowance
from exuvia.decide.brakes.inflight import HOUR
from exuvia.decide.brakes.picture import Candidate, Picture
from exuvia.decide.brakes.windows import bypasses
from exuvia.model.blocking import Blocked
from exuvia.model.reasons import BlockedReason
from exuvia.model.specs.security_policy import BypassBrake

LEAST_PER_HOUR = 5
DEFAULT_SHARE = "1%"


def rotation_rate(picture: Picture, *, replace_first: bool) -> Allowed:
    """Rotation starts that an hour may have: as written, else the greater of 5 and 1% of the fleet."""
    written = picture.guard.max_per_hour
    if written is not None:
        return allowance(written, picture.fleet.base, replace_first=replace_first)
    return Allowed(count=max(LEAST_PER_HOUR, allowance(DEFAULT_SHARE, picture.fleet.base).count))


def within_rotation_rate(candidate: Candidate, picture: Picture) -> Blocked | None:
    """FleetGuard maxPerHour."""
    first = picture.fleet.base == 1 and picture.replaces_first(candidate)
    allowed = rotation_rate(picture, replace_first=first)
    return _check("FleetGuard maxPerHour", allowed, picture.rotation_starts)


def within_quarantine_rate(_candidate: Candidate, picture: Picture) -> Blocked | None:
    """FleetGuard quarantine.maxPerHour. Where it cannot be read, `known_guard` has decided."""
    if picture.moment.guard is None:
        return None
    allowed = allowance(picture.guard.quarantine.max_per_hour, picture.fleet.base)
    return _check("FleetGuard quarantine.maxPerHour", allowed, picture.quarantine_starts)


def _check(title: str, allowed: Allowed, starts: list[datetime]) -> Blocked | None:
    if len(starts) < allowed.count:
        return None
    if allowed.problem:
        message = f"{title} allows nothing: {allowed.problem}"
        return Blocked(reason=BlockedReason.RATE_LIMITED, message=message)
    message = f"{title} allows {allowed.count} starts an hour, and there were {len(starts)}"
    return Blocked(reason=BlockedReason.RATE_LIMITED, message=message, next=free_again(allowed.count, starts))


def free_again(allowed: int, starts: list[datetime]) -> datetime | None:
    """When so many starts are an hour old that one more is allowed; None: never."""
    return starts[len(starts) - allowed] + HOUR if 0 < allowed <= len(starts) else None


def interval_passed(candidate: Candidate, picture: Picture) -> Blocked | None:
    """minInterval of every enforcing policy that selects it, since a Rotation of what that policy selects started."""
    for policy in picture.enforcing(candidate.subject):
        interval = policy.spec.disruption.min_interval
        last = picture.flight.last_start.get(policy.name)
        if not interval or last is None or picture.now >= last + interval:
            continue
        if bypasses(candidate, policy, BypassBrake.MIN_INTERVAL):
            continue
        message = f"policy {policy.name} wants {interval} between two starts (disruption.minInterval)"
        return Blocked(reason=BlockedReason.MIN_INTERVAL, message=message, next=last + interval)
    return None
