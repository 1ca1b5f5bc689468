"""Rotation: the operation that replaces one machine. It is the memory of what is in flight (operations.md)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from exuvia.model.specs.common import (
    ConditionStatus,
    Name,
    Resource,
    Time,
)
from exuvia.model.specs.operation import DrainStatus, OperationSpec, OperationStatus, ReplacementStatus, fixed


class RotationPhase(StrEnum):
    """Where a Rotation stands. Phases go forward, or to Failed or Aborted."""

    PENDING = "Pending"  # waits for brakes
    REPLACING = "Replacing"  # waits for a good replacement (ReplaceFirst)
    CORDONED = "Cordoned"  # the machine takes nothing new
    DRAINING = "Draining"  # its pods leave
    DRAINED = "Drained"  # a fresh list shows none; volumes are detached or timed out
    TERMINATING = "Terminating"  # its removal was asked for
    SUCCEEDED = "Succeeded"  # it is gone (and replaced)
    FAILED = "Failed"  # a time limit, no replacement, a refusal that stays
    ABORTED = "Aborted"  # called off and undone

    @property
    def ended(self) -> bool:
        """Whether nothing more happens."""
        return self in (RotationPhase.SUCCEEDED, RotationPhase.FAILED, RotationPhase.ABORTED)

    @property
    def rank(self) -> int:
        """Its place in the order of phases."""
        return list(RotationPhase).index(self)


class RotationSpec(OperationSpec):
    """Which machine, and why."""

    KIND: ClassVar[str] = "Rotation"
    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                *fixed(("policy", "rule", "severity", "reason", "requestedBy", "releasedFrom")),
                {"rule": "self.instance == oldSelf.instance", "message": "`instance` may not change"},
                {
                    "rule": "!has(oldSelf.abort) || !oldSelf.abort || (has(self.abort) && self.abort)",
                    "message": "`abort` may not be taken back; make another Rotation",
                },
            ]
        }
    )
    released_from: Name | None = None
    """The Quarantine whose verdict Rotate this carries out; set by exuvia only."""
    abort: bool | None = None
    """Write true to call it off: what exuvia set is put back. It counts until the removal of the machine was asked for,
    and may not be taken back."""


class RotationStatus(OperationStatus):
    """Where it stands, and all that a new leader needs to go on."""

    phase: RotationPhase = RotationPhase.PENDING
    """Where it stands. Phases go forward only."""
    reason: Annotated[str, Field(max_length=64)] = ""
    """Why it ends or ended, as one CamelCase word; empty while it is under way."""
    conditions: Annotated[tuple[ConditionStatus, ...], Field(max_length=16)] = ()
    """Succeeded (for `kubectl wait`) and Blocked."""
    replacement: ReplacementStatus | None = None
    """The machine that takes over; unset until one was asked for or found."""
    drain: DrainStatus | None = None
    """How far the drain is; unset until it begins."""
    attempts: Annotated[int, Field(ge=0)] = 0
    """How many requests to the provider failed for good; part of the key of the next one."""
    unwanted_since: Time | None = None
    """Since when no enforcing policy wants it any more because its policy was deleted; 60 s later it is called off."""
    restored: bool | None = None
    """Whether `before` was put back."""


class Rotation(Resource):
    """A Rotation as the API server holds it."""

    KIND: ClassVar[str] = RotationSpec.KIND
    spec: RotationSpec
    status: RotationStatus = RotationStatus()

    @property
    def open(self) -> bool:
        """Whether something is still to happen."""
        return not self.status.phase.ended
