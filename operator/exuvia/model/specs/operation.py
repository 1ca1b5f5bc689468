"""What Rotations and Quarantines share: the machine and why, what a new leader needs to go on, how far a drain is."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field

from exuvia.model.specs.common import (
    BeforeStatus,
    BlockedStatus,
    InstanceReference,
    LedgerStatus,
    Name,
    PolicyReference,
    RuleName,
    SpecModel,
    StatusModel,
    StepStatus,
    Text,
    Time,
)
from exuvia.model.specs.security_policy import DrainSettings, QuarantineSettings, RotationSettings, Severity


def fixed(fields: tuple[str, ...]) -> list[Any]:
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


class OperationSpec(SpecModel):
    """Which machine, and why."""

    KIND: ClassVar[str]
    """The kind of the operation that it is the spec of."""

    instance: InstanceReference
    """The machine that it is about; fixed. Its `uid` must be given."""
    policy: PolicyReference | None = None
    """The SecurityPolicy that wants it; unset for one that a person asked for."""
    rule: RuleName | None = None
    """The rule that the machine fails; unset for one that a person asked for."""
    severity: Severity | None = None
    """How severe that is; of those that wait the more severe one starts first."""
    reason: Text | None = None
    """Why, for a person."""
    requested_by: Annotated[str, Field(max_length=512)] | None = None
    """The full user name of who asked. An admission policy compares it with the real user."""


class Selecting(StatusModel):
    """A policy that selected the machine when its operation started, and its topology values for budgets."""

    name: Name
    """The name of the SecurityPolicy."""
    uid: Annotated[str, Field(max_length=128)] = ""
    """The UID of the SecurityPolicy."""


class FrozenSettings(StatusModel):
    """Copied when the first step starts: a later edit of a policy changes new operations only."""

    rotation: Annotated[RotationSettings | None, Field(json_schema_extra={"x-exuvia-open": True})] = None
    """How the machine is replaced: `spec.rotation` of the winning policy."""
    drain: Annotated[DrainSettings | None, Field(json_schema_extra={"x-exuvia-open": True})] = None
    """How its pods leave: `spec.drain` of the winning policy, with the strictest knobs of all that select the
    machine."""
    quarantine: Annotated[QuarantineSettings | None, Field(json_schema_extra={"x-exuvia-open": True})] = None
    """How it is frozen: `spec.quarantine` of the winning policy, with the strictest knobs of all that select the
    machine."""
    provider: Annotated[str, Field(max_length=64)] = ""
    """The provider that Auto, or the policy, came to."""
    pool: Annotated[str, Field(max_length=253)] = ""
    """The machine's pool; empty when it has none."""
    zone: Annotated[str, Field(max_length=253)] = ""
    """The machine's zone; empty when it has none."""
    role: Annotated[str, Field(max_length=32)] = ""
    """worker or control-plane."""
    machine_id: Annotated[str, Field(max_length=128)] = ""
    """The machine ID that the machine reported; empty when it reported none."""
    labels: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=32)] = Field(
        default_factory=dict
    )
    """Those labels of the machine that budgets by `topologyKey` go by."""
    policies: Annotated[tuple[Selecting, ...], Field(max_length=64)] = ()
    """The policies that selected the machine: their budgets count it, also when it is gone."""


class ReplacementStatus(StatusModel):
    """The machine that takes over."""

    name: Annotated[str, Field(max_length=253)] = ""
    """The name of its Node; empty until it joined."""
    uid: Annotated[str, Field(max_length=128)] = ""
    """The UID of its Node; empty until it joined."""
    request_id: Annotated[str, Field(max_length=256)] = ""
    """The key under which the provider was asked: asking twice makes one machine."""
    provider_id: Annotated[str, Field(max_length=512)] = ""
    """The provider's identity of it; empty until it is known."""
    requested_at: Time | None = None
    """When the provider was asked."""
    good_since: Time | None = None
    """Since when it is Ready and fails no policy, without a break; it must be so for `soakTime`."""
    surplus: bool | None = None
    """Whether it was kept though it is no longer needed; the pool's next Rotation takes it."""


class BlockedPod(StatusModel):
    """A pod that does not leave, and what holds it."""

    pod: Annotated[str, Field(max_length=512)]
    """The pod, as namespace/name."""
    uid: Annotated[str, Field(max_length=128)] = ""
    """The pod's UID."""
    reason: Annotated[str, Field(max_length=64)]
    """What holds it: one word of the closed list in docs/events.md."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """What holds it, and what to do about it."""
    pdb: Annotated[str, Field(max_length=512)] | None = None
    """The PodDisruptionBudget that refused, as namespace/name."""
    needs: int | None = None
    """How many healthy pods that PodDisruptionBudget needs."""
    has: int | None = None
    """How many healthy pods it has."""
    since: Time | None = None
    """Since when the pod is held."""
    next: Time | None = None
    """When it is tried again."""


class DrainStatus(StatusModel):
    """How far the drain is."""

    remaining: Annotated[int, Field(ge=0)] = 0
    """How many pods have still to leave."""
    blocked_by: Annotated[tuple[BlockedPod, ...], Field(max_length=256)] = ()
    """Pods that do not leave, and what holds each."""
    started_at: Time | None = None
    """When the first pod was asked to leave; `drain.timeout` counts from here."""
    cordoned_at: Time | None = None
    """When our taint was put on; nothing is deleted until 5 s later."""
    drained_at: Time | None = None
    """When a fresh list showed no pod left; `drain.volumeDetachTimeout` counts from here."""
    paused_seconds: Annotated[int, Field(ge=0)] = 0
    """How many seconds the drain was paused; they do not count towards its timeout."""
    paused_since: Time | None = None
    """Since when it is paused; unset while it is not."""
    forced: Annotated[tuple[Annotated[str, Field(max_length=512)], ...], Field(max_length=256)] = ()
    """Pods, as namespace/name, that were deleted past the deadline in Force mode."""


class OperationStatus(StatusModel):
    """Where it stands, and what a new leader needs to go on."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [EPOCH_RULE]})
    message: Annotated[str, Field(max_length=4096)] = ""
    """What happens now, or what came of it."""
    started_at: Time | None = None
    """When it left Pending; starts an hour are counted by it."""
    finished_at: Time | None = None
    """When it ended; it is kept for 24 h or more from here."""
    steps: Annotated[tuple[StepStatus, ...], Field(max_length=64)] = ()
    """What was done, in order."""
    settings: FrozenSettings | None = None
    """The settings that it goes by, copied when the first step starts; a later edit of a policy does not change
    them."""
    epoch: Annotated[int, Field(ge=0)] | None = None
    """Under which leadership the last step was won; it never decreases."""
    ledger: LedgerStatus | None = None
    """The ledger entry of the last step's intent."""
    before: BeforeStatus | None = None
    """What stood on the machine where our marks went, written before they were set; used to put it back."""
    blocked: BlockedStatus | None = None
    """Why nothing happens now; unset when nothing holds it."""


def body(name: str, spec: OperationSpec, finalizer: str) -> dict[str, Any]:
    """The object to POST."""
    return {
        "apiVersion": "exuvia.dev/v1alpha1",
        "kind": spec.KIND,
        "metadata": {"name": name, "finalizers": [finalizer]},
        "spec": spec.wire(),
    }
