"""Nodes as `Instance` facts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from exuvia.model import instances, marks
from exuvia.observe import shapes

ANNOTATION_LIMIT = 1024

_NODE = msgspec.json.Decoder(shapes.Node)


def from_bytes(raw: bytes | msgspec.Raw) -> instances.Instance:
    """From JSON. Raises msgspec.ValidationError when a needed field has an odd type."""
    return _instance(_NODE.decode(raw))


def from_body(body: Mapping[str, Any]) -> instances.Instance:
    """From a decoded object."""
    return _instance(msgspec.convert(body, shapes.Node))


def _instance(node: shapes.Node) -> instances.Instance:
    meta, spec, status = node.metadata, node.spec or shapes.NodeSpec(), node.status or shapes.NodeStatus()
    info = status.nodeInfo or shapes.NodeInfo()
    labels = interned(meta.labels)
    return instances.Instance(
        name=meta.name,
        uid=meta.uid,
        resource_version=meta.resourceVersion,
        provider_id=spec.providerID or "",
        machine_id=info.machineID or "",
        boot_id=info.bootID or "",
        pool=instances.pool_of(labels),
        zone=labels.get(marks.ZONE_LABEL, ""),
        born=shapes.created(meta),
        deleting=meta.deletionTimestamp is not None,
        deleting_since=shapes.moment(meta.deletionTimestamp),
        unschedulable=bool(spec.unschedulable),
        labels=labels,
        annotations={sys.intern(key): _cut(value) for key, value in (meta.annotations or {}).items()},
        taints=tuple(
            instances.Taint(key=sys.intern(one.key), value=one.value or "", effect=sys.intern(one.effect or ""))
            for one in spec.taints or ()
        ),
        conditions=tuple(_condition(one) for one in status.conditions or ()),
        versions=instances.Versions(
            kubelet=sys.intern(info.kubeletVersion or ""),
            container_runtime=sys.intern(info.containerRuntimeVersion or ""),
            kernel=sys.intern(info.kernelVersion or ""),
        ),
        os_image=sys.intern(info.osImage or ""),
        addresses=tuple(one.address for one in status.addresses or ()),
        finalizers=tuple(meta.finalizers or ()),
    )


def _condition(one: shapes.Condition) -> instances.Condition:
    return instances.Condition(
        type=sys.intern(one.type),
        status=sys.intern(one.status),
        reason=sys.intern(one.reason or ""),
        since=shapes.moment(one.lastTransitionTime),
    )


def interned(labels: Mapping[str, str] | None) -> dict[str, str]:
    """Labels repeat over thousands of objects: one string each."""
    return {sys.intern(key): sys.intern(value) for key, value in (labels or {}).items()}


def _cut(value: str) -> str:
    return sys.intern(value) if len(value) <= ANNOTATION_LIMIT else value[:ANNOTATION_LIMIT] + "…"
