"""Quarantine: the operation that freezes one machine and keeps the evidence (operations.md)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from exuvia.model.specs.common import (
    ConditionStatus,
    LabelKey,
    LabelValue,
    Name,
    Resource,
    SpecModel,
    StatusModel,
    Text,
    Time,
)
from exuvia.model.specs.operation import DrainStatus, OperationSpec, OperationStatus, ReplacementStatus, fixed


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
    """The full user name of who releases it. An admission policy compares it with the real user."""
    reason: Text = ""
    """Why, for a person; it stands in the ledger."""
    verdict: ReleaseVerdict
    """What becomes of the machine."""
    destroy_unsealed: bool | None = None
    """Write true to let the machine be destroyed although its evidence is not sealed; unset: it is not."""


class QuarantineSpec(OperationSpec):
    """Which machine, and why; later: its release."""

    KIND: ClassVar[str] = "Quarantine"
    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                *fixed(("policy", "rule", "severity", "reason", "requestedBy", "inheritedFrom")),
                {"rule": "self.instance == oldSelf.instance", "message": "`instance` may not change"},
                {
                    "rule": "!has(oldSelf.release) || has(self.release)",
                    "message": "`release` may be rewritten but not taken out",
                },
            ]
        }
    )
    inherited_from: Name | None = None
    """The Quarantine that the same machine had under its former UID; set by exuvia only."""
    release: Release | None = None
    """A person's decision, which ends it; accepted in every phase. It may be rewritten until `status.releaseAccepted`
    shows it."""


class EvidenceItem(StatusModel):
    """One item of evidence."""

    collector: Annotated[str, Field(max_length=63)]
    """The collector, by its name in the policy."""
    result: Annotated[str, Field(max_length=32)]
    """captured, truncated (taken up to a size limit), unsupported (there is none here) or failed (tried again)."""
    digest: Annotated[str, Field(max_length=128)] = ""
    """The SHA-256 of what it took; empty where it took nothing."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """What is missing, and why; empty when nothing is."""


class EvidenceStatus(StatusModel):
    """What was kept: the manifest's path and digest, and the items a collector (files are in the manifest)."""

    manifest: Annotated[str, Field(max_length=1024)] = ""
    """The path of the manifest under the operator's evidence directory; empty until there is one."""
    digest: Annotated[str, Field(max_length=128)] = ""
    """The SHA-256 of the manifest; the ledger holds it too."""
    bytes: Annotated[int, Field(ge=0)] = 0
    """How many bytes of evidence are kept."""
    items: Annotated[tuple[EvidenceItem, ...], Field(max_length=64)] = ()
    """What came of each collector; the single files are in the manifest."""
    attempts: Annotated[int, Field(ge=0)] = 0
    """How often collecting failed."""
    next_attempt: Time | None = None
    """When it is tried again: 1 min later, doubling to 30 min."""
    started_at: Time | None = None
    """When collecting began."""


class IsolationStatus(StatusModel):
    """How well it is cut off, and what keeps it from being better."""

    state: Annotated[str, Field(pattern="^(Isolated|Partial|Unsupported|Ended)$", max_length=16)]
    """Isolated, Partial or Unsupported; Ended once the Quarantine is over, which isolates nothing any more."""
    was: Annotated[str, Field(pattern="^(Isolated|Partial|Unsupported)$", max_length=16)] | None = None
    """What it was until then; only with Ended."""
    because: Annotated[tuple[Annotated[str, Field(max_length=1024)], ...], Field(max_length=64)] = ()
    """What keeps it from being better, by name; empty when it is Isolated."""


class WorkloadStatus(StatusModel):
    """A pod of the machine, what was done with it, and the labels it had."""

    pod: Annotated[str, Field(max_length=512)]
    """The pod, as namespace/name."""
    uid: Annotated[str, Field(max_length=128)]
    """The pod's UID."""
    treatment: Annotated[str, Field(max_length=32)]
    """Frozen (runs on without its labels, so that its owner starts another one), Unavailable (keeps its labels and is
    cut off), Evict (leaves once the evidence is sealed) or LeftAlone."""
    labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=64)] = Field(default_factory=dict)
    """The labels that it had before any was taken off."""
    broken_pdb: Annotated[str, Field(max_length=512)] | None = None
    """The PodDisruptionBudget, as namespace/name, that freezing it broke; unset when it broke none."""


class CapacityStatus(StatusModel):
    """What became of the capacity that the machine took away."""

    state: Annotated[str, Field(pattern="^(Replaced|Missing|Unsupported|NotAsked|Requested)$", max_length=16)]
    """Replaced, Requested, Missing (retried with back-off), Unsupported (the provider cannot) or NotAsked."""
    replacement: ReplacementStatus | None = None
    """The machine that takes over; unset until one was asked for."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """Why it stands so."""
    attempts: Annotated[int, Field(ge=0)] = 0
    """How many requests to the provider failed for good; part of the key of the next one."""
    next_attempt: Time | None = None
    """When the provider is asked again."""


class CustodyEntry(StatusModel):
    """Who did what with the evidence or the machine, and when."""

    at: Time
    """When."""
    by: Annotated[str, Field(max_length=512)]
    """Who: a user's full name, or exuvia's own service account."""
    what: Annotated[str, Field(max_length=1024)]
    """What was done."""


class ProtectionStatus(StatusModel):
    """Whether our marks keep another controller from destroying the evidence."""

    controller: Annotated[str, Field(max_length=128)]
    """A controller seen in the cluster that could remove the machine."""
    state: Annotated[str, Field(pattern="^(Protected|Unprotected)$", max_length=16)]
    """Protected where our marks keep it from doing so, else Unprotected."""


class QuarantineStatus(OperationStatus):
    """Where it stands, and all that a new leader needs to go on."""

    phase: QuarantinePhase = QuarantinePhase.PENDING
    """Where it stands. Phases go forward only."""
    reason: Annotated[str, Field(max_length=64)] = ""
    """Why it ended, as one CamelCase word; empty while it is open."""
    held_since: Time | None = None
    """Since when the machine is held; `quarantine.holdTime` counts from here."""
    conditions: Annotated[tuple[ConditionStatus, ...], Field(max_length=16)] = ()
    """Isolated, EvidenceSealed, Released and Blocked (for `kubectl wait`), and InstancePresent."""
    isolation: IsolationStatus | None = None
    """How well it is cut off; unset until that was tried."""
    workloads: Annotated[tuple[WorkloadStatus, ...], Field(max_length=512)] = ()
    """The pods of the machine, what is done with each, and the labels each had."""
    namespaces: Annotated[tuple[Annotated[str, Field(max_length=63)], ...], Field(max_length=256)] = ()
    """The namespaces that hold a NetworkPolicy of this Quarantine."""
    evidence: EvidenceStatus | None = None
    """What was kept; unset until collecting begins."""
    capacity: CapacityStatus | None = None
    """What became of the capacity that the machine took away."""
    custody: Annotated[tuple[CustodyEntry, ...], Field(max_length=128)] = ()
    """Who did what with the machine or its evidence, oldest first."""
    protection: Annotated[tuple[ProtectionStatus, ...], Field(max_length=16)] = ()
    """Of each controller seen in the cluster, whether our marks keep it from destroying the evidence."""
    release_accepted: Release | None = None
    """The release as it was accepted; from then on it cannot be rewritten."""
    release_rotation: Annotated[str, Field(max_length=253)] | None = None
    """The Rotation that carries out the verdict Rotate."""
    drain: DrainStatus | None = None
    """How far pods are that leave once the evidence is sealed; unset until then."""
    gone_since: Time | None = None
    """Since when the machine is gone by another's hand; unset while it is there."""
    reminded_at: Time | None = None
    """When an Event last said that the hold time is over."""


class Quarantine(Resource):
    """A Quarantine as the API server holds it."""

    KIND: ClassVar[str] = QuarantineSpec.KIND
    spec: QuarantineSpec
    status: QuarantineStatus = QuarantineStatus()

    @property
    def open(self) -> bool:
        """Whether something is still to happen."""
        return not self.status.phase.ended
