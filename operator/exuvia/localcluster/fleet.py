"""Simulated machines and what runs on them: bodies of Nodes, pods, workloads and budgets, and their making.

A Node is created with its whole status in one POST: a thousand of them take seconds. KWOK plays the kubelet of those
with the annotation `kwok.x-k8s.io/node=fake`, and makes and renews their Leases (one that names another holder would
keep it from playing until that Lease has run out). The annotations below ask it for trouble.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from exuvia import errors, ports
from exuvia.model import marks, resources
from exuvia.model.resources import Resource

SIMULATED = {"kwok.x-k8s.io/node": "fake"}

NOT_READY = "simulated.exuvia.dev/not-ready"  # of a Node: it is not Ready for as long as it has this
BOOT = "simulated.exuvia.dev/boot"  # of a Node: how long it takes to be Ready (a Go duration, as 5s)
START_DELAY = "simulated.exuvia.dev/start-delay"  # of a pod: how long it takes to run
COMPLETE_AFTER = "simulated.exuvia.dev/complete-after"  # of a pod: it succeeds after so long
DELETION_DELAY = "simulated.exuvia.dev/deletion-delay"  # of a pod: how long its deletion takes, or `never`

DEPLOYMENTS = Resource(group="apps", plural="deployments", kind="Deployment", namespaced=True)
STATEFUL_SETS = Resource(group="apps", plural="statefulsets", kind="StatefulSet", namespaced=True)
SERVICE_ACCOUNTS = Resource(plural="serviceaccounts", kind="ServiceAccount", namespaced=True)

_IDENTITIES = uuid.UUID("6f0c1f7a-6d2e-4a4e-9d59-6d0f8a2f6c11")
_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What a machine boots from, and the versions it reports then."""

    os_image: str = "Simulated Linux 2026.11"
    kernel: str = "6.12.0"
    kubelet: str = "v1.36.3"
    container_runtime: str = "containerd://2.1.4"
    architecture: str = "amd64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One simulated machine. An empty `provider_id` is made from pool and name; IDs of machine and boot from that.

    `kubelet_port` is `ControlPlane.kubelet_port` (0: KWOK fills it in when the machine becomes Ready).
    """

    name: str
    pool: str = ""
    zone: str = ""
    image: Image = Image()
    provider_id: str = ""
    machine_id: str = ""
    boot_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, str]] = ()
    cpu: str = "8"
    memory: str = "32Gi"
    pods: int = 110
    kubelet_port: int = 0
    ready: bool = True

    @property
    def identity(self) -> str:
        """Its providerID."""
        return self.provider_id or f"simulated://{self.pool or 'none'}/{self.name}"


def node(machine: Machine, now: datetime) -> ports.Body:
    """The body of a Node, with its status."""
    labels = {
        "kubernetes.io/hostname": machine.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": machine.image.architecture,
        **({marks.POOL_LABEL: machine.pool} if machine.pool else {}),
        **({marks.ZONE_LABEL: machine.zone} if machine.zone else {}),
        **machine.labels,
    }
    annotations = {**SIMULATED, **machine.annotations}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": machine.name, "labels": labels, "annotations": annotations},
        "spec": {"providerID": machine.identity, "taints": [dict(one) for one in machine.taints]},
        "status": _status(machine, now),
    }


def _status(machine: Machine, now: datetime) -> ports.Body:
    room = {"cpu": machine.cpu, "memory": machine.memory, "pods": str(machine.pods)}
    return {
        "capacity": room,
        "allocatable": room,
        "conditions": _conditions(machine, _stamp(now)),
        "addresses": [
            {"type": "InternalIP", "address": "127.0.0.1"},
            {"type": "Hostname", "address": machine.name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": machine.kubelet_port}},
        "nodeInfo": _info(machine),
    }


def _conditions(machine: Machine, stamp: str) -> list[ports.Body]:
    times = {"lastHeartbeatTime": stamp, "lastTransitionTime": stamp}
    calm = [{"type": one, "status": "False", "reason": "KubeletHasEnough", **times} for one in _PRESSURES]
    if not machine.ready:
        return calm
    return [*calm, {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "simulated", **times}]


def _info(machine: Machine) -> ports.Body:
    image = machine.image
    return {
        "machineID": machine.machine_id or uuid.uuid5(_IDENTITIES, f"machine {machine.identity}").hex,
        "systemUUID": str(uuid.uuid5(_IDENTITIES, f"system {machine.identity}")),
        "bootID": machine.boot_id or str(uuid.uuid5(_IDENTITIES, f"boot {machine.identity}")),
        "kernelVersion": image.kernel,
        "osImage": image.os_image,
        "containerRuntimeVersion": image.container_runtime,
        "kubeletVersion": image.kubelet,
        "kubeProxyVersion": "",
        "operatingSystem": "linux",
        "architecture": image.architecture,
    }


def pod(
    name: str,
    namespace: str,
    *,
    node_name: str = "",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    grace_seconds: int = 30,
    **spec: Any,
) -> ports.Body:
    """A pod of one container; more fields of its spec by keyword, as in the API (`tolerations=[...]`)."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": dict(labels or {}),
            "annotations": dict(annotations or {}),
        },
        "spec": _pod_spec(grace_seconds, {"nodeName": node_name} | spec),
    }


def _pod_spec(grace_seconds: int, spec: Mapping[str, Any]) -> ports.Body:
    container = {"name": "app", "image": "registry.example/app:1", "resources": {"requests": {"cpu": "10m"}}}
    filled = {key: value for key, value in spec.items() if value not in ("", None)}
    return {"containers": [container], "terminationGracePeriodSeconds": grace_seconds, **filled}


def _workload(
    resource: Resource,
    name: str,
    namespace: str,
    annotations: Mapping[str, str] | None,
    pod_spec: Mapping[str, Any],
    spec: Mapping[str, Any],
) -> ports.Body:
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels, "annotations": dict(annotations or {})},
        "spec": _pod_spec(int(pod_spec.get("terminationGracePeriodSeconds", 30)), pod_spec),
    }
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


def deployment(
    name: str, namespace: str, replicas: int, *, annotations: Mapping[str, str] | None = None, **pod_spec: Any
) -> ports.Body:
    """A Deployment whose pods bear the label app=NAME and the annotations; fields of the pod's spec by keyword."""
    return _workload(DEPLOYMENTS, name, namespace, annotations, pod_spec, {"replicas": replicas})


def stateful_set(
    name: str, namespace: str, replicas: int, *, annotations: Mapping[str, str] | None = None, **pod_spec: Any
) -> ports.Body:
    """A StatefulSet without volumes; its pods bear the label app=NAME."""
    spec = {"replicas": replicas, "serviceName": name, "podManagementPolicy": "Parallel"}
    return _workload(STATEFUL_SETS, name, namespace, annotations, pod_spec, spec)


def daemon_set(
    name: str, namespace: str, *, annotations: Mapping[str, str] | None = None, **pod_spec: Any
) -> ports.Body:
    """A DaemonSet that tolerates everything; its pods bear the label app=NAME."""
    pod_spec = {"tolerations": [{"operator": "Exists"}], **pod_spec}
    return _workload(resources.DAEMON_SETS, name, namespace, annotations, pod_spec, {})


def disruption_budget(name: str, namespace: str, app: str, **spec: Any) -> ports.Body:
    """A PodDisruptionBudget over the pods of app=APP; `minAvailable` or `maxUnavailable` by keyword."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"matchLabels": {"app": app}}, **spec},
    }


async def create_nodes(cluster: ports.Cluster, machines: Iterable[Machine], now: datetime) -> list[ports.Body]:
    """All machines at once. Returns their Nodes as the server stored them, in order."""
    return list(await asyncio.gather(*(cluster.create(resources.NODES, node(one, now)) for one in machines)))


async def create_all(cluster: ports.Cluster, resource: Resource, bodies: Iterable[ports.Body]) -> list[ports.Body]:
    """Create many objects of one kind, all at once, each in the namespace that its body names."""
    made = (cluster.create(resource, one, namespace=one["metadata"].get("namespace", "")) for one in bodies)
    return list(await asyncio.gather(*made))


async def create_namespace(cluster: ports.Cluster, name: str, *, patience: float = 20.0) -> None:
    """A namespace in which pods can be created: its default service account is awaited for `patience` seconds."""
    await cluster.create(resources.NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    waited = 0.0
    while await cluster.get(SERVICE_ACCOUNTS, "default", namespace=name) is None:
        if waited >= patience:
            raise errors.NotFound(
                f"The namespace {name} got no default service account in {patience:.0f} s.", status=404
            )
        waited += 0.05
        await asyncio.sleep(0.05)


def _stamp(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")
