"""Quarantine: the operation that freezes one machine and keeps the evidence (operations.md)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field

from exuvia.model.specs.common import (
    BeforeStatus,
    BlockedStatus,
    ConditionStatus,
    InstanceReference,
    LabelKey,
    LabelValue,
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
from exuvia.model.specs.rotation import EPOCH_RULE, DrainStatus, FrozenSettings, ReplacementStatus, _fixed
from exuvia.model.specs.security_policy import Severity


class QuarantinePhase(StrEnum):
    """Where a Quarantine stands. Phases go forward; there is no failing."""

    PENDING = "Pending"  # waits for brakes
    ISOLATING = "Isolating"  # marks, frozen workloads, network
    COLLECTING = "Collecting"  # evidence is copied off the machine
    SEALED = "Sealed"  # the evidence was written, read back and verified
    HELD = "Held"  # a person decides, or the hold time
    RELEASED = "Released"  # it ended
    ABORTED = "Aborted"  # a duplicate, or gone while it waited

    @property
    def ended(self) -> bool:
        """Whether nothing more happens."""
        return self in (QuarantinePhase.RELEASED, QuarantinePhase.ABORTED)

    @property
    def rank(self) -> int:
        """Its place in the order of phases."""
        return list(QuarantinePhase).index(self)


class ReleaseVerdict(StrEnum):
    """What becomes of a released machine."""

    RETURN = "Return"  # it goes back to work
    ROTATE = "Rotate"  # it is replaced


class Release(SpecModel):
    """A person's decision. `by` is the user's full name; an admission policy compares it with the real user."""

    by: Annotated[str, Field(min_length=1, max_length=512)]
    reason: Text = ""
    verdict: ReleaseVerdict
    destroy_unsealed: bool | None = None


class QuarantineSpec(SpecModel):
    """Which machine, and why; later: its release."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                *_fixed(("policy", "rule", "severity", "reason", "requestedBy", "inheritedFrom")),
                {"rule": "self.instance == oldSelf.instance", "message": "`instance` may not change"},
                {
                    "rule": "!has(oldSelf.release) || has(self.release)",
                    "message": "`release` may be rewritten but not taken out",
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
    inherited_from: Name | None = None
    release: Release | None = None


class EvidenceItem(StatusModel):
    """One item of evidence."""

    collector: Annotated[str, Field(max_length=63)]
    result: Annotated[str, Field(max_length=32)]
    digest: Annotated[str, Field(max_length=128)] = ""
    message: Annotated[str, Field(max_length=1024)] = ""


class EvidenceStatus(StatusModel):
    """What was kept: the manifest's path and digest, and the items a collector (files are in the manifest)."""

    manifest: Annotated[str, Field(max_length=1024)] = ""
    digest: Annotated[str, Field(max_length=128)] = ""
    bytes: Annotated[int, Field(ge=0)] = 0
    items: Annotated[tuple[EvidenceItem, ...], Field(max_length=64)] = ()
    attempts: Annotated[int, Field(ge=0)] = 0
    next_attempt: Time | None = None
    started_at: Time | None = None


class IsolationStatus(StatusModel):
    """How well it is cut off, and what keeps it from being better."""

    state: Annotated[str, Field(pattern="^(Isolated|Partial|Unsupported)$", max_length=16)]
    because: Annotated[tuple[Annotated[str, Field(max_length=1024)], ...], Field(max_length=64)] = ()


class WorkloadStatus(StatusModel):
    """A pod of the machine, what was done with it, and the labels it had."""

    pod: Annotated[str, Field(max_length=512)]
    uid: Annotated[str, Field(max_length=128)]
    treatment: Annotated[str, Field(max_length=32)]
    labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=64)] = Field(default_factory=dict)
    broken_pdb: Annotated[str, Field(max_length=512)] | None = None


class CapacityStatus(StatusModel):
    """What became of the capacity that the machine took away."""

    state: Annotated[str, Field(pattern="^(Replaced|Missing|Unsupported|NotAsked|Requested)$", max_length=16)]
    replacement: ReplacementStatus | None = None
    message: Annotated[str, Field(max_length=1024)] = ""
    attempts: Annotated[int, Field(ge=0)] = 0
    next_attempt: Time | None = None


class CustodyEntry(StatusModel):
    """Who did what with the evidence or the machine, and when."""

    at: Time
    by: Annotated[str, Field(max_length=512)]
    what: Annotated[str, Field(max_length=1024)]


class ProtectionStatus(StatusModel):
    """Whether our marks keep another controller from destroying the evidence."""

    controller: Annotated[str, Field(max_length=128)]
    state: Annotated[str, Field(pattern="^(Protected|Unprotected)$", max_length=16)]


class QuarantineStatus(StatusModel):
    """Where it stands, and all that a new leader needs to go on."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [EPOCH_RULE]})
    phase: QuarantinePhase = QuarantinePhase.PENDING
    reason: Annotated[str, Field(max_length=64)] = ""
    message: Annotated[str, Field(max_length=4096)] = ""
    started_at: Time | None = None
    finished_at: Time | None = None
    held_since: Time | None = None
    conditions: Annotated[tuple[ConditionStatus, ...], Field(max_length=16)] = ()
    steps: Annotated[tuple[StepStatus, ...], Field(max_length=64)] = ()
    settings: FrozenSettings | None = None
    epoch: Annotated[int, Field(ge=0)] | None = None
    ledger: LedgerStatus | None = None
    before: BeforeStatus | None = None
    isolation: IsolationStatus | None = None
    workloads: Annotated[tuple[WorkloadStatus, ...], Field(max_length=512)] = ()
    namespaces: Annotated[tuple[Annotated[str, Field(max_length=63)], ...], Field(max_length=256)] = ()
    evidence: EvidenceStatus | None = None
    capacity: CapacityStatus | None = None
    custody: Annotated[tuple[CustodyEntry, ...], Field(max_length=128)] = ()
    protection: Annotated[tuple[ProtectionStatus, ...], Field(max_length=16)] = ()
    release_accepted: Release | None = None
    release_rotation: Annotated[str, Field(max_length=253)] | None = None
    drain: DrainStatus | None = None
    blocked: BlockedStatus | None = None
    gone_since: Time | None = None
    reminded_at: Time | None = None


class Quarantine(Resource):
    """A Quarantine as the API server holds it."""

    KIND: ClassVar[str] = "Quarantine"
    spec: QuarantineSpec
    status: QuarantineStatus = QuarantineStatus()

    @property
    def open(self) -> bool:
        """Whether something is still to happen."""
        return not self.status.phase.ended


def body(name: str, spec: QuarantineSpec, finalizer: str) -> dict[str, Any]:
    """The object to POST."""
    return {
        "apiVersion": "exuvia.dev/v1alpha1",
        "kind": "Quarantine",
        "metadata": {"name": name, "finalizers": [finalizer]},
        "spec": spec.wire(),
    }
