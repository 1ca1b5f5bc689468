"""Partial shapes of API objects, decoded from raw bytes. Every field has a default and may be null: Kubernetes sends
null lists, and one odd object must never end a watch."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec


class OwnerReference(msgspec.Struct, gc=False):
    """metadata.ownerReferences[]"""

    apiVersion: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class Meta(msgspec.Struct, gc=False):
    """metadata"""

    name: str = ""
    namespace: str | None = None
    uid: str = ""
    resourceVersion: str = ""
    generation: int | None = None
    creationTimestamp: str | None = None
    deletionTimestamp: str | None = None
    deletionGracePeriodSeconds: int | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    ownerReferences: list[OwnerReference] | None = None
    finalizers: list[str] | None = None


class Taint(msgspec.Struct, gc=False):
    """spec.taints[]"""

    key: str = ""
    value: str | None = None
    effect: str | None = None


class NodeSpec(msgspec.Struct, gc=False):
    """Node spec"""

    providerID: str | None = None
    unschedulable: bool | None = None
    taints: list[Taint] | None = None


class Condition(msgspec.Struct, gc=False):
    """status.conditions[]"""

    type: str = ""
    status: str = ""
    reason: str | None = None
    lastTransitionTime: str | None = None


class Address(msgspec.Struct, gc=False):
    """status.addresses[]"""

    type: str = ""
    address: str = ""


class NodeInfo(msgspec.Struct, gc=False):
    """status.nodeInfo"""

    machineID: str | None = None
    bootID: str | None = None
    kernelVersion: str | None = None
    osImage: str | None = None
    containerRuntimeVersion: str | None = None
    kubeletVersion: str | None = None


class NodeStatus(msgspec.Struct, gc=False):
    """Node status"""

    conditions: list[Condition] | None = None
    addresses: list[Address] | None = None
    nodeInfo: NodeInfo | None = None


class Node(msgspec.Struct, gc=False):
    """v1 Node"""

    metadata: Meta = msgspec.field(default_factory=Meta)
    spec: NodeSpec | None = None
    status: NodeStatus | None = None


class Toleration(msgspec.Struct, gc=False):
    """spec.tolerations[]"""

    key: str | None = None
    operator: str | None = None
    value: str | None = None
    effect: str | None = None


class EmptyDir(msgspec.Struct, gc=False):
    """volume.emptyDir"""

    medium: str | None = None


class Claim(msgspec.Struct, gc=False):
    """volume.persistentVolumeClaim"""

    claimName: str | None = None


class Ephemeral(msgspec.Struct, gc=False):
    """volume.ephemeral: a claim that lives and dies with the pod, named after pod and volume"""


class Volume(msgspec.Struct, gc=False):
    """spec.volumes[]"""

    name: str = ""
    emptyDir: EmptyDir | None = None
    persistentVolumeClaim: Claim | None = None
    ephemeral: Ephemeral | None = None


class Container(msgspec.Struct, gc=False):
    """spec.containers[]"""

    name: str = ""


class PodSpec(msgspec.Struct, gc=False):
    """Pod spec"""

    nodeName: str | None = None
    hostNetwork: bool | None = None
    terminationGracePeriodSeconds: int | None = None
    tolerations: list[Toleration] | None = None
    volumes: list[Volume] | None = None
    containers: list[Container] | None = None
    serviceAccountName: str | None = None
    priorityClassName: str | None = None
    priority: int | None = None


class RunningState(msgspec.Struct, gc=False):
    """status.containerStatuses[].state.running"""

    startedAt: str | None = None


class ContainerState(msgspec.Struct, gc=False):
    """status.containerStatuses[].state"""

    running: RunningState | None = None


class ContainerStatus(msgspec.Struct, gc=False):
    """status.containerStatuses[]"""

    imageID: str | None = None
    state: ContainerState | None = None


class PodCondition(msgspec.Struct, gc=False):
    """status.conditions[] of a pod"""

    type: str = ""
    status: str = ""
    lastTransitionTime: str | None = None


class PodStatus(msgspec.Struct, gc=False):
    """Pod status"""

    phase: str | None = None
    startTime: str | None = None
    containerStatuses: list[ContainerStatus] | None = None
    conditions: list[PodCondition] | None = None


class Pod(msgspec.Struct, gc=False):
    """v1 Pod"""

    metadata: Meta = msgspec.field(default_factory=Meta)
    spec: PodSpec | None = None
    status: PodStatus | None = None


class SelectorExpression(msgspec.Struct, gc=False):
    """selector.matchExpressions[]"""

    key: str = ""
    operator: str = ""
    values: list[str] | None = None


class Selector(msgspec.Struct, gc=False):
    """A label selector"""

    matchLabels: dict[str, str] | None = None
    matchExpressions: list[SelectorExpression] | None = None


class BudgetSpec(msgspec.Struct, gc=False):
    """PodDisruptionBudget spec"""

    selector: Selector | None = None


class BudgetStatus(msgspec.Struct, gc=False):
    """PodDisruptionBudget status"""

    observedGeneration: int | None = None
    disruptionsAllowed: int | None = None
    currentHealthy: int | None = None
    desiredHealthy: int | None = None


class Budget(msgspec.Struct, gc=False):
    """policy/v1 PodDisruptionBudget"""

    metadata: Meta = msgspec.field(default_factory=Meta)
    spec: BudgetSpec | None = None
    status: BudgetStatus | None = None


class Identified(msgspec.Struct, gc=False):
    """Any object: who it is."""

    metadata: Meta = msgspec.field(default_factory=Meta)


class ListMeta(msgspec.Struct, gc=False, rename={"continue_": "continue"}):
    """metadata of a list"""

    resourceVersion: str = ""
    continue_: str | None = None


class Page(msgspec.Struct, gc=False):
    """One page of a list, its items still raw."""

    metadata: ListMeta = msgspec.field(default_factory=ListMeta)
    items: list[msgspec.Raw] | None = None


class WatchEvent(msgspec.Struct, gc=False):
    """One line of a watch, its object still raw."""

    type: str
    object: msgspec.Raw


class ErrorObject(msgspec.Struct, gc=False):
    """The Status inside an ERROR event."""

    code: int | None = None
    reason: str | None = None
    message: str | None = None


def moment(text: str | None) -> datetime | None:
    """A Kubernetes time, aware, UTC; None when it is absent or does not parse."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def created(meta: Meta) -> datetime:
    """metadata.creationTimestamp. An age that is not known must not count as a great one: ValidationError."""
    found = moment(meta.creationTimestamp)
    if found is None:
        raise msgspec.ValidationError(f"{meta.creationTimestamp!r} is no time - at `$.metadata.creationTimestamp`")
    return found
