"""What operations past Pending add to the census, or take from it (operations.md, What counts as disrupted).

A replacement is surge as long as the machine that it comes for counts: both in the base of a percentage would allow
more than there is. It is taken out by its name; and before anybody has named it, every newcomer that it may be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from exuvia.decide.brakes.inflight import InFlight, replacement_of, replaces_first
from exuvia.decide.brakes.times import LARGEST_SKEW
from exuvia.decide.census import Census, Scope, State, Tally
from exuvia.model.reasons import EndReason
from exuvia.model.specs.quarantine import Quarantine, QuarantinePhase
from exuvia.model.specs.rotation import Rotation, RotationPhase

_REPLACED = RotationPhase.CORDONED.rank
_TERMINATING = RotationPhase.TERMINATING.rank


def lay_over(census: Census, flight: InFlight) -> Tally:
    """The census with all of them in it."""
    tally = Tally(census)
    awaiting = list(_awaiting(flight))
    for operation in awaiting:
        replacement = replacement_of(operation)
        if replacement is not None:
            _not_in_base(tally, replacement.uid)
    _take_out_newcomers(tally, flight, awaiting)
    for quarantine in flight.holding:
        _lay_quarantine(tally, quarantine)
    for rotation in flight.started:
        if rotation.uid not in flight.releases:
            _lay_rotation(tally, rotation)
    return tally


def _awaiting(flight: InFlight) -> Iterator[Rotation | Quarantine]:
    """Whose replacement is surge: until the operation ends, or its machine is Held and out of the base."""
    yield from (one for one in flight.started if one.uid not in flight.releases)
    for quarantine in flight.holding:
        if quarantine.status.phase is QuarantinePhase.HELD:
            continue
        yield quarantine
        if quarantine.status.capacity is None:
            yield from _taken_over(quarantine, flight)


def _taken_over(quarantine: Quarantine, flight: InFlight) -> Iterator[Rotation]:
    """A Rotation that it superseded, as long as it has not said what becomes of the replacement."""
    started = quarantine.status.started_at or quarantine.metadata.creation_timestamp
    for one in flight.ended.get(quarantine.spec.instance.uid, ()):
        if not isinstance(one, Rotation) or one.status.reason != EndReason.SUPERSEDED_BY_QUARANTINE:
            continue
        if one.status.finished_at is not None and one.status.finished_at >= started:
            yield one


def _take_out_newcomers(tally: Tally, flight: InFlight, awaiting: list[Rotation | Quarantine]) -> None:
    """Of the machines that joined a pool while a replacement is to come and that nobody has named, as many as are to
    come, in every scope: any of them may be it, also one whose pool is not written on it yet. Those that serve are
    taken first, then the oldest."""
    pools: dict[str, list[datetime]] = {}
    for operation in awaiting:
        since, frozen = _expects_since(operation, tally.census), operation.status.settings
        if since is not None and frozen is not None:
            for pool in {frozen.pool, ""}:
                pools.setdefault(pool, []).append(since)
    for pool, moments in pools.items():
        born = tally.census.born_in(pool, min(moments) - LARGEST_SKEW)
        unclaimed = [uid for uid in born if uid not in flight.claimed and tally.state(uid).in_base]
        taken = Counter[Scope]()
        for uid in sorted(unclaimed, key=lambda one: tally.state(one).disrupted):
            scopes = tally.census.scopes_of(uid, None)
            if any(taken[scope] < len(moments) for scope in scopes):
                taken.update(scopes)
                _not_in_base(tally, uid)


def _expects_since(operation: Rotation | Quarantine, census: Census) -> datetime | None:
    """Since when a machine may have joined that nobody has named: since one was asked for, or, where the pool's owner
    brings one by himself, since the operation began and its machine is being removed. None: there is none to come."""
    replacement = replacement_of(operation)
    begun = operation.status.started_at or operation.metadata.creation_timestamp
    if replacement is not None:
        return None if replacement.uid else replacement.requested_at or begun
    removing = isinstance(operation, Rotation) and (
        operation.status.phase.rank >= _TERMINATING or operation.spec.instance.uid not in census.records
    )
    return begun if removing else None


def _not_in_base(tally: Tally, uid: str) -> None:
    if uid in tally.census.records:
        tally.set(uid, tally.state(uid)._replace(in_base=False))


def _lay_quarantine(tally: Tally, quarantine: Quarantine) -> None:
    uid = quarantine.spec.instance.uid
    if uid not in tally.census.records:
        return  # gone: it costs no brake
    if quarantine.status.phase is QuarantinePhase.HELD:
        tally.set(uid, State())
    else:
        tally.set(uid, tally.state(uid)._replace(disrupted=True, operated=True))


def _lay_rotation(tally: Tally, rotation: Rotation) -> None:
    uid, rank = rotation.spec.instance.uid, rotation.status.phase.rank
    alive = uid in tally.census.records
    seen = tally.census.state(uid)
    spared = replaces_first(rotation) and (rank >= _REPLACED or not seen.disrupted)
    state = State(
        in_base=tally.state(uid).in_base if alive else True,
        disrupted=True,
        not_ready=seen.not_ready and rank < _TERMINATING,
        operated=True,
        spared=spared,
    )
    tally.set(uid, state, rotation.status.settings)
