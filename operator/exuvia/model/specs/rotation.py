"""Rotation: the operation that replaces one machine. It is the memory of what is in flight (operations.md)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field

from exuvia.model.specs.common import (
    BeforeStatus,
    BlockedStatus,
    ConditionStatus,
    InstanceReference,
    LedgerStatus,
    Name,
    PolicyReference,
    Resource,
    RuleName,
    SpecModel,
    StatusModel,
    StepStatus,
    Text,
    Time,
)
from exuvia.model.specs.security_policy import DrainSettings, QuarantineSettings, RotationSettings, Severity


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


def _fixed(fields: tuple[str, ...]) -> list[Any]:
    """CEL, field by field: comparing whole specs exceeds the cost budget of the API server."""
    return [
        {
            "rule": f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || self.{name} == oldSelf.{name})",
            "message": f"`{name}` may not change; make another operation",
        }
        for name in fields
    ]


EPOCH_RULE: Any = {
    "rule": "!has(oldSelf.epoch) || (has(self.epoch) && self.epoch >= oldSelf.epoch)",
    "message": "`epoch` must not decrease: a newer leader acts",
}


class RotationSpec(SpecModel):
    """Which machine, and why."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                *_fixed(("policy", "rule", "severity", "reason", "requestedBy", "releasedFrom")),
                {"rule": "self.instance == oldSelf.instance", "message": "`instance` may not change"},
                {
                    "rule": "!has(oldSelf.abort) || !oldSelf.abort || (has(self.abort) && self.abort)",
                    "message": "`abort` may not be taken back; make another Rotation",
                },
            ]
        }
    )
    instance: InstanceReference
    policy: PolicyReference | None = None
    rule: RuleName | None = None
    severity: Severity | None = None
    reason: Text | None = None
    requested_by: Annotated[str, Field(max_length=512)] | None = None
    released_from: Name | None = None
    abort: bool | None = None


class Selecting(StatusModel):
    """A policy that selected the machine when its operation started, and its topology values for budgets."""

    name: Name
    uid: Annotated[str, Field(max_length=128)] = ""


class FrozenSettings(StatusModel):
    """Copied when the first step starts: a later edit of a policy changes new operations only."""

    rotation: Annotated[RotationSettings | None, Field(json_schema_extra={"x-exuvia-open": True})] = None
    drain: Annotated[DrainSettings | None, Field(json_schema_extra={"x-exuvia-open": True})] = None
    quarantine: Annotated[QuarantineSettings | None, Field(json_schema_extra={"x-exuvia-open": True})] = None
    provider: Annotated[str, Field(max_length=64)] = ""
    pool: Annotated[str, Field(max_length=253)] = ""
    zone: Annotated[str, Field(max_length=253)] = ""
    role: Annotated[str, Field(max_length=32)] = ""
    machine_id: Annotated[str, Field(max_length=128)] = ""
    labels: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=32)] = Field(
        default_factory=dict
    )
    policies: Annotated[tuple[Selecting, ...], Field(max_length=64)] = ()


class ReplacementStatus(StatusModel):
    """The machine that takes over."""

    name: Annotated[str, Field(max_length=253)] = ""
    uid: Annotated[str, Field(max_length=128)] = ""
    request_id: Annotated[str, Field(max_length=256)] = ""
    provider_id: Annotated[str, Field(max_length=512)] = ""
    requested_at: Time | None = None
    good_since: Time | None = None
    surplus: bool | None = None


class BlockedPod(StatusModel):
    """A pod that does not leave, and what holds it."""

    pod: Annotated[str, Field(max_length=512)]
    uid: Annotated[str, Field(max_length=128)] = ""
    reason: Annotated[str, Field(max_length=64)]
    message: Annotated[str, Field(max_length=1024)] = ""
    pdb: Annotated[str, Field(max_length=512)] | None = None
    needs: int | None = None
    has: int | None = None
    since: Time | None = None
    next: Time | None = None


class DrainStatus(StatusModel):
    """How far the drain is."""

    remaining: Annotated[int, Field(ge=0)] = 0
    blocked_by: Annotated[tuple[BlockedPod, ...], Field(max_length=256)] = ()
    started_at: Time | None = None
    cordoned_at: Time | None = None
    drained_at: Time | None = None
    paused_seconds: Annotated[int, Field(ge=0)] = 0
    paused_since: Time | None = None
    forced: Annotated[tuple[Annotated[str, Field(max_length=512)], ...], Field(max_length=256)] = ()


class RotationStatus(StatusModel):
    """Where it stands, and all that a new leader needs to go on."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [EPOCH_RULE]})
    phase: RotationPhase = RotationPhase.PENDING
    reason: Annotated[str, Field(max_length=64)] = ""
    message: Annotated[str, Field(max_length=4096)] = ""
    started_at: Time | None = None
    finished_at: Time | None = None
    conditions: Annotated[tuple[ConditionStatus, ...], Field(max_length=16)] = ()
    steps: Annotated[tuple[StepStatus, ...], Field(max_length=64)] = ()
    settings: FrozenSettings | None = None
    epoch: Annotated[int, Field(ge=0)] | None = None
    ledger: LedgerStatus | None = None
    before: BeforeStatus | None = None
    replacement: ReplacementStatus | None = None
    drain: DrainStatus | None = None
    attempts: Annotated[int, Field(ge=0)] = 0
    blocked: BlockedStatus | None = None
    unwanted_since: Time | None = None
    restored: bool | None = None


class Rotation(Resource):
    """A Rotation as the API server holds it."""

    KIND: ClassVar[str] = "Rotation"
    spec: RotationSpec
    status: RotationStatus = RotationStatus()

    @property
    def open(self) -> bool:
        """Whether something is still to happen."""
        return not self.status.phase.ended


def body(name: str, spec: RotationSpec, finalizer: str) -> dict[str, Any]:
    """The object to POST."""
    return {
        "apiVersion": "exuvia.dev/v1alpha1",
        "kind": "Rotation",
        "metadata": {"name": name, "finalizers": [finalizer]},
        "spec": spec.wire(),
    }
