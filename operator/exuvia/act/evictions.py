"""Pods leave: by the Eviction API with a UID precondition, or, past a declared deadline in Force mode, by DELETE.

What the API server says is told apart (safety.md, P7): a PodDisruptionBudget, throttling, several budgets for one pod,
a namespace that ends, a missing right, a pod that is gone. Nothing is retried here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from exuvia import errors, ports
from exuvia.act.answers import outcome_of
from exuvia.model import resources
from exuvia.model.actions import DeletePod, EvictPod, Outcome, OutcomeKind
from exuvia.model.permissions import Duty, Permission
from exuvia.model.reasons import BlockedReason

PERMISSIONS = (
    Permission(duty=Duty.ROTATE, resource="pods/eviction", verbs=("create",)),
    Permission(duty=Duty.ROTATE, resource="pods", verbs=("delete",)),
    Permission(duty=Duty.QUARANTINE, resource="pods/eviction", verbs=("create",)),
)
MINIMAL_GRACE = timedelta(seconds=1)
SLOW_RETRY = timedelta(minutes=1)  # a misconfiguration that only a person can mend
ENDING_RETRY = timedelta(seconds=5)  # a namespace that ends takes its pods along
NAMESPACE_TERMINATING = "NamespaceTerminating"

_BUDGET_CAUSE = "DisruptionBudget"
_BUDGET = re.compile(r"The disruption budget (?P<pdb>\S+) needs (?P<needs>\d+) healthy pods and has (?P<has>\d+)")
_BUDGET_NAME = re.compile(r"[Tt]he disruption budget (?P<pdb>\S+)")
_SEVERAL = "more than one PodDisruptionBudget"
_ANOTHER = re.compile(r"UID in precondition|the UID in the precondition", re.IGNORECASE)


async def evict_pod(cluster: ports.Cluster, action: EvictPod, *, dry_run: bool = False) -> Outcome:
    """Ask for one eviction. `code` is the HTTP code for the metric of evictions, 0 without an answer."""
    pod = action.pod
    grace = None if action.grace is None else max(action.grace, MINIMAL_GRACE)
    try:
        await cluster.evict(pod.namespace, pod.name, uid=pod.uid, grace=grace, dry_run=dry_run)
    except errors.ClusterError as trouble:
        return _refused(action, trouble)
    return Outcome(action=action, kind=OutcomeKind.DONE, code=201)


async def delete_pod(cluster: ports.Cluster, action: DeletePod, *, dry_run: bool = False) -> Outcome:
    """Delete this very pod with at least 1 s of grace. Gone already is success."""
    pod = action.pod
    grace = max(action.grace, MINIMAL_GRACE)
    try:
        await cluster.delete(
            resources.PODS, pod.name, uid=pod.uid, namespace=pod.namespace, grace=grace, dry_run=dry_run
        )
    except errors.ClusterError as trouble:
        return _refused(action, trouble)
    return Outcome(action=action, kind=OutcomeKind.DONE, code=200)


def _refused(action: EvictPod | DeletePod, trouble: errors.ClusterError) -> Outcome:
    pod = f"pod {action.pod.namespace}/{action.pod.name}"
    match trouble:
        case errors.NotFound():
            return Outcome(action=action, kind=OutcomeKind.ALREADY, code=404, message=f"{pod} is gone")
        case errors.Conflict() if _ANOTHER.search(trouble.message):
            message = f"{pod} is gone; another pod bears its name"
            return Outcome(action=action, kind=OutcomeKind.ALREADY, code=409, message=message)
        case errors.TooManyRequests() if _budget_messages(trouble.body):
            return _held_by_budget(action, trouble)
        case errors.ServerTrouble() if _SEVERAL in trouble.message:
            return _several_budgets(action, pod)
        case errors.Forbidden(reason="NamespaceTerminating"):
            return _namespace_ends(action, trouble)
        case _:
            return outcome_of(action, trouble, pod)


def _held_by_budget(action: EvictPod | DeletePod, trouble: errors.TooManyRequests) -> Outcome:
    said = "; ".join(_budget_messages(trouble.body))
    return Outcome(
        action=action,
        kind=OutcomeKind.REFUSED,
        code=429,
        reason=BlockedReason.PDB,
        message=f"pod {action.pod.namespace}/{action.pod.name}: {said}"[:1000],
        retry_after=trouble.retry_after,
        detail=_needs(action.pod.namespace, said),
    )


def _several_budgets(action: EvictPod | DeletePod, pod: str) -> Outcome:
    message = f"{pod} is selected by more than one PodDisruptionBudget, which the Eviction API cannot serve: "
    return Outcome(
        action=action,
        kind=OutcomeKind.REFUSED,
        code=500,
        reason=BlockedReason.PDB,
        message=message + "this is a misconfiguration; leave the pod only one of them",
        retry_after=SLOW_RETRY,
    )


def _namespace_ends(action: EvictPod | DeletePod, trouble: errors.Forbidden) -> Outcome:
    message = f"namespace {action.pod.namespace} is terminating and takes its pods along; waiting for it"
    return Outcome(
        action=action,
        kind=OutcomeKind.REFUSED,
        code=trouble.status or 403,
        reason=NAMESPACE_TERMINATING,
        message=message,
        retry_after=ENDING_RETRY,
    )


def _budget_messages(body: Mapping[str, Any]) -> list[str]:
    details = body.get("details") or {}
    causes = details.get("causes") or () if isinstance(details, Mapping) else ()
    return [str(one.get("message") or "") for one in causes if one.get("reason") == _BUDGET_CAUSE]


def _needs(namespace: str, said: str) -> dict[str, str]:
    """Which budget, and its numbers where they are told (not while it is being worked out, or could not be)."""
    found = _BUDGET.search(said)
    if found:
        return {"pdb": f"{namespace}/{found['pdb']}", "needs": found["needs"], "has": found["has"]}
    named = _BUDGET_NAME.search(said)
    return {"pdb": f"{namespace}/{named['pdb']}"} if named else {}
