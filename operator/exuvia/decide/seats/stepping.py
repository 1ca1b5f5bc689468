"""One look at one pool of the operator: the world in, leases to grant and to return out.

Level-based: what happened is told from the difference between the state and the world, so a lost delete event, a
restart or a late look end in the same seats. Nothing is granted by an event alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from exuvia.decide.seats import fitting, saying
from exuvia.decide.seats.advancing import look
from exuvia.decide.seats.metering import moment
from exuvia.model.facts import microseconds
from exuvia.model.instances import Instance
from exuvia.model.seat_views import AgentSign, PoolStep, PoolView
from exuvia.model.seats import (
    Claim,
    ClaimMoment,
    Died,
    Frozen,
    Heard,
    Lapsed,
    ReturnCause,
    SeatEvent,
    Seats,
    Silent,
    Terms,
    Thawed,
    Unserved,
)
from exuvia.model.specs.license_pool import HighWaterStatus, LicensePoolSpec, ReclaimType, SeatCounts

GRAIN = timedelta(seconds=1)
"""The API server tells times in whole seconds: what started within the same second may have started after it."""

_MICROSECOND = timedelta(microseconds=1)


def step(view: PoolView, now: datetime) -> PoolStep:
    """What changes now. The caller enters `told` in the ledger and keeps `seats`; until then nothing is granted."""
    spec = view.pool.spec
    given = terms(spec, heard=view.agents is not None)
    seats, edited = fitting.fitted(view.seats, spec, given, view.instances)
    done = look(seats, given, _events(view, now), now=microseconds(now))
    told = (*edited, *done.told)
    counts = _counts(done.state, spec.seats)
    return PoolStep(
        seats=done.state,
        told=told,
        counts=counts,
        high_water=_high_water(view.pool.status.high_water, done.state, now),
        exhausted=counts.free == 0,
        unmet=_unmet(done.state),
        notes=tuple(saying.notes(view.pool.name, told, before=view.pool.status.seats, counts=counts)),
        next=None if done.next is None else moment(done.next),
    )


def terms(spec: LicensePoolSpec, *, heard: bool) -> Terms:
    """The terms of a pool. Without an agent, or where it cannot be heard now, silence says nothing."""
    listens = spec.agent is not None and heard
    return Terms(
        seats=spec.seats,
        exhaustion=spec.exhaustion,
        grace=spec.grace // _MICROSECOND,
        timeout=spec.heartbeat_timeout // _MICROSECOND if listens else None,
        quarantined=spec.quarantined,
        owes=spec.reclaim.type is ReclaimType.WEBHOOK,
    )


def _events(view: PoolView, now: datetime) -> Iterator[SeatEvent]:
    living = {one.uid for one in view.instances}
    selected = [one for one in view.instances if view.pool.spec.target.selector.matches(one.labels)]
    yield from _gone(view, living, {one.uid for one in selected}, now)
    yield from _quarantines(view, living, now)
    yield from _signs(view, living, {one.uid for one in selected}, now)
    settled, lapsed = _settled(view.seats), {one.uid: one for one in view.seats.lapsed}
    for instance in selected:
        if instance.uid in settled:
            continue
        since = _claims(view, instance, lapsed.get(instance.uid), now)
        if since is not None:
            yield Claim(at=microseconds(since), claimant=fitting.claimant(instance, view.pool.spec))


def _settled(seats: Seats) -> set[str]:
    """Who need not ask: it holds a seat (and is not taken for dead), waits, or was denied one."""
    holders = {one.uid for one in seats.leases if one.due is None}
    return holders | {one.uid for one in seats.waiting} | {one.uid for one in seats.denied}


def _gone(view: PoolView, living: set[str], selected: set[str], now: datetime) -> Iterator[SeatEvent]:
    """Deaths, known or found by looking; and what the pool no longer selects."""
    for uid in _known(view.seats):
        if uid in living:
            if uid not in selected:
                yield Unserved(at=microseconds(now), uid=uid)
            continue
        died = view.deaths.get(uid)
        if died is None:
            yield Died(at=microseconds(now), uid=uid, cause=ReturnCause.RECONCILE)
        else:
            yield Died(at=microseconds(min(died, now)), uid=uid)


def _known(seats: Seats) -> list[str]:
    """Everybody that holds a seat (and is not known to be dead), waits, was denied or has lapsed."""
    holders = [one.uid for one in seats.leases if one.due is None]
    wanting = [one.uid for one in seats.waiting] + [one.uid for one in seats.denied]
    return holders + wanting + [one.uid for one in seats.lapsed]


def _quarantines(view: PoolView, living: set[str], now: datetime) -> Iterator[SeatEvent]:
    at = microseconds(now)
    yield from (Frozen(at=at, uid=uid) for uid in sorted(view.quarantined & living - view.seats.frozen))
    yield from (Thawed(at=at, uid=uid) for uid in sorted(view.seats.frozen - view.quarantined))


def _signs(view: PoolView, living: set[str], selected: set[str], now: datetime) -> Iterator[SeatEvent]:
    """A ready agent is heard now; one that is not was heard until it ceased to be ready."""
    agents = view.agents or {}
    holders = {one.uid for one in view.seats.leases}
    lapsed = {one.uid for one in view.seats.lapsed}
    for uid, sign in agents.items():
        concerns = uid in selected or uid in lapsed or uid not in living
        if sign.ready and concerns:
            yield Heard(at=microseconds(now), uid=uid)
        elif uid in holders:
            yield Heard(at=microseconds(min(sign.since, now)), uid=uid)
    for uid in sorted(view.seats.ghosts):
        if uid not in agents or not agents[uid].ready:
            yield Silent(at=microseconds(now), uid=uid)


def _claims(view: PoolView, instance: Instance, lapsed: Lapsed | None, now: datetime) -> datetime | None:
    """Since when a living, selected instance asks for a seat; None: it does not."""
    sign = (view.agents or {}).get(instance.uid)
    if lapsed is not None:
        return _again(lapsed, sign, now, frozen=instance.uid in view.quarantined)
    if view.pool.spec.claim is ClaimMoment.AT_BIRTH:
        return min(instance.born, now)
    return min(sign.since, now) if sign is not None and sign.ready else None


def _again(lapsed: Lapsed, sign: AgentSign | None, now: datetime, *, frozen: bool) -> datetime | None:
    """Who lost its seat asks anew at the end of the queue: by an agent that started anew after it expired, or at the
    end of its quarantine."""
    if lapsed.cause is ReturnCause.RELEASE:
        return None if frozen else now
    started = sign is not None and sign.ready and sign.started + GRAIN > moment(lapsed.at)
    return now if started else None


def _counts(seats: Seats, total: int) -> SeatCounts:
    used = len(seats.leases)
    return SeatCounts(
        total=total,
        used=used,
        free=max(0, total - used),
        queued=len(seats.waiting),
        overcommitted=max(0, used - total),
        ghosts=len(seats.ghosts),
    )


def _unmet(seats: Seats) -> int:
    """Living instances that want a seat and have none."""
    return len(seats.waiting) + len(seats.denied) + sum(one.cause is ReturnCause.EXPIRY for one in seats.lapsed)


def _high_water(former: HighWaterStatus, seats: Seats, now: datetime) -> HighWaterStatus:
    """The highest of this calendar month."""
    used = len(seats.leases)
    demanded = sum(one.due is None for one in seats.leases) + _unmet(seats)
    same = former.at is not None and (former.at.year, former.at.month) == (now.year, now.month)
    if same and used <= former.used and demanded <= former.demanded:
        return former
    floor = former if same else HighWaterStatus()
    return HighWaterStatus(
        used=max(used, floor.used), demanded=max(demanded, floor.demanded), at=now.replace(microsecond=0)
    )
