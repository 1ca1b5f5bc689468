"""Bodies to put into a world: Nodes, pods, owners, budgets, as the API serves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from exuvia.model import marks
from exuvia.sandbox import objects
from exuvia.sandbox.clock import START

Body = dict[str, Any]


def node(
    name: str,
    *,
    pool: str = "workers",
    zone: str = "zone-a",
    provider_id: str | None = None,
    machine_id: str = "",
    born: datetime = START - timedelta(hours=1),
    ready: bool = True,
    os_image: str = "Talos (v1.10.3)",
    kubelet: str = "v1.36.3",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    taints: Sequence[Mapping[str, str]] = (),
    unschedulable: bool = False,
    uid: str = "",
) -> Body:
    """A Node of a simulated machine."""
    base = {
        "kubernetes.io/hostname": name,
        marks.ZONE_LABEL: zone,
        **({marks.POOL_LABEL: pool} if pool else {}),
    }
    body: Body = {
        "metadata": {
            "name": name,
            "creationTimestamp": objects.stamp(born),
            "labels": base | dict(labels or {}),
            "annotations": dict(annotations or {}),
            **({"uid": uid} if uid else {}),
        },
        "spec": {
            "providerID": f"simulated://{pool}/{name}" if provider_id is None else provider_id,
            "taints": [dict(one) for one in taints],
            "unschedulable": unschedulable,
        },
        "status": {
            "nodeInfo": {
                "machineID": machine_id or f"machine-{name}",
                "bootID": f"boot-{name}",
                "osImage": os_image,
                "kubeletVersion": kubelet,
                "containerRuntimeVersion": "containerd://2.0.1",
                "kernelVersion": "6.1.90-talos",
            }
        },
    }
    return objects.with_condition(body, "Ready", ready, "KubeletReady" if ready else "KubeletNotReady", born)


def pod(
    name: str,
    *,
    namespace: str = "default",
    node: str = "",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    owner: tuple[str, str, str] | None = None,
    phase: str = "Running",
    ready: bool = True,
    grace: int = 30,
    empty_dir: bool = False,
    claim: str = "",
    tolerations: Sequence[Mapping[str, str]] = (),
    started: datetime = START - timedelta(minutes=30),
    **spec: Any,
) -> Body:
    """A pod. `owner`: kind, name and UID of its controller; `spec`: more fields of the spec, as the API names them."""
    kind, owner_name, owner_uid = owner or ("", "", "")
    volumes: list[Body] = [{"name": "scratch", "emptyDir": {}}] if empty_dir else []
    volumes += [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}] if claim else []
    references = [{"apiVersion": "apps/v1", "kind": kind, "name": owner_name, "uid": owner_uid, "controller": True}]
    body: Body = {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "creationTimestamp": objects.stamp(started),
            "labels": dict(labels or {}),
            "annotations": dict(annotations or {}),
            "ownerReferences": references if owner else [],
        },
        "spec": {
            "containers": [{"name": "app", "image": "registry.example.org/app:1"}],
            "terminationGracePeriodSeconds": grace,
            "tolerations": [dict(one) for one in tolerations],
            **({"nodeName": node} if node else {}),
            **({"volumes": volumes} if volumes else {}),
            **spec,
        },
        "status": {"phase": phase, "startTime": objects.stamp(started)},
    }
    if phase != "Running":
        return body
    return objects.with_condition(body, "Ready", ready, "", started)


def replica_set(name: str, replicas: int, *, namespace: str = "default", **template: Any) -> Body:
    """A ReplicaSet whose pods bear `app: <name>`. `template`: annotations, and fields of the pods' spec."""
    return _owner(name, namespace, template, replicas)


def stateful_set(name: str, replicas: int, *, namespace: str = "default", **template: Any) -> Body:
    """A StatefulSet whose pods bear `app: <name>`."""
    return _owner(name, namespace, template, replicas)


def daemon_set(name: str, *, namespace: str = "kube-system", **template: Any) -> Body:
    """A DaemonSet whose pods bear `app: <name>`; they tolerate every taint unless `tolerations` says otherwise."""
    return _owner(name, namespace, {"tolerations": [{"operator": "Exists"}], **template}, None)


def _owner(name: str, namespace: str, template: Mapping[str, Any], replicas: int | None) -> Body:
    labels = {"app": name}
    spec = {key: value for key, value in template.items() if key != "annotations"}
    containers = [{"name": "app", "image": "registry.example.org/app:1"}]
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": dict(template.get("annotations") or {})},
                "spec": {"containers": containers, **spec},
            },
            **({} if replicas is None else {"replicas": replicas}),
        },
    }


def budget(
    name: str,
    *,
    namespace: str = "default",
    app: str = "",
    min_available: int | str | None = None,
    max_unavailable: int | str | None = None,
) -> Body:
    """A PodDisruptionBudget for the pods that bear `app: <app>` (or its own name)."""
    amounts = {"minAvailable": min_available, "maxUnavailable": max_unavailable}
    given = {key: value for key, value in amounts.items() if value is not None}
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"matchLabels": {"app": app or name}}, **given},
    }


def attachment(volume: str, node: str) -> Body:
    """A VolumeAttachment: a persistent volume that is attached to a machine."""
    return {
        "metadata": {"name": f"attachment-{volume}"},
        "spec": {"attacher": "csi.example.org", "nodeName": node, "source": {"persistentVolumeName": volume}},
        "status": {"attached": True},
    }
