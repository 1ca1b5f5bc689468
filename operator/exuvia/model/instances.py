"""Instances: one life of one machine, as slim facts. Identity is the UID; a name is only a label that lives reuse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from exuvia.model import marks
from exuvia.model.learnt import NOTHING, Learnt


class Kind(StrEnum):
    """What kind of machine an instance is."""

    NODE = "Node"  # a Kubernetes node
    VIRTUAL_MACHINE_INSTANCE = "VirtualMachineInstance"  # a KubeVirt VM (not served yet)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taint:
    """A taint as it stands on the node."""

    key: str
    value: str = ""
    effect: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A condition without its heartbeat time. `since` is lastTransitionTime, None when absent or unparsable."""

    type: str
    status: str
    reason: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Versions as the machine reports them (a claim, not a proof); empty when absent."""

    kubelet: str = ""
    container_runtime: str = ""
    kernel: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """The facts of one machine that rules and decisions use. Annotation values over 1 KiB are cut and end in '…'."""

    kind: Kind = Kind.NODE
    name: str
    uid: str
    resource_version: str = field(default="", compare=False)
    provider_id: str = ""
    machine_id: str = ""
    boot_id: str = ""
    pool: str = ""
    zone: str = ""
    born: datetime  # creationTimestamp
    deleting: bool = False
    deleting_since: datetime | None = None  # deletionTimestamp
    unschedulable: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    conditions: tuple[Condition, ...] = ()
    versions: Versions = Versions()
    os_image: str = ""
    addresses: tuple[str, ...] = ()
    finalizers: tuple[str, ...] = ()
    kubelet_port: int = 0
    learnt: Learnt = field(default=NOTHING, compare=False)  # handed in by whoever judges it

    def condition(self, type_: str) -> Condition | None:
        """The condition of that type, or None."""
        return next((one for one in self.conditions if one.type == type_), None)

    @property
    def ready(self) -> bool:
        """Whether the Ready condition is True now."""
        found = self.condition("Ready")
        return found is not None and found.status == "True"

    @property
    def not_ready_since(self) -> datetime | None:
        """Since when Ready is not True; its birth when there is no such condition; None while it is Ready."""
        found = self.condition("Ready")
        if found is None:
            return self.born
        return None if found.status == "True" else (found.since or self.born)

    @property
    def control_plane(self) -> bool:
        """Whether it bears a control-plane role label."""
        return any(label in self.labels for label in marks.CONTROL_PLANE_LABELS)

    def taint(self, key: str) -> Taint | None:
        """The first taint of that key, or None."""
        return next((one for one in self.taints if one.key == key), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Which instance is meant, wherever it must be said: kind, name and the identities that tell it from a namesake."""

    kind: Kind = Kind.NODE
    name: str
    uid: str
    provider_id: str = ""


def pool_of(labels: Mapping[str, str]) -> str:
    """The pool by the first pool label that is present, else "" (operations.md, Pools)."""
    return next((labels[key] for key in marks.POOL_LABELS if key in labels), "")
