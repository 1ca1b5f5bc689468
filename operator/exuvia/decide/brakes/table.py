"""The table of brakes: which of them hold which start, in the order in which they are asked (operations.md).

What holds everything comes first, then what the machine itself says, then what passes with time, and last what costs
most to find out. The first that holds is the answer; `explain` asks all.
"""

from __future__ import annotations

from collections.abc import Callable

from exuvia.decide.brakes.acting import acts
from exuvia.decide.brakes.budgets import within_budgets, within_max_unavailable, within_quarantine_cap
from exuvia.decide.brakes.control_plane import one_at_a_time, quorum_kept
from exuvia.decide.brakes.health import above_floor, calm, leases_fresh
from exuvia.decide.brakes.knowledge import (
    known_guard,
    known_view,
    ledger_for_quarantine,
    ledger_for_rotation,
    right_clock,
)
from exuvia.decide.brakes.machine import (
    node_agrees,
    not_backing_off,
    not_pinned,
    not_quarantined,
    pods_agree,
    pool_not_halted,
    replaceable,
)
from exuvia.decide.brakes.pause import not_paused
from exuvia.decide.brakes.picture import ROTATION, Candidate, Picture
from exuvia.decide.brakes.rates import interval_passed, within_quarantine_rate, within_rotation_rate
from exuvia.decide.brakes.windows import window_open
from exuvia.decide.brakes.zones import same_zone
from exuvia.model.blocking import Blocked

Brake = Callable[[Candidate, Picture], Blocked | None]

POLICY_BRAKES: tuple[Brake, ...] = (not_backing_off, pool_not_halted)
"""What concerns a policy's operations only, not a person's."""

ROTATION_BRAKES: tuple[Brake, ...] = (
    acts,
    not_paused,
    known_guard,
    known_view,
    right_clock,
    ledger_for_rotation,
    not_quarantined,
    node_agrees,
    not_pinned,
    quorum_kept,
    not_backing_off,
    pool_not_halted,
    calm,
    leases_fresh,
    window_open,
    interval_passed,
    within_rotation_rate,
    within_max_unavailable,
    same_zone,
    within_budgets,
    replaceable,
    above_floor,
    pods_agree,
)
RELEASE_BRAKES: tuple[Brake, ...] = (
    acts,
    not_paused,
    known_guard,
    known_view,
    ledger_for_rotation,
    not_pinned,
    quorum_kept,
)
"""What holds the Rotation of a quarantined machine that was released for it."""

QUARANTINE_BRAKES: tuple[Brake, ...] = (
    acts,
    not_paused,
    known_guard,
    known_view,
    ledger_for_quarantine,
    one_at_a_time,
    not_backing_off,
    within_quarantine_cap,
    within_quarantine_rate,
    within_budgets,
)
_MANUAL_ROTATION_BRAKES = tuple(one for one in ROTATION_BRAKES if one not in POLICY_BRAKES)
_MANUAL_QUARANTINE_BRAKES = tuple(one for one in QUARANTINE_BRAKES if one not in POLICY_BRAKES)


def brakes_for(candidate: Candidate, picture: Picture) -> tuple[Brake, ...]:
    """The brakes that concern this start."""
    if picture.carries_out_release(candidate):
        return RELEASE_BRAKES
    if candidate.kind == ROTATION:
        return _MANUAL_ROTATION_BRAKES if candidate.manual else ROTATION_BRAKES
    return _MANUAL_QUARANTINE_BRAKES if candidate.manual else QUARANTINE_BRAKES


def first_hold(candidate: Candidate, picture: Picture) -> Blocked | None:
    """The first brake that holds this start, or None: it may start."""
    for brake in brakes_for(candidate, picture):
        blocked = brake(candidate, picture)
        if blocked is not None:
            return blocked
    return None


def all_holds(candidate: Candidate, picture: Picture) -> tuple[Blocked, ...]:
    """Every brake that holds this start, in the order of the table."""
    found = (brake(candidate, picture) for brake in brakes_for(candidate, picture))
    return tuple(one for one in found if one is not None)
