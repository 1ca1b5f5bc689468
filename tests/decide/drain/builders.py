"""Pods, budgets and situations for the drain's tests, in few words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from exuvia.decide.drain import Drainage, Situation, plan
from exuvia.model.actions import DeletePod, EvictPod
from exuvia.model.pods import DisruptionBudget, Owner, Pod, Toleration
from exuvia.model.specs.common import LabelSelector
from exuvia.model.specs.operation import BlockedPod
from exuvia.model.specs.security_policy import DrainSettings, PodRule

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TAINTED = NOW - timedelta(minutes=1)
REPLICA_SET = Owner(api_version="apps/v1", kind="ReplicaSet", name="web", uid="rs-1")
DAEMON_SET = Owner(api_version="apps/v1", kind="DaemonSet", name="agent", uid="ds-1")
EVERYTHING = (Toleration(operator="Exists"),)


def pod(name: str, **facts: Any) -> Pod:
    """A pod of a ReplicaSet, there before the taint, where nothing else is said."""
    said: dict[str, Any] = {
        "namespace": "shop",
        "uid": f"uid-{name}",
        "node": "worker-1",
        "phase": "Running",
        "created": NOW - timedelta(days=1),
        "started": NOW - timedelta(days=1),
        "labels": {"app": name},
        "owner": REPLICA_SET,
        "grace_seconds": 30,
    }
    return Pod(name=name, **(said | facts))


def rule(name: str, behaviour: str, order: int = 0, **labels: str) -> PodRule:
    """A pod rule."""
    return PodRule(name=name, selector=LabelSelector(match_labels=labels), behavior=behaviour, order=order)


def situation(*, budgets: tuple[DisruptionBudget, ...] = (), **facts: Any) -> Situation:
    """A drain. `facts`: fields of Situation, or of DrainSettings."""
    known = {key: value for key, value in facts.items() if key in Situation.__dataclass_fields__}
    settings = {key: value for key, value in facts.items() if key not in known}
    known.setdefault("tainted_at", TAINTED)
    return Situation(settings=DrainSettings(**settings), budgets=budgets, **known)


def budget(name: str, app: str, allowed: int = 0) -> DisruptionBudget:
    """A PodDisruptionBudget over the pods with that `app` label."""
    return DisruptionBudget(
        namespace="shop", name=name, match_labels=(("app", app),), allowed=allowed, healthy=2, desired=2
    )


def refused(name: str, reason: str = "PDB", *, after: float = -1, **facts: Any) -> BlockedPod:
    """An entry of `status.drain.blockedBy` that an answer left; it may be asked again `after` seconds from now."""
    said: dict[str, Any] = {"pdb": "shop/pdb"} if reason == "PDB" else {}
    return BlockedPod(
        pod=f"shop/{name}",
        uid=f"uid-{name}",
        reason=reason,
        message=f"{name}: {reason}",
        since=NOW - timedelta(minutes=3),
        next=NOW + timedelta(seconds=after),
        **(said | facts),
    )


def asked(*pods: Pod, entries: tuple[BlockedPod, ...] = (), now: datetime = NOW, **facts: Any) -> list[str]:
    """Names of the pods that leave now; those that are deleted end in `!`."""
    return names(plan(pods, situation(**facts), entries, now))


def names(found: Drainage) -> list[str]:
    """The same of a plan."""
    said = {EvictPod: "", DeletePod: "!"}
    return [one.pod.name + said[type(one)] for one in found.actions]
