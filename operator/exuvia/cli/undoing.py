"""Undoing with the caller's own rights what open operations did, when there is no operator any more to do it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from exuvia import errors, ports
from exuvia.act import evictions, freezing, network
from exuvia.act import marks as act_marks
from exuvia.decide.freezing import Treatment
from exuvia.model import marks, resources
from exuvia.model.actions import (
    AllowNetwork,
    Before,
    EvictPod,
    LabelPod,
    MarkSet,
    Outcome,
    OutcomeKind,
    PodTarget,
    RestoreInstance,
)
from exuvia.model.instances import Kind, Reference
from exuvia.model.specs.common import BeforeStatus, InstanceReference
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation, RotationPhase

Undoing = RestoreInstance | AllowNetwork | LabelPod | EvictPod


def restore_of(operation: Rotation | Quarantine) -> RestoreInstance | None:
    """How its machine gets back what it had; None when nothing was marked, is marked, or may be put back."""
    before = operation.status.before
    if before is None or not operation.open:
        return None
    if isinstance(operation, Rotation) and (
        operation.status.restored or operation.status.phase.rank >= RotationPhase.TERMINATING.rank
    ):
        return None
    mark_set = MarkSet.ROTATING if isinstance(operation, Rotation) else MarkSet.QUARANTINED
    return RestoreInstance(instance=_reference(operation.spec.instance), marks=mark_set, before=_before(before))


def pods_of(held: Quarantine, pods: list[ports.Body]) -> Iterator[LabelPod | EvictPod]:
    """Frozen copies leave, as their owners have others; of the rest our label is taken off."""
    treated = {one.uid: one.treatment for one in held.status.workloads}
    for body in pods:
        metadata = body["metadata"]
        pod = PodTarget(namespace=metadata["namespace"], name=metadata["name"], uid=metadata["uid"])
        if treated.get(pod.uid) == Treatment.FROZEN:
            yield EvictPod(pod=pod)
        else:
            yield LabelPod(pod=pod, labels={marks.QUARANTINE_POD_LABEL: None})


async def undo(client: ports.Cluster, operation: Rotation | Quarantine) -> AsyncIterator[Outcome]:
    """Do all of it, one after the other; each outcome says what came of it."""
    if isinstance(operation, Quarantine):
        async for action in _cut_off(client, operation):
            yield await _do(client, action)
    restore = restore_of(operation)
    if restore is not None:
        yield await _do(client, restore)


async def let_go(client: ports.Cluster, operation: Rotation | Quarantine) -> None:
    """Take our finalizer off, and ask an operator that may come later not to go on. Gone already is success."""
    kind = resources.ROTATIONS if isinstance(operation, Rotation) else resources.QUARANTINES
    kept = [name for name in operation.metadata.finalizers if name != marks.FINALIZER]
    body: dict[str, object] = {
        "metadata": {
            "uid": operation.uid,
            "resourceVersion": operation.metadata.resource_version,
            "finalizers": kept or None,
        }
    }
    if isinstance(operation, Rotation) and operation.open:
        body["spec"] = {"abort": True}
    try:
        await client.merge_patch(kind, operation.name, body)
    except errors.NotFound:
        return


def failed(outcome: Outcome) -> bool:
    """Whether something is left."""
    return outcome.kind not in (OutcomeKind.DONE, OutcomeKind.ALREADY)


async def _cut_off(client: ports.Cluster, held: Quarantine) -> AsyncIterator[AllowNetwork | LabelPod | EvictPod]:
    selector = f"{marks.QUARANTINE_POD_LABEL}={held.uid}"
    async for page in client.pages(resources.NETWORK_POLICIES, label_selector=selector):
        for body in page:
            yield AllowNetwork(namespace=body["metadata"]["namespace"], name=body["metadata"]["name"])
    async for page in client.pages(resources.PODS, label_selector=selector):
        for action in pods_of(held, page):
            yield action


async def _do(client: ports.Cluster, action: Undoing) -> Outcome:
    match action:
        case RestoreInstance():
            return await act_marks.restore_instance(client, action)
        case AllowNetwork():
            return await network.allow_network(client, action)
        case LabelPod():
            return await freezing.label_pod(client, action)
        case EvictPod():
            return await evictions.evict_pod(client, action)


def _reference(one: InstanceReference) -> Reference:
    return Reference(kind=Kind(one.kind), name=one.name, uid=one.uid, provider_id=one.provider_id)


def _before(before: BeforeStatus) -> Before:
    return Before(
        unschedulable=before.unschedulable,
        labels=before.labels,
        annotations=before.annotations,
        taints=before.taints,
    )
