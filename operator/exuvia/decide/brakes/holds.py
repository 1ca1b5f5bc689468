"""Holds: what keeps an operation that has started from its next disruptive write. Starts have brakes of their own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from exuvia.decide.brakes import control_plane, health, knowledge, pause
from exuvia.decide.brakes.picture import CONTROL_PLANE, Picture
from exuvia.decide.census import FLEET, Census
from exuvia.model.blocking import Blocked
from exuvia.model.planning import Moment
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation


@dataclass(frozen=True, slots=True, kw_only=True)
class Holds:
    """Why an open operation must wait. None: it need not."""

    hold: Blocked | None = None  # no disruptive write at all
    eviction_hold: Blocked | None = None  # nothing may be evicted or removed (`hold` counts too)
    removal_hold: Blocked | None = None  # the machine may not be removed (the others count too)


def standing_hold(operation: Rotation | Quarantine | None, moment: Moment, now: datetime) -> Blocked | None:
    """Why no disruptive write may be made for this operation now: a pause, a view that cannot be trusted, brakes that
    cannot be read (a person's Quarantine goes on), and for a Quarantine a wrong clock, which leaves it marks and
    evidence. Recovery is never held: whoever restores does not ask."""
    found = pause.paused(moment.guard, now) or knowledge.untrusted_view(moment.view, now)
    if found is None and not knowledge.persons_quarantine(operation):
        found = knowledge.unreadable_guard(moment)
    if found is None and isinstance(operation, Quarantine):
        found = knowledge.skewed_clock(moment.clock_skew)
    return found


def eviction_hold(operation: Rotation | Quarantine | None, picture: Picture) -> Blocked | None:
    """Why nothing may be evicted or removed now: a storm, or too many expired leases. A Rotation that carries out a
    release is not held by them: its machine serves nothing any more."""
    if operation is not None and operation.uid in picture.flight.releases:
        return None
    storm = health.storm_blocked(picture.storm, picture.guard)
    return storm or health.expired_leases(picture.moment, picture.fleet.base)


def may_hold_evictions(moment: Moment, census: Census) -> bool:
    """Whether a storm or the leases can hold anything now, by what is seen alone. Operations take machines out of what
    a storm is counted from and put none in, so False is certain, and True is to be looked at closely."""
    if moment.guard is None:
        return False
    remembered = moment.guard.status.storm is not None and moment.guard.status.storm.since is not None
    expired, total = moment.leases or (0, 1)
    leases = not total or expired >= health.LEAST_BAD
    return remembered or leases or census.counts(FLEET).not_ready >= health.LEAST_BAD


def is_member(uid: str, operation: Rotation | Quarantine | None, census: Census) -> bool:
    """Whether the machine is there and of the control plane, as it is or as its operation recorded."""
    frozen = operation.status.settings if operation is not None else None
    member = uid in census.control_plane or (frozen is not None and frozen.role == CONTROL_PLANE)
    return member and uid in census.records


def removal_hold(uid: str, operation: Rotation | Quarantine | None, picture: Picture) -> Blocked | None:
    """Why the machine of that UID may not be removed now: it is of the control plane, and another one is not well."""
    member = is_member(uid, operation, picture.tally.census)
    return control_plane.rotation_quorum(uid, picture) if member else None
