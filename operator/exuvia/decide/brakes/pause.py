"""Pause: somebody asked that nothing disruptive is done (FleetGuard.spec.pauseRequests)."""

from __future__ import annotations

from datetime import datetime

from exuvia.decide.brakes.picture import Candidate, Picture
from exuvia.decide.brakes.times import utc
from exuvia.model.blocking import Blocked
from exuvia.model.reasons import BlockedReason
from exuvia.model.specs.fleet_guard import FleetGuard, PauseRequest

DELETED = "FleetGuardDeleted"
"""The reason of the pause request that the app writes when it re-creates a FleetGuard that somebody deleted."""


def paused(guard: FleetGuard | None, now: datetime) -> Blocked | None:
    """Whether a pause holds now. It ends when the last of the requests does."""
    active = [one for one in guard.spec.pause_requests if _active(one, now)] if guard else []
    if not active:
        return None
    deleted = next((one for one in active if one.reason == DELETED), None)
    who = "; ".join(f"{one.by}: {one.reason or 'no reason given'}" for one in active[:3])
    ends = [utc(one.until) for one in active if one.until is not None]
    until = max(ends) if len(ends) == len(active) else None
    if deleted is not None:
        message = "FleetGuard default was deleted and re-created paused; look at its brakes, then run `exuvia resume`"
        return Blocked(reason=BlockedReason.FLEET_GUARD_DELETED, message=message, next=until)
    return Blocked(reason=BlockedReason.PAUSED, message=f"paused by {who}; `exuvia resume` ends it", next=until)


def _active(request: PauseRequest, now: datetime) -> bool:
    return request.until is None or now < utc(request.until)


def not_paused(_candidate: Candidate, picture: Picture) -> Blocked | None:
    """A start waits while paused."""
    return paused(picture.moment.guard, picture.now)
