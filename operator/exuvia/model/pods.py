"""Pods as slim records: what draining, freezing and the ledger need to know of one, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The controlling owner (the ownerReference with `controller: true`)."""

    api_version: str
    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Toleration:
    """A toleration; an empty key with Exists tolerates everything."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """The facts of one pod. `annotations` holds only keys that exuvia reads (opt-outs, mirror)."""

    namespace: str
    name: str
    uid: str
    resource_version: str = field(default="", compare=False)
    node: str = ""
    phase: str = ""
    created: datetime
    started: datetime | None = None  # status.startTime
    deleting_since: datetime | None = None  # deletionTimestamp minus the grace, i.e. when deletion was asked
    deletion_deadline: datetime | None = None  # deletionTimestamp as served
    grace_seconds: int = 30  # spec.terminationGracePeriodSeconds
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    owner: Owner | None = None
    owned_by_node: bool = False  # an ownerReference of kind Node
    mirror: bool = False
    host_network: bool = False
    empty_dir: bool = False  # at least one emptyDir volume that is not of medium Memory-only projected kind
    tolerations: tuple[Toleration, ...] = ()
    priority_class: str = ""
    priority: int = 0
    service_account: str = ""
    containers: tuple[str, ...] = ()
    image_digests: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()  # names of PersistentVolumeClaims, those made for it alone too
    ready: bool = field(default=False, compare=False)  # condition Ready is True; alone it makes nobody look
    ready_changed: datetime | None = field(default=None, compare=False)  # when that last changed
    containers_started: datetime | None = field(default=None, compare=False)  # when the last of its containers started

    @property
    def key(self) -> str:
        """`namespace/name`, for messages; identity is the UID."""
        return f"{self.namespace}/{self.name}"

    @property
    def claim_keys(self) -> frozenset[str]:
        """`namespace/name` of its PersistentVolumeClaims."""
        return frozenset(f"{self.namespace}/{claim}" for claim in self.claims)

    @property
    def finished(self) -> bool:
        """Succeeded and Failed pods run nothing any more."""
        return self.phase in ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedVolume:
    """A persistent volume that is attached to a machine. `claim`: the key of the PersistentVolumeClaim that it is bound
    to, "" where that is not known."""

    name: str
    claim: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisruptionBudget:
    """A PodDisruptionBudget: what it selects and what it allows now. `selector` None selects nothing."""

    namespace: str
    name: str
    uid: str = ""
    match_labels: tuple[tuple[str, str], ...] = ()
    match_expressions: tuple[tuple[str, str, tuple[str, ...]], ...] = ()  # key, operator, values
    selects_all: bool = False  # an empty selector selects every pod of the namespace (policy/v1)
    allowed: int = 0  # status.disruptionsAllowed
    healthy: int = 0  # status.currentHealthy
    desired: int = 0  # status.desiredHealthy
    observed: bool = True  # status.observedGeneration is the generation

    @property
    def key(self) -> str:
        """`namespace/name`, for messages."""
        return f"{self.namespace}/{self.name}"
