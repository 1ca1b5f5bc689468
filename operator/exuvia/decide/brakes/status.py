"""How every brake of the fleet stands, for FleetGuard's status and `exuvia_brake_engaged{brake}`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from exuvia.decide.brakes import acting, health, knowledge, pause, rates
from exuvia.decide.brakes.amounts import allowance, requirement
from exuvia.decide.brakes.picture import Picture
from exuvia.model.specs.fleet_guard import BrakeStatus

ENGAGED, RELEASED = "Engaged", "Released"


def brake_statuses(picture: Picture) -> tuple[BrakeStatus, ...]:
    """All brakes by name. `since` is kept while a state lasts; reasons hold no numbers that change all the time."""
    guard = picture.moment.guard
    former = {one.name: one for one in guard.status.brakes} if guard else {}
    return tuple(_status(name, reason, former.get(name), picture.now) for name, reason in _reasons(picture))


def _status(name: str, reason: str, former: BrakeStatus | None, now: datetime) -> BrakeStatus:
    state = ENGAGED if reason else RELEASED
    since = former.since if former is not None and former.state == state and former.since else now
    return BrakeStatus(name=name, state=state, since=since, reason=reason[:1024])


def _reasons(picture: Picture) -> Iterator[tuple[str, str]]:
    """(name, why it holds starts now; "" where it does not)."""
    moment, now = picture.moment, picture.now
    blocked = {
        "readOnly": acting.only_watching(moment),
        "uninstall": acting.leaving(moment),
        "pause": pause.paused(moment.guard, now),
        "view": knowledge.untrusted_view(moment.view, now),
        "clock": knowledge.skewed_clock(moment.clock_skew),
        "storm": health.storm_blocked(picture.storm, picture.guard),
        "leases": health.expired_leases(moment, picture.fleet.base),
    }
    for name, found in blocked.items():
        yield name, found.message if found else ""
    yield "ledger", knowledge.ledger_trouble(moment.ledger)
    yield "pools", _pools(picture)
    yield from _caps(picture)


def _pools(picture: Picture) -> str:
    named = ", ".join(sorted(one or "(none)" for one in picture.halted))
    return f"halted after failed replacements: {named}" if named else ""


def _caps(picture: Picture) -> Iterator[tuple[str, str]]:
    guard, fleet = picture.guard, picture.fleet
    floor = requirement(guard.min_healthy, fleet.base)
    yield "minHealthy", "no healthy machine can be spared" if floor is None or fleet.healthy <= floor else ""
    unavailable = allowance(guard.max_unavailable, fleet.base, replace_first=True)
    yield "maxUnavailable", "no more Rotations at once" if fleet.disrupted >= unavailable.count else ""
    rate = rates.rotation_rate(picture, replace_first=True)
    yield "maxPerHour", "no more Rotation starts in this hour" if len(picture.rotation_starts) >= rate.count else ""
    yield "oneZoneAtATime", _zones(picture)
    frozen = allowance(guard.quarantine.max_at_once, fleet.base)
    yield "quarantineMaxAtOnce", "no more Quarantines at once" if len(picture.held) >= frozen.count else ""
    hourly = allowance(guard.quarantine.max_per_hour, fleet.base)
    used_up = len(picture.quarantine_starts) >= hourly.count
    yield "quarantineMaxPerHour", "no more Quarantine starts in this hour" if used_up else ""


def _zones(picture: Picture) -> str:
    if not picture.guard.one_zone_at_a_time or not picture.zones:
        return ""
    named = ", ".join(sorted(one or "(none)" for one in picture.zones))
    return f"Rotations are under way in zone {named}; new ones start only there"
