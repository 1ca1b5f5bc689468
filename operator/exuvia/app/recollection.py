"""What a person called off and then deleted: the objects are gone, and still nothing is opened anew for 24 h.

Everything else about operations is derived from those that are there (operations.md, What they carry).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from exuvia.app.operations import Operation
from exuvia.decide.backoff import CALLED_OFF, called_off_by, ended_at
from exuvia.model.reasons import EndReason
from exuvia.model.specs.quarantine import Quarantine, QuarantinePhase
from exuvia.model.specs.rotation import Rotation, RotationPhase
from exuvia.record.recall import CalledOff
from exuvia.report.conditions import stamp


class Recollection:
    """Ended operations by UID, for as long as they hold anything."""

    def __init__(self) -> None:
        self._ended: dict[str, Operation] = {}

    def remember(self, ended: Iterable[Operation], now: datetime) -> None:
        """Keep those that a person called off, and forget what is too old."""
        self._ended |= {one.uid: one for one in ended if called_off_by(one)}
        self._ended = {uid: one for uid, one in self._ended.items() if now < ended_at(one) + CALLED_OFF}

    def rotations(self, there: Iterable[Rotation]) -> tuple[Rotation, ...]:
        """Those that are there, and those that are remembered."""
        found = {uid: one for uid, one in self._ended.items() if isinstance(one, Rotation)}
        return tuple((found | {one.uid: one for one in there}).values())

    def quarantines(self, there: Iterable[Quarantine]) -> tuple[Quarantine, ...]:
        """Those that are there, and those that are remembered."""
        found = {uid: one for uid, one in self._ended.items() if isinstance(one, Quarantine)}
        return tuple((found | {one.uid: one for one in there}).values())


def rotation(told: CalledOff) -> Rotation:
    """As far as the ledger tells of it."""
    return Rotation.parse(_object(told, phase=str(RotationPhase.ABORTED), reason=str(EndReason.CALLED_OFF)))


def quarantine(told: CalledOff) -> Quarantine:
    """The same of one that a person released."""
    release = {"by": told.by or "unknown", "verdict": told.verdict}
    phase, reason = str(QuarantinePhase.RELEASED), str(EndReason.RELEASED)
    return Quarantine.parse(_object(told, phase=phase, reason=reason, releaseAccepted=release))


def _object(told: CalledOff, **status: Any) -> dict[str, Any]:
    policy = {"policy": {"name": told.policy, "uid": "unknown"}, "rule": told.rule} if told.policy else {}
    moment = stamp(told.ended)
    return {
        "metadata": {"name": told.name, "uid": told.uid, "creationTimestamp": moment},
        "spec": {"instance": {"kind": "Node", "name": told.name, "uid": told.instance}, **policy},
        "status": {"finishedAt": moment, **status},
    }
