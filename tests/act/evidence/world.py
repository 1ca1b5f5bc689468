"""A small API server for evidence: one node, its pods, their logs, and what should go wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from exuvia import errors
from exuvia.act.evidence import Custodian
from exuvia.model import resources
from exuvia.model.evidence import CollectorOrder, EvidenceOrder
from exuvia.model.instances import Reference
from exuvia.model.resources import Resource

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


class TurningClock:
    """One second later at every look."""

    def __init__(self) -> None:
        self.moment = NOW

    def now(self) -> datetime:
        self.moment += timedelta(seconds=1)
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()


class EvidenceWorld:
    """Serves what evidence asks for; `broken` maps a word of the request to the error it meets."""

    def __init__(self) -> None:
        self.node: dict[str, Any] | None = {"kind": "Node", "metadata": {"name": "worker-7", "uid": "node-uid"}}
        self.pods: list[dict[str, Any]] = [pod("shop", "cart-1")]
        self.logs_by_container: dict[str, bytes] = {}
        self.broken: dict[str, Exception] = {}
        self.asked: list[str] = []

    def _meet(self, what: str) -> None:
        self.asked.append(what)
        for word, trouble in self.broken.items():
            if word in what:
                raise trouble

    async def get(self, resource: Resource, name: str, *, namespace: str = "") -> dict[str, Any] | None:
        self._meet(f"get {resource.plural} {namespace}/{name}")
        if resource == resources.NODES:
            return self.node
        if resource == resources.QUARANTINES:
            return {"kind": "Quarantine", "metadata": {"name": name}}
        return None

    async def pages(
        self, resource: Resource, *, namespace: str = "", field_selector: str = "", **_: object
    ) -> AsyncIterator[list[dict[str, Any]]]:
        self._meet(f"list {resource.plural} {namespace}")
        if resource == resources.PODS:
            yield self.pods
        elif resource == resources.CORE_EVENTS and namespace:
            yield [{"kind": "Event", "involvedObject": {"uid": "uid-cart-1"}, "message": "Pulled"}]
            yield [{"kind": "Event", "involvedObject": {"uid": "another"}, "message": "of a pod elsewhere"}]
        else:
            yield []

    async def logs(
        self, namespace: str, pod: str, container: str, *, previous: bool = False, limit_bytes: int = 0, **_: object
    ) -> AsyncIterator[bytes]:
        self._meet(f"log {namespace}/{pod}/{container}{' previous' if previous else ''}")
        text = self.logs_by_container.get(container, f"{pod} {container} says hello\n".encode())
        text = text[:limit_bytes] if limit_bytes else text
        for start in range(0, len(text), 7):
            yield text[start : start + 7]


def pod(
    namespace: str,
    name: str,
    *,
    containers: tuple[str, ...] = ("app",),
    env: Mapping[str, str] | None = None,
    restarts: int = 0,
    waiting: bool = False,
) -> dict[str, Any]:
    """A pod on worker-7 as the API serves it."""
    state = {"waiting": {"reason": "ContainerCreating"}} if waiting else {"running": {}}
    return {
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "uid": f"uid-{name}"},
        "spec": {
            "nodeName": "worker-7",
            "containers": [
                {"name": one, "env": [{"name": k, "value": v} for k, v in (env or {}).items()]} for one in containers
            ],
        },
        "status": {
            "containerStatuses": [{"name": one, "restartCount": restarts, "state": state} for one in containers]
        },
    }


def order(**changes: Any) -> EvidenceOrder:
    """The order for worker-7 with the two default collectors."""
    given: dict[str, Any] = {
        "quarantine": "worker-7-node-uid-1",
        "uid": "quarantine-uid",
        "instance": Reference(name="worker-7", uid="node-uid", provider_id="simulated://7"),
        "collectors": (
            CollectorOrder(name="api", type="APIObjects"),
            CollectorOrder(name="logs", type="PodLogs", since=timedelta(hours=24)),
        ),
        "about": {"requestedBy": "alice", "reason": "looks odd"},
    }
    return EvidenceOrder(**{**given, **changes})


def custodian(world: EvidenceWorld, root: Path, **given: Any) -> Custodian:
    """A custodian that keeps evidence under `root`."""
    return Custodian(world, TurningClock(), root, **given)  # type: ignore[arg-type]


def kubelet_down() -> errors.ServerTrouble:
    """What the API server says when it cannot reach the kubelet."""
    return errors.ServerTrouble("dial tcp 10.0.0.7:10250: connection refused", status=500)
