"""The disruption controller: what each PodDisruptionBudget allows now."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from exuvia.model import resources
from exuvia.sandbox import kinds, objects
from exuvia.sandbox.objects import Body
from exuvia.sandbox.storage import Storage

UNCONFIRMED = timedelta(minutes=2)  # so long an eviction counts whose pod does not go


class Budgets:
    """Keeps the status of every budget."""

    def act(self, storage: Storage, now: datetime) -> None:
        """Look at every budget."""
        for budget in storage.look(resources.POD_DISRUPTION_BUDGETS):
            status = _status(storage, budget, now)
            if status != budget.get("status"):
                storage.put(resources.POD_DISRUPTION_BUDGETS, {**budget, "status": status})


def _status(storage: Storage, budget: Body, now: datetime) -> dict[str, Any]:
    spec, namespace = budget.get("spec") or {}, budget["metadata"]["namespace"]
    pods = [
        one
        for one in storage.look(resources.PODS, namespace)
        if objects.selects(spec.get("selector"), objects.labels_of(one)) and not objects.is_finished(one)
    ]
    leaving = _leaving(budget, pods, now)
    healthy = sum(_counts(one) and one["metadata"]["name"] not in leaving for one in pods)
    expected, desired = _needs(storage, spec, pods)
    return {
        "observedGeneration": budget["metadata"].get("generation", 1),
        "expectedPods": expected,
        "desiredHealthy": desired,
        "currentHealthy": healthy,
        "disruptionsAllowed": max(0, healthy - desired) if expected > 0 else 0,
        "disruptedPods": leaving,
    }


def _counts(pod: Mapping[str, Any]) -> bool:
    return objects.is_ready(pod) and not objects.is_deleting(pod)


def _leaving(budget: Mapping[str, Any], pods: list[Body], now: datetime) -> dict[str, str]:
    """Evictions that were granted and are not seen to happen yet."""
    alive = {one["metadata"]["name"] for one in pods if not objects.is_deleting(one)}
    granted = (budget.get("status") or {}).get("disruptedPods") or {}
    return {
        name: since
        for name, since in granted.items()
        if name in alive and now < (objects.moment(since) or now) + UNCONFIRMED
    }


def _needs(storage: Storage, spec: Mapping[str, Any], pods: list[Body]) -> tuple[int, int]:
    """(how many there should be, how many must be healthy)."""
    if "maxUnavailable" in spec:
        expected = _scale(storage, pods)
        return expected, max(0, expected - _amount(spec["maxUnavailable"], expected))
    minimum = spec.get("minAvailable", 1)
    expected = len(pods) if isinstance(minimum, int) else _scale(storage, pods)
    return expected, _amount(minimum, expected)


def _amount(value: Any, of: int) -> int:
    """A number, or a share rounded up."""
    return math.ceil(of * int(str(value).rstrip("%")) / 100) if isinstance(value, str) else int(value)


def _scale(storage: Storage, pods: list[Body]) -> int:
    """Replicas of the owners of these pods, each owner once; a pod without a scalable owner counts for itself."""
    owners = {_owner(pod) for pod in pods}
    scales = {
        one["metadata"]["uid"]: int(one["spec"].get("replicas", 1))
        for resource in (kinds.REPLICA_SETS, kinds.STATEFUL_SETS)
        for one in storage.look(resource)
    }
    return sum(scales.get(uid, 1) for uid in owners)


def _owner(pod: Mapping[str, Any]) -> str:
    owner = objects.controller_of(pod)
    return str(owner["uid"]) if owner else str(pod["metadata"]["uid"])
