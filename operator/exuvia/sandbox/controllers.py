"""The rest of Kubernetes, as far as a rotation or a quarantine meets it: one small actor each.

Annotations of `simulated.exuvia.dev/` mean what they mean on simulated nodes: `deletion-delay` (a duration or `never`),
`start-delay`, `complete-after`, and on Nodes `not-ready`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from exuvia.model import resources
from exuvia.model.specs.common import parse_duration
from exuvia.sandbox import budgets, objects, workloads
from exuvia.sandbox.objects import Body
from exuvia.sandbox.storage import Storage

PREFIX = "simulated.exuvia.dev/"
UNSCHEDULABLE_TAINT = "node.kubernetes.io/unschedulable"
NOT_READY_TAINT = "node.kubernetes.io/not-ready"
NODE_LEASES = "kube-node-lease"
RENEWAL = timedelta(seconds=10)


class Actor(Protocol):
    """Somebody else in the world: a controller, a kubelet, a cloud."""

    def act(self, storage: Storage, now: datetime) -> None:
        """Do what is due now."""


def usual() -> tuple[Actor, ...]:
    """Those of every world, in the order in which they act."""
    return (
        Nodes(),
        Leases(),
        Kubelets(),
        workloads.Owners(),
        workloads.Scheduler(),
        budgets.Budgets(),
        Volumes(),
        Namespaces(),
    )


class Nodes:
    """Keeps the taints of the node lifecycle controller, and breaks a Node that shall be broken."""

    def act(self, storage: Storage, now: datetime) -> None:
        """Look at every Node."""
        for node in storage.look(resources.NODES):
            wanted = objects.is_ready(node) and PREFIX + "not-ready" not in objects.annotations_of(node)
            if objects.condition(node, "Ready") is not None and wanted != objects.is_ready(node):
                node = storage.put(
                    resources.NODES, objects.with_condition(node, "Ready", wanted, "KubeletNotReady", now)
                )
            spec = node["spec"]
            taints = _switched(spec.get("taints") or [], UNSCHEDULABLE_TAINT, on=bool(spec.get("unschedulable")))
            taints = _switched(taints, NOT_READY_TAINT, on=not objects.is_ready(node))
            if taints != (spec.get("taints") or []):
                storage.put(resources.NODES, {**node, "spec": {**spec, "taints": taints}})


def _switched(taints: list[Body], key: str, *, on: bool) -> list[Body]:
    there = any(one["key"] == key for one in taints)
    if on and not there:
        return [*taints, {"key": key, "effect": "NoSchedule"}]
    return taints if on else [one for one in taints if one["key"] != key]


class Leases:
    """Renews the lease of every Node that is Ready, every 10 s; the lease of a Node that is gone goes."""

    def act(self, storage: Storage, now: datetime) -> None:
        """Look at every Node and every node lease."""
        nodes = {one["metadata"]["name"]: objects.is_ready(one) for one in storage.look(resources.NODES)}
        leases = {one["metadata"]["name"]: one for one in storage.look(resources.LEASES, NODE_LEASES)}
        for name in sorted({*leases} - {*nodes}):
            storage.remove(resources.LEASES, leases[name])
        for name in (one for one, ready in nodes.items() if ready):
            _renew(storage, name, leases.get(name), now)


def _renew(storage: Storage, name: str, lease: Body | None, now: datetime) -> None:
    spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": f"{now:%Y-%m-%dT%H:%M:%S.%fZ}"}
    if lease is None:
        storage.add(resources.LEASES, {"metadata": {"name": name, "namespace": NODE_LEASES}, "spec": spec})
    elif now >= (objects.moment(lease["spec"]["renewTime"]) or now) + RENEWAL:
        storage.put(resources.LEASES, {**lease, "spec": spec})


class Kubelets:
    """Start pods, complete them, end them. A Node that is not Ready does none of it; pods of no Node are collected."""

    def act(self, storage: Storage, now: datetime) -> None:
        """Look at every pod that is bound."""
        ready = {one["metadata"]["name"]: objects.is_ready(one) for one in storage.look(resources.NODES)}
        for pod in storage.look(resources.PODS):
            node = pod["spec"].get("nodeName")
            if node and node not in ready:
                storage.remove(resources.PODS, pod)
            elif node and ready[node]:
                _run(storage, pod, now)


def _run(storage: Storage, pod: Body, now: datetime) -> None:
    if objects.is_deleting(pod):
        _end(storage, pod, now)
    elif pod["status"].get("phase", "Pending") == "Pending":
        _start(storage, pod, now)
    elif pod["status"]["phase"] == "Running":
        _complete(storage, pod, now)


def _start(storage: Storage, pod: Body, now: datetime) -> None:
    born = objects.moment(pod["metadata"]["creationTimestamp"]) or now
    if now < born + (_span(pod, "start-delay", None) or timedelta(0)):
        return
    status = {**pod["status"], "phase": "Running", "startTime": objects.stamp(now)}
    storage.put(resources.PODS, objects.with_condition({**pod, "status": status}, "Ready", True, "", now))


def _complete(storage: Storage, pod: Body, now: datetime) -> None:
    after = _span(pod, "complete-after", None)
    started = objects.moment(pod["status"].get("startTime"))
    if after is None or started is None or now < started + after:
        return
    done = objects.with_condition(pod, "Ready", False, "PodCompleted", now)
    storage.put(resources.PODS, {**done, "status": {**done["status"], "phase": "Succeeded"}})


def _end(storage: Storage, pod: Body, now: datetime) -> None:
    """As quickly as the pod itself ends, at the latest when its grace is over; `never` for one that is stuck."""
    text = objects.annotations_of(pod).get(PREFIX + "deletion-delay", "")
    deadline = objects.moment(pod["metadata"]["deletionTimestamp"]) or now
    grace = timedelta(seconds=pod["metadata"].get("deletionGracePeriodSeconds") or 0)
    delay = min(_span(pod, "deletion-delay", timedelta(seconds=1)) or grace, grace) if text != "never" else None
    if delay is None or now < deadline - grace + delay:
        return
    if pod["metadata"].get("finalizers"):
        meta = {**pod["metadata"], "deletionGracePeriodSeconds": 0}
        storage.put(resources.PODS, {**pod, "metadata": meta})
    else:
        storage.remove(resources.PODS, pod)


def _span(pod: Mapping[str, Any], name: str, default: timedelta | None) -> timedelta | None:
    text = objects.annotations_of(pod).get(PREFIX + name)
    span = parse_duration(text) if text and text != "never" else default
    return span if isinstance(span, timedelta) else None


class Volumes:
    """Detaches the volumes of a machine once no pod on it uses a claim."""

    def act(self, storage: Storage, now: datetime) -> None:
        """Look at every attachment."""
        attachments = storage.look(resources.VOLUME_ATTACHMENTS)
        if not attachments:
            return
        used = {pod["spec"].get("nodeName") for pod in storage.look(resources.PODS) if _uses_claims(pod)}
        for one in attachments:
            if one["spec"]["nodeName"] not in used:
                storage.remove(resources.VOLUME_ATTACHMENTS, one)


class Namespaces:
    """Empties a namespace whose deletion was asked for, and takes it away when it is empty."""

    def act(self, storage: Storage, now: datetime) -> None:
        """Look at every namespace."""
        for one in storage.look(resources.NAMESPACES):
            if objects.is_deleting(one):
                _empty(storage, one)


def _empty(storage: Storage, namespace: Body) -> None:
    if (namespace.get("status") or {}).get("phase") != "Terminating":
        namespace = storage.put(resources.NAMESPACES, {**namespace, "status": {"phase": "Terminating"}})
    name = namespace["metadata"]["name"]
    content = [(kind, one) for kind in storage.kinds() if kind.namespaced for one in storage.look(kind, name)]
    for kind, one in content:
        storage.ask_deletion(kind, one)
    if not content:
        storage.remove(resources.NAMESPACES, namespace)


def _uses_claims(pod: Mapping[str, Any]) -> bool:
    volumes: Iterable[Mapping[str, Any]] = pod["spec"].get("volumes") or ()
    return not objects.is_finished(pod) and any("persistentVolumeClaim" in one for one in volumes)
