"""Candidates: which machines an operation could start on, in the order in which starts are granted.

Operations that wait come first, older ones before younger; then wishes by severity, oldest machine, UID. Quarantines
come before Rotations, and exuvia's own machine last.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from exuvia.decide.brakes.inflight import InFlight, age
from exuvia.decide.brakes.picture import QUARANTINE, ROTATION, Candidate, Picture
from exuvia.decide.census import Record
from exuvia.model.findings import Wish
from exuvia.model.specs.quarantine import Quarantine, QuarantinePhase, ReleaseVerdict
from exuvia.model.specs.rotation import Rotation, RotationPhase
from exuvia.model.specs.security_policy import Action

_NO_REQUEST = datetime.max.replace(tzinfo=UTC)
_KINDS = {Action.ROTATE: ROTATION, Action.QUARANTINE: QUARANTINE}


def candidates(picture: Picture) -> list[Candidate]:
    """All of them, in order."""
    found = [*_waiting(picture), *_wished(picture)]
    own = picture.moment.own.node_name
    return sorted(found, key=lambda one: _order(one, own))


def _order(one: Candidate, own: str) -> tuple[bool, bool, datetime, int, datetime, str]:
    requested = age(one.operation)[0] if one.operation is not None else _NO_REQUEST
    is_own = bool(own) and one.instance.name == own
    return (one.kind == ROTATION, is_own, requested, -one.severity.rank, one.instance.born, one.uid)


def _waiting(picture: Picture) -> Iterator[Candidate]:
    for operation in picture.flight.pending:
        record = picture.tally.census.records.get(operation.spec.instance.uid)
        if record is None or not grantable(operation, picture.flight):
            continue
        wish = _acting(record, picture) if operation.spec.policy is not None else None
        if isinstance(operation, Rotation) and wish is None and not _stands_alone(operation, picture):
            continue  # nobody wants it any more: its own step calls it off
        kind = ROTATION if isinstance(operation, Rotation) else QUARANTINE
        yield Candidate(kind=kind, subject=record.subject, instance=record.instance, wish=wish, operation=operation)


def _stands_alone(rotation: Rotation, picture: Picture) -> bool:
    """Whether it needs no policy to want it: a person asked for it, or it carries out a release."""
    return rotation.spec.policy is None or rotation.uid in picture.flight.releases


def grantable(operation: Rotation | Quarantine, flight: InFlight) -> bool:
    """Whether a waiting operation is one that the sweep may start: not called off, no duplicate, no heir. Of
    Rotations that wait the one that carries out a release comes before older ones, which wait for that very release."""
    uid = operation.spec.instance.uid
    if isinstance(operation, Rotation):
        others = [one for one in flight.rotations[uid] if one.uid != operation.uid]
        called_off = bool(operation.spec.abort) or operation.deleting
        started = any(one.status.phase is not RotationPhase.PENDING for one in others)
        first = min(flight.rotations[uid], key=lambda one: (one.uid not in flight.releases, age(one)))
        return not called_off and not started and first.uid == operation.uid
    same = [one for one in flight.quarantines[uid] if one.uid != operation.uid]
    release = operation.spec.release
    returned = release is not None and release.verdict is ReleaseVerdict.RETURN
    under_way = any(one.status.phase is not QuarantinePhase.PENDING for one in same)
    oldest = flight.quarantines[uid][0].uid == operation.uid
    return oldest and not returned and not under_way and not _recovers(operation, flight)


def _recovers(quarantine: Quarantine, flight: InFlight) -> bool:
    """Whether it goes on with a Quarantine that had started: an heir marks its machine by itself, and is no start."""
    former = flight.named_quarantines.get(quarantine.spec.inherited_from or "")
    return former is not None and former.status.started_at is not None


def _wished(picture: Picture) -> Iterator[Candidate]:
    records, flight = picture.tally.census.records, picture.flight
    for uid in picture.tally.census.wishes:
        record = records[uid]
        wish = _acting(record, picture)
        if wish is None:
            continue
        kind = _KINDS[wish.action]
        if uid in (flight.rotations if kind == ROTATION else flight.quarantines):
            continue
        yield Candidate(kind=kind, subject=record.subject, instance=record.instance, wish=wish)


def _acting(record: Record, picture: Picture) -> Wish | None:
    """What its policies want of it, if that policy is there, enforces and selects it."""
    wish = record.subject.wish
    if wish is None or not wish.enforced or wish.action not in _KINDS or wish.uid != record.subject.uid:
        return None
    policy = picture.policies.get(wish.policy)
    if policy is None or not policy.enforces or policy.uid != wish.policy_uid:
        return None
    return wish if wish.policy in record.subject.selecting else None
