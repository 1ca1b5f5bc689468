"""Actions: what the hands can be asked to do, as data. One action is one write (or one request to a provider).

Every action carries UIDs: nothing is ever done to a name (safety.md, 2). Every action is idempotent: "already so" is
success. What came of it is an `Outcome`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from exuvia.model.instances import Reference


class MarkSet(StrEnum):
    """Which marks are set on a machine."""

    ROTATING = "rotating"  # cordon, rotating taint, state and load-balancer labels, operation annotation
    QUARANTINED = "quarantined"  # the same with the quarantined taint, plus opt-outs for other controllers


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What stood on the machine where our marks go, exactly: None means that it was absent."""

    unschedulable: bool = False
    labels: Mapping[str, str | None] = field(default_factory=dict)
    annotations: Mapping[str, str | None] = field(default_factory=dict)
    taints: tuple[str, ...] = ()  # keys of ours that were there already (a former operation's)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodTarget:
    """Which pod is meant."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkInstance:
    """Put one mark set on the machine, in one merge patch with its resourceVersion."""

    instance: Reference
    marks: MarkSet
    operation: str
    isolation: tuple[str, ...] = ("Taint", "LoadBalancerExclusion")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreInstance:
    """Take our marks off and put back what `before` says; what does not hold what we wrote is left alone."""

    instance: Reference
    marks: MarkSet
    before: Before


@dataclass(frozen=True, slots=True, kw_only=True)
class EvictPod:
    """Ask the Eviction API with UID precondition. `grace` None: the pod's own."""

    pod: PodTarget
    grace: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletePod:
    """DELETE with UID precondition and a grace of at least 1 s: only past a declared deadline in Force mode."""

    pod: PodTarget
    grace: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelPod:
    """Set (value) or remove (None) labels of a pod, in one merge patch with UID and resourceVersion."""

    pod: PodTarget
    labels: Mapping[str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DenyNetwork:
    """Create the deny-all NetworkPolicy of one Quarantine in one namespace; there already is success."""

    namespace: str
    name: str
    quarantine_uid: str
    quarantine_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowNetwork:
    """Delete that NetworkPolicy; gone already is success."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestMachine:
    """Ask the provider for one more machine of the pool. `key` is the idempotency key: operation UID and attempt."""

    provider: str
    pool: str
    key: str
    like: Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveMachine:
    """Ask the provider to remove this machine, by UID and providerID, never by name."""

    provider: str
    pool: str
    instance: Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateOperation:
    """Create a Rotation or Quarantine. `body` is the whole object; AlreadyExists is success."""

    kind: str
    name: str
    body: Mapping[str, object]


Action = (
    MarkInstance
    | RestoreInstance
    | EvictPod
    | DeletePod
    | LabelPod
    | DenyNetwork
    | AllowNetwork
    | RequestMachine
    | RemoveMachine
    | CreateOperation
)


class OutcomeKind(StrEnum):
    """What came of an action."""

    DONE = "Done"  # it was done now
    ALREADY = "Already"  # it was so already, or the subject is gone
    REFUSED = "Refused"  # somebody said no for now; `reason` is a BlockedReason value where one fits
    FAILED = "Failed"  # it failed and nothing was done; it may be tried anew
    UNKNOWN = "Unknown"  # no answer: look at the world before anything else


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one action, for the next step and for the ledger. `retry_after`: never sooner than that."""

    action: Action
    kind: OutcomeKind
    code: int = 0  # HTTP code where there was one
    reason: str = ""
    message: str = ""
    retry_after: timedelta | None = None
    detail: Mapping[str, str] = field(default_factory=dict)  # e.g. {"pdb": "shop/cart", "needs": "2", "has": "2"}
