"""Labels of pods: taken away or given back, in one merge patch with UID and resourceVersion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exuvia import errors, ports
from exuvia.act.answers import outcome_of
from exuvia.model import resources
from exuvia.model.actions import LabelPod, Outcome, OutcomeKind
from exuvia.model.permissions import Duty, Permission

PERMISSIONS = (Permission(duty=Duty.QUARANTINE, resource="pods", verbs=("get", "patch")),)
_TRIES = 3


async def label_pod(cluster: ports.Cluster, action: LabelPod, *, dry_run: bool = False) -> Outcome:
    """Set and remove labels of this very pod. A pod that is gone, or has them so, is success."""
    outcome = Outcome(action=action, kind=OutcomeKind.FAILED)
    for _ in range(_TRIES):
        outcome = await _try(cluster, action, dry_run)
        if outcome.code != 409:
            break
    return outcome


async def _try(cluster: ports.Cluster, action: LabelPod, dry_run: bool) -> Outcome:
    pod = action.pod
    try:
        found = await cluster.get(resources.PODS, pod.name, namespace=pod.namespace)
        if found is None or found["metadata"]["uid"] != pod.uid:
            return Outcome(action=action, kind=OutcomeKind.ALREADY, message=f"pod {pod.namespace}/{pod.name} is gone")
        if not _missing(found["metadata"].get("labels") or {}, action.labels):
            return Outcome(action=action, kind=OutcomeKind.ALREADY)
        body = {
            "metadata": {
                "uid": pod.uid,
                "resourceVersion": found["metadata"]["resourceVersion"],
                "labels": dict(action.labels),
            }
        }
        await cluster.merge_patch(resources.PODS, pod.name, body, namespace=pod.namespace, dry_run=dry_run)
    except errors.NotFound:
        return Outcome(action=action, kind=OutcomeKind.ALREADY, message=f"pod {pod.namespace}/{pod.name} is gone")
    except errors.ClusterError as trouble:
        return outcome_of(action, trouble, f"labels of pod {pod.namespace}/{pod.name}")
    return Outcome(action=action, kind=OutcomeKind.DONE)


def _missing(labels: Mapping[str, Any], wanted: Mapping[str, str | None]) -> bool:
    return any(labels.get(key) != value for key, value in wanted.items())
