"""What a Quarantine's step is decided from: one picture of everything that concerns it, as data.

`decide.quarantine.step` reads it; `app.advance` gathers it. What is None is unknown, never empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from exuvia.model import marks
from exuvia.model.blocking import Blocked
from exuvia.model.evidence import EvidenceOnDisk
from exuvia.model.instances import Instance
from exuvia.model.pods import DisruptionBudget, Pod
from exuvia.model.specs.common import LabelSelector
from exuvia.model.specs.operation import FrozenSettings
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.model.steps import Look, Note


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPolicyFacts:
    """A NetworkPolicy: which pods it selects, and whether any of its rules lets traffic in or out."""

    namespace: str
    name: str
    uid: str = ""
    selector: LabelSelector = field(default_factory=LabelSelector)
    allows: bool = False
    quarantine: str = ""  # the UID of the Quarantine that made it, from its label; "" for everybody else's

    @property
    def key(self) -> str:
        """`namespace/name`, for messages."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityFacts:
    """What provider and cluster say of the machine that takes over. `unsupported`: why none can be asked for, or ""."""

    unsupported: str = ""
    machine_state: str = ""  # a value of ports.MachineState; "" when nothing was asked for
    message: str = ""
    provider_id: str = ""
    request_id: str = ""
    node: Instance | None = None  # its Node, once there is one
    failing: str = ""  # the policy and rule that it fails, or cannot be judged by; "" when it complies


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPlace:
    """Where exuvia itself runs. Its own pods are never frozen or isolated. Empty strings: not in a cluster."""

    pod_uid: str = ""
    node_name: str = ""
    namespace: str = marks.SYSTEM_NAMESPACE
    service_account: str = "exuvia"
    pinned: str = ""  # what ties it to this machine (the ledger's local volume), "" when nothing does

    def is_own(self, pod: Pod) -> bool:
        """Whether a pod is one of exuvia's."""
        return pod.uid == self.pod_uid or (
            pod.namespace == self.namespace and pod.service_account == self.service_account
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineView:
    """Everything that concerns one Quarantine at one moment."""

    quarantine: Quarantine
    instance: Instance | None  # the machine by its UID; None: it is not there (see `instance_known`)
    instance_known: bool = True  # False: the view of machines cannot be trusted, `instance` says nothing
    fresh: frozenset[Look] = frozenset()  # what was read from its source in this very round
    failed: Mapping[Look, str] = field(default_factory=dict)  # what could not be read, and why
    pods: tuple[Pod, ...] | None = None  # all pods bound to the machine's name
    budgets: tuple[DisruptionBudget, ...] = ()
    network_policies: tuple[NetworkPolicyFacts, ...] | None = None  # all of the namespaces of those pods and ours
    evidence: EvidenceOnDisk | None = None
    collecting: bool = False  # a run of the collectors is under way in this process
    capacity: CapacityFacts | None = None
    rotations: tuple[Rotation, ...] = ()  # all Rotations of the same UID, open and ended
    quarantines: tuple[Quarantine, ...] = ()  # other Quarantines: of the same UID, its former, its heirs
    instances: tuple[Instance, ...] = ()  # other live machines with the same name, providerID or machineID
    settings: FrozenSettings | None = None  # what it would get if it started now
    hold: Blocked | None = None  # why no disruptive write may be made now
    eviction_hold: Blocked | None = None  # why no pod may be evicted now (storm, leases; `hold` counts as well)
    own: OwnPlace = OwnPlace()
    policy_enforces: bool = False  # its policy is there, in Enforce, not suspended, and still selects the machine
    controllers: tuple[str, ...] = ()  # other controllers of machines seen in the cluster
    ledger_down: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """What `decide.quarantine.note` makes of outcomes: a merge patch of `status`, and Events to write."""

    status: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    recheck_after: timedelta | None = None
