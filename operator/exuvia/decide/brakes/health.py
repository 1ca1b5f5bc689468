"""Health: the floor below which nothing starts, the storm when it is broken, and leases that make us suspect ourselves.

Storm and leases need two bad machines at least: in a fleet of two, one bad machine is just the one to replace.
"""

from __future__ import annotations

from datetime import datetime

from exuvia.decide.brakes.amounts import allowance, requirement
from exuvia.decide.brakes.picture import Candidate, Picture
from exuvia.decide.brakes.times import utc
from exuvia.decide.census import Counts
from exuvia.model.blocking import Blocked
from exuvia.model.planning import Moment
from exuvia.model.reasons import BlockedReason
from exuvia.model.specs.fleet_guard import FleetGuardSpec, StormStatus

LEAST_BAD = 2
_NO_STORM = StormStatus()


def above_floor(candidate: Candidate, picture: Picture) -> Blocked | None:
    """FleetGuard minHealthy. A ReplaceFirst start takes nothing from health; another takes its machine, if healthy."""
    counts, amount = picture.fleet, picture.guard.min_healthy
    floor = requirement(amount, counts.base)
    if floor is None:
        message = f"FleetGuard minHealthy {amount!r} is no amount, so nothing starts; write one like 60%"
        return Blocked(reason=BlockedReason.HEALTH_FLOOR, message=message)
    if _broken(counts, floor) or _would_break(candidate, picture, floor):
        message = (
            f"FleetGuard minHealthy asks for {floor} healthy of {counts.base} machines, and "
            f"{counts.healthy} are; it would go below"
        )
        return Blocked(reason=BlockedReason.HEALTH_FLOOR, message=message)
    return None


def _broken(counts: Counts, floor: int) -> bool:
    """Whether the floor is broken already, by two machines at least that no ReplaceFirst Rotation stands in for."""
    lost = counts.lost - counts.spared
    return lost >= LEAST_BAD and counts.base - lost < floor


def _would_break(candidate: Candidate, picture: Picture, floor: int) -> bool:
    state = picture.tally.state(candidate.uid)
    takes = state.in_base and not state.disrupted
    if not takes or picture.fleet.healthy - 1 >= floor:
        return False
    return not picture.replaces_first(candidate)


def stormy(counts: Counts, guard: FleetGuardSpec) -> bool:
    """Whether so many machines are NotReady that `minHealthy` is broken. A floor that does not parse is no storm, but
    nothing starts then either."""
    floor = requirement(guard.min_healthy, counts.base)
    return counts.not_ready >= LEAST_BAD and floor is not None and counts.base - counts.not_ready < floor


def storm_now(moment: Moment, counts: Counts, now: datetime, *, trusted: bool) -> StormStatus | None:
    """The storm as it stands: what FleetGuard's status remembers, moved on. None: there is none.

    It ends only after `stormCooldown` without a break, and only a view that can be trusted says that it is calm.
    """
    if moment.guard is None:
        return None
    was = moment.guard.status.storm or _NO_STORM
    if trusted and stormy(counts, moment.guard.spec):
        return StormStatus(since=was.since or now)
    if was.since is None:
        return None
    if not trusted:
        return StormStatus(since=was.since)
    calm_since = min(utc(was.calm_since), now) if was.calm_since else now
    if now - calm_since >= moment.guard.spec.storm_cooldown:
        return None
    return StormStatus(since=was.since, calm_since=calm_since)


def storm_blocked(storm: StormStatus | None, guard: FleetGuardSpec) -> Blocked | None:
    """What a storm says to starts and evictions."""
    if storm is None:
        return None
    message = "so many machines are NotReady at once that FleetGuard minHealthy is broken; nothing is disrupted"
    if storm.calm_since is None:
        return Blocked(reason=BlockedReason.STORM, message=message)
    until = storm.calm_since + guard.storm_cooldown
    message = (
        "a storm of NotReady machines has just passed; nothing is disrupted until FleetGuard stormCooldown is over"
    )
    return Blocked(reason=BlockedReason.STORM, message=message, next=until)


def calm(_candidate: Candidate, picture: Picture) -> Blocked | None:
    """No start in a storm."""
    return storm_blocked(picture.storm, picture.guard)


def expired_leases(moment: Moment, machines: int) -> Blocked | None:
    """Whether more node leases look expired than `maxLeaseExpiry` allows: then it is rather we who see badly. A list
    without any lease, of a fleet of two or more, is an empty read."""
    if moment.leases is None or moment.guard is None:
        return None
    expired, total = moment.leases
    if not total and machines >= LEAST_BAD:
        message = "no node lease was listed at all; an empty answer is not believed, and nothing is disrupted"
        return Blocked(reason=BlockedReason.LEASES_EXPIRED, message=message)
    allowed = allowance(moment.guard.spec.max_lease_expiry, total)
    if expired < LEAST_BAD or expired <= allowed.count:
        return None
    message = f"{expired} of {total} node leases look expired, FleetGuard maxLeaseExpiry allows {allowed.count}; "
    why = allowed.problem or "more at once says that we see badly, and nothing is disrupted"
    return Blocked(reason=BlockedReason.LEASES_EXPIRED, message=message + why)


def leases_fresh(_candidate: Candidate, picture: Picture) -> Blocked | None:
    """No start while too many leases look expired."""
    return expired_leases(picture.moment, picture.fleet.base)
