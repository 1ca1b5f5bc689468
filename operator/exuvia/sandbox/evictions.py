"""The Eviction API as the real server has it: which budget is asked, what it answers, what an eviction leaves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from exuvia.model import resources
from exuvia.sandbox import objects, replies
from exuvia.sandbox.objects import Body
from exuvia.sandbox.storage import Storage


def evict(storage: Storage, pod: Body, grace: timedelta | None, now: datetime, *, dry_run: bool) -> None:
    """Take one healthy pod off its budget and ask for its deletion. Raises what the server would answer."""
    budget = None if _needs_no_budget(pod) else _budget_of(storage, pod)
    if budget is not None and not _may_pass(budget, pod):
        _check(budget)
        if not dry_run:
            _take(storage, budget, pod, now)
    if not dry_run:
        marked = objects.with_condition(pod, "DisruptionTarget", True, "EvictionByEvictionAPI", now)
        storage.ask_deletion(resources.PODS, storage.put(resources.PODS, marked), grace)


def _needs_no_budget(pod: Mapping[str, Any]) -> bool:
    """What does not run, or is on its way out already, costs nobody anything."""
    return (
        objects.is_finished(pod)
        or (pod.get("status") or {}).get("phase", "Pending") == "Pending"
        or objects.is_deleting(pod)
    )


def _budget_of(storage: Storage, pod: Mapping[str, Any]) -> Body | None:
    labels, namespace = objects.labels_of(pod), pod["metadata"]["namespace"]
    found = [
        one
        for one in storage.look(resources.POD_DISRUPTION_BUDGETS, namespace)
        if objects.selects((one.get("spec") or {}).get("selector"), labels)
    ]
    if len(found) > 1:
        raise replies.several_budgets()
    return found[0] if found else None


def _may_pass(budget: Mapping[str, Any], pod: Mapping[str, Any]) -> bool:
    """A pod that is not ready counts for nothing, as long as the others are enough (or always, if it says so)."""
    if objects.is_ready(pod):
        return False
    if (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status") or {}
    return bool(status.get("currentHealthy", 0) >= status.get("desiredHealthy", 0) > 0)


def _check(budget: Mapping[str, Any]) -> None:
    meta, status = budget["metadata"], budget.get("status") or {}
    if status.get("observedGeneration", 0) < meta.get("generation", 1):
        raise replies.budget_in_the_making(meta["name"])
    if status.get("disruptionsAllowed", 0) <= 0:
        raise replies.budget_exhausted(meta["name"], status.get("desiredHealthy", 0), status.get("currentHealthy", 0))


def _take(storage: Storage, budget: Body, pod: Mapping[str, Any], now: datetime) -> None:
    status = dict(budget["status"])
    status["disruptionsAllowed"] -= 1
    status["disruptedPods"] = {**(status.get("disruptedPods") or {}), pod["metadata"]["name"]: objects.stamp(now)}
    storage.put(resources.POD_DISRUPTION_BUDGETS, {**budget, "status": status})
