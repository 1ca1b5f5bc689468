"""What is in flight and what has ended: one walk over all operations of a moment, sorted by what brakes ask for."""

from __future__ import annotations

from datetime import datetime, timedelta

from exuvia.model.planning import Moment
from exuvia.model.specs.operation import ReplacementStatus
from exuvia.model.specs.quarantine import Quarantine, QuarantinePhase, ReleaseVerdict
from exuvia.model.specs.rotation import Rotation, RotationPhase
from exuvia.model.specs.security_policy import Strategy

HOUR = timedelta(hours=1)


class InFlight:
    """Operations by machine, started or waiting; ended ones by machine and pool; the starts of the last hour."""

    def __init__(self, moment: Moment, since: datetime | None = None) -> None:
        """`since`: how far back `last_start` looks; None: not at all."""
        self.rotations: dict[str, list[Rotation]] = {}  # open, by instance UID, oldest first
        self.quarantines: dict[str, list[Quarantine]] = {}
        self.started: list[Rotation] = []  # open and past Pending
        self.holding: list[Quarantine] = []  # open and past Pending
        self.pending: list[Rotation | Quarantine] = []
        self.ended: dict[str, list[Rotation | Quarantine]] = {}  # by instance UID, in no order
        self.finished: dict[str, list[Rotation]] = {}  # succeeded or failed, by pool, in no order
        self.last_start: dict[str, datetime] = {}  # policy -> when a Rotation of what it selects last started
        self.releases: set[str] = set()  # UIDs of Rotations that carry out the verdict on a quarantined machine
        self.claimed: set[str] = set()  # UIDs of machines that any operation, open or ended, names as its replacement
        self.named_quarantines = {one.name: one for one in moment.quarantines}
        self.names = {"Rotation": [one.name for one in moment.rotations], "Quarantine": [*self.named_quarantines]}
        for quarantine in sorted((one for one in moment.quarantines if one.open), key=age):
            self._quarantine(quarantine)
        for rotation in sorted((one for one in moment.rotations if one.open), key=age):
            self._rotation(rotation)
        everything: list[Rotation | Quarantine] = [*moment.rotations, *moment.quarantines]
        for operation in everything:
            replacement = replacement_of(operation)
            if replacement is not None and replacement.uid:
                self.claimed.add(replacement.uid)
            if not operation.open:
                self._put_away(operation)
        if since is not None:
            self._note_starts(moment, since)

    def _put_away(self, operation: Rotation | Quarantine) -> None:
        """What has ended."""
        status = operation.status
        self.ended.setdefault(operation.spec.instance.uid, []).append(operation)
        if isinstance(operation, Rotation) and status.settings and status.phase is not RotationPhase.ABORTED:
            self.finished.setdefault(status.settings.pool, []).append(operation)

    def _rotation(self, rotation: Rotation) -> None:
        self.rotations.setdefault(rotation.spec.instance.uid, []).append(rotation)
        (self.pending if rotation.status.phase is RotationPhase.PENDING else self.started).append(rotation)
        former = self.named_quarantines.get(rotation.spec.released_from or "")
        if former is not None and _carries_out(rotation, former):
            self.releases.add(rotation.uid)

    def _quarantine(self, quarantine: Quarantine) -> None:
        self.quarantines.setdefault(quarantine.spec.instance.uid, []).append(quarantine)
        (self.pending if quarantine.status.phase is QuarantinePhase.PENDING else self.holding).append(quarantine)

    def _note_starts(self, moment: Moment, since: datetime) -> None:
        for rotation in moment.rotations:
            at = started_at(rotation)
            if at is not None and at > since:
                for name in _policies_of(rotation):
                    self.note_start_of(name, at)

    def note_start_of(self, policy: str, at: datetime) -> None:
        """A Rotation of what this policy selects started then."""
        known = self.last_start.get(policy)
        if known is None or at > known:
            self.last_start[policy] = at


def _policies_of(rotation: Rotation) -> set[str]:
    """The policies that selected its machine, and the one that wanted it."""
    frozen = rotation.status.settings
    names = {one.name for one in frozen.policies} if frozen else set()
    return names | {rotation.spec.policy.name} if rotation.spec.policy else names


def age(operation: Rotation | Quarantine) -> tuple[datetime, str]:
    """The order of requests: older first, then by name."""
    return operation.metadata.creation_timestamp, operation.name


def _carries_out(rotation: Rotation, quarantine: Quarantine) -> bool:
    """Whether that Quarantine of the same machine really was released to be rotated: a bare claim lifts no brake."""
    if quarantine.spec.instance.uid != rotation.spec.instance.uid:
        return False
    accepted = quarantine.status.release_accepted
    asked = accepted is not None and accepted.verdict is ReleaseVerdict.ROTATE
    return asked or quarantine.status.release_rotation == rotation.name


def started_at(operation: Rotation | Quarantine) -> datetime | None:
    """When it left Pending; None when it never did."""
    if operation.status.started_at is not None:
        return operation.status.started_at
    waits = operation.status.phase in (RotationPhase.PENDING, QuarantinePhase.PENDING)
    return None if waits or operation.status.phase.ended else operation.metadata.creation_timestamp


def replacement_of(operation: Rotation | Quarantine) -> ReplacementStatus | None:
    """The machine that comes for the one that it takes away."""
    if isinstance(operation, Rotation):
        return operation.status.replacement
    return operation.status.capacity.replacement if operation.status.capacity else None


def replaces_first(rotation: Rotation) -> bool:
    """Whether it brings the replacement first, as frozen when it started."""
    frozen = rotation.status.settings.rotation if rotation.status.settings else None
    return (frozen.strategy if frozen else Strategy.DRAIN_FIRST) is Strategy.REPLACE_FIRST


def starts_within_hour(moment: Moment, kind: str, now: datetime) -> list[datetime]:
    """Starts of the last hour, oldest first: of operations that are there, and as the ledger remembers the others.
    An heir's Quarantine is no start."""
    operations: tuple[Rotation | Quarantine, ...] = moment.rotations if kind == "Rotation" else moment.quarantines
    begun = [(one, at) for one in operations if (at := started_at(one)) is not None]
    known = {one.uid for one, _ in begun}
    found = [at for one, at in begun if not _inherited(one)]
    found += [one.at for one in moment.starts if one.kind == kind and one.operation not in known]
    return sorted(at for at in found if now - at < HOUR)


def _inherited(operation: Rotation | Quarantine) -> bool:
    return isinstance(operation, Quarantine) and bool(operation.spec.inherited_from)
