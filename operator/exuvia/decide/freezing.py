"""Which pod of a quarantined machine gets which treatment, which labels that means, and what it cannot cut off.

Pure answers about pods; when they are asked and what is written is chosen in `decide.quarantine`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum

from exuvia.model import marks
from exuvia.model.pods import DisruptionBudget, Pod
from exuvia.model.quarantine_views import NetworkPolicyFacts, OwnPlace
from exuvia.model.specs.common import LabelSelectorRequirement
from exuvia.model.specs.quarantine import IsolationStatus
from exuvia.model.specs.security_policy import Workloads

REPLACED_BY_OWNER = ("ReplicaSet", "ReplicationController")
LEAVES_ONCE_SEALED = ("StatefulSet", "Job")
CRITICAL_CLASSES = ("system-node-critical", "system-cluster-critical")
BECAUSE_LIMIT = 64


class Treatment(StrEnum):
    """What is done with a pod of a quarantined machine."""

    FROZEN = "Frozen"  # keeps running without its labels: its ReplicaSet starts a fresh one, no Service finds it
    UNAVAILABLE = "Unavailable"  # keeps its labels and is cut off: its owner cannot have another one elsewhere
    EVICT = "Evict"  # keeps its labels and is cut off until the evidence is sealed; then it is evicted
    LEFT_ALONE = "LeftAlone"  # mirror, owned by the Node, exuvia's own, or finished


def treatment(pod: Pod, workloads: Workloads, own: OwnPlace, marked: datetime | None = None) -> Treatment:
    """The treatment of any pod. One born after the machine was `marked` came back in spite of the marks: its owner
    would send the next one here as well, so it keeps its labels."""
    if pod.mirror or pod.owned_by_node or pod.finished or own.is_own(pod):
        return Treatment.LEFT_ALONE
    kind = pod.owner.kind if pod.owner else ""
    if workloads is Workloads.EVICT:
        return Treatment.UNAVAILABLE if kind == "DaemonSet" else Treatment.EVICT
    came_back = marked is not None and pod.created > marked
    return Treatment.FROZEN if kind in REPLACED_BY_OWNER and not came_back else Treatment.UNAVAILABLE


def leaves_once_sealed(pod: Pod, given: Treatment) -> bool:
    """Whether it is evicted when the evidence is sealed, so that its owner can go on elsewhere."""
    if pod.finished:
        return False
    owned = pod.owner is not None and pod.owner.kind in LEAVES_ONCE_SEALED
    return given is Treatment.EVICT or (given is Treatment.UNAVAILABLE and owned)


def label_changes(pod: Pod, given: Treatment, quarantine_uid: str) -> dict[str, str | None]:
    """The labels to set (value) and to remove (None) so that the treatment holds; empty when it holds already."""
    ours = {marks.QUARANTINE_POD_LABEL: quarantine_uid}
    match given:
        case Treatment.LEFT_ALONE:
            return {}
        case Treatment.FROZEN:
            wanted: dict[str, str | None] = {key: None for key in pod.labels if key not in ours} | ours
            return {} if dict(pod.labels) == ours else wanted
        case Treatment.UNAVAILABLE | Treatment.EVICT:
            return {} if pod.labels.get(marks.QUARANTINE_POD_LABEL) == quarantine_uid else {**ours}


def cut_off(pod: Pod, given: Treatment) -> bool:
    """Whether a network policy can and must isolate it."""
    return given is not Treatment.LEFT_ALONE and not pod.host_network


def broken_budgets(frozen: Iterable[Pod], budgets: Iterable[DisruptionBudget]) -> dict[str, str]:
    """Pod UID -> the PodDisruptionBudget that taking its labels away breaks: more of it go than it allows."""
    pods = tuple(frozen)
    held = [(pod, one) for one in budgets for pod in pods if one.namespace == pod.namespace and selects(one, pod)]
    going = Counter(one.key for _, one in held)
    return {pod.uid: one.key for pod, one in held if going[one.key] > one.allowed}


def selects(budget: DisruptionBudget, pod: Pod) -> bool:
    """Whether a PodDisruptionBudget of the same namespace covers a pod by its labels."""
    if budget.selects_all:
        return True
    if not budget.match_labels and not budget.match_expressions:
        return False
    return all(pod.labels.get(key) == value for key, value in budget.match_labels) and all(
        LabelSelectorRequirement(key=key, operator=operator, values=values).matches(pod.labels)
        for key, operator, values in budget.match_expressions
    )


def isolation(
    pods: Iterable[tuple[Pod, Treatment]],
    policies: Iterable[NetworkPolicyFacts],
    quarantine_uid: str,
    *,
    network: bool,
) -> IsolationStatus:
    """How well the pods are cut off, as they are labelled now. `network`: whether network policies were asked for."""
    subjects = [pod for pod, given in pods if given is not Treatment.LEFT_ALONE]
    if not network:
        return IsolationStatus(state="Partial", because=("spec.quarantine.isolation does not name NetworkPolicy",))
    host = tuple(f"pod {pod.key} uses the host's network" for pod in subjects if pod.host_network)
    gaps = tuple(_gaps([pod for pod in subjects if not pod.host_network], tuple(policies), quarantine_uid))
    because = tuple(one[:1000] for one in (*host, *gaps))[:BECAUSE_LIMIT]
    return IsolationStatus(state="Unsupported" if host else "Partial" if gaps else "Isolated", because=because)


def _gaps(pods: Iterable[Pod], policies: tuple[NetworkPolicyFacts, ...], quarantine_uid: str) -> Iterator[str]:
    denied = {one.namespace for one in policies if one.quarantine == quarantine_uid}
    for pod in pods:
        if pod.namespace not in denied:
            yield f"pod {pod.key} is not cut off: our network policy is not in namespace {pod.namespace}"
        for one in policies:
            if one.allows and one.namespace == pod.namespace and one.selector.matches(pod.labels):
                yield f"network policy {one.key} selects pod {pod.key} and allows traffic"
