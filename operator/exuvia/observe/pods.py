"""Pods and PodDisruptionBudgets as slim records."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

from exuvia.model import marks, pods
from exuvia.observe import shapes
from exuvia.observe.nodes import interned

_POD = msgspec.json.Decoder(shapes.Pod)
_BUDGET = msgspec.json.Decoder(shapes.Budget)
_MIRROR = "kubernetes.io/config.mirror"
_KEPT_ANNOTATIONS = frozenset((*marks.OPT_OUTS, marks.SAFE_TO_EVICT, _MIRROR))
_DEFAULT_GRACE = 30


def from_bytes(raw: bytes | msgspec.Raw) -> pods.Pod:
    """From JSON. Raises msgspec.ValidationError when a needed field has an odd type."""
    return _pod(_POD.decode(raw))


def from_body(body: Mapping[str, Any]) -> pods.Pod:
    """From a decoded object."""
    return _pod(msgspec.convert(body, shapes.Pod))


def budget_from_bytes(raw: bytes | msgspec.Raw) -> pods.DisruptionBudget:
    """A PodDisruptionBudget from JSON."""
    return _budget(_BUDGET.decode(raw))


def _pod(pod: shapes.Pod) -> pods.Pod:
    meta, spec, status = pod.metadata, pod.spec or shapes.PodSpec(), pod.status or shapes.PodStatus()
    annotations = {key: value for key, value in (meta.annotations or {}).items() if key in _KEPT_ANNOTATIONS}
    deadline = shapes.moment(meta.deletionTimestamp)
    grace = spec.terminationGracePeriodSeconds
    ready = next((one for one in status.conditions or () if one.type == "Ready"), None)
    return pods.Pod(
        namespace=sys.intern(meta.namespace or ""),
        name=meta.name,
        uid=meta.uid,
        resource_version=meta.resourceVersion,
        node=sys.intern(spec.nodeName or ""),
        phase=sys.intern(status.phase or ""),
        created=shapes.created(meta),
        started=shapes.moment(status.startTime),
        deleting_since=deadline - timedelta(seconds=meta.deletionGracePeriodSeconds or 0) if deadline else None,
        deletion_deadline=deadline,
        grace_seconds=_DEFAULT_GRACE if grace is None else grace,
        labels=_shared_labels(tuple(sorted(interned(meta.labels).items()))),
        annotations=annotations,
        owner=_owner(meta.ownerReferences or ()),
        owned_by_node=any(one.kind == "Node" for one in meta.ownerReferences or ()),
        mirror=_MIRROR in annotations,
        host_network=bool(spec.hostNetwork),
        empty_dir=any(one.emptyDir is not None for one in spec.volumes or ()),
        tolerations=_tolerations(spec.tolerations or ()),
        priority_class=sys.intern(spec.priorityClassName or ""),
        priority=spec.priority or 0,
        service_account=sys.intern(spec.serviceAccountName or ""),
        containers=_shared_tuple(tuple(one.name for one in spec.containers or ())),
        image_digests=_shared_tuple(tuple(one.imageID for one in status.containerStatuses or () if one.imageID)),
        claims=_claims(meta.name, spec.volumes or ()),
        ready=ready is not None and ready.status == "True",
        ready_changed=shapes.moment(ready.lastTransitionTime) if ready is not None else None,
        containers_started=_started(status.containerStatuses or ()),
    )


def _started(containers: Iterable[shapes.ContainerStatus]) -> datetime | None:
    """When the container that runs the shortest began."""
    running = (one.state.running for one in containers if one.state is not None and one.state.running is not None)
    began = (shapes.moment(one.startedAt) for one in running)
    return max((one for one in began if one is not None), default=None)


def _claims(pod: str, volumes: Iterable[shapes.Volume]) -> tuple[str, ...]:
    """Those it names, and those that are made for it alone (`<pod>-<volume>`)."""
    named = (one.persistentVolumeClaim.claimName for one in volumes if one.persistentVolumeClaim)
    own = (f"{pod}-{one.name}" for one in volumes if one.ephemeral is not None)
    return tuple(name for name in (*named, *own) if name)


def _owner(references: Iterable[shapes.OwnerReference]) -> pods.Owner | None:
    for one in references:
        if one.controller:
            return _shared_owner(one.apiVersion, one.kind, one.name, one.uid)
    return None


def _tolerations(shaped: Iterable[shapes.Toleration]) -> tuple[pods.Toleration, ...]:
    return _shared_tolerations(
        tuple((one.key or "", one.operator or "Equal", one.value or "", one.effect or "") for one in shaped)
    )


@lru_cache(maxsize=16384)
def _shared_labels(items: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """Pods of one owner bear the same labels: one dict for all. Never changed by anybody."""
    return dict(items)


@lru_cache(maxsize=16384)
def _shared_tuple(items: tuple[str, ...]) -> tuple[str, ...]:
    return items


@lru_cache(maxsize=16384)
def _shared_owner(api_version: str, kind: str, name: str, uid: str) -> pods.Owner:
    return pods.Owner(api_version=api_version, kind=kind, name=name, uid=uid)


@lru_cache(maxsize=4096)
def _shared_tolerations(items: tuple[tuple[str, str, str, str], ...]) -> tuple[pods.Toleration, ...]:
    return tuple(pods.Toleration(key=k, operator=o, value=v, effect=e) for k, o, v, e in items)


def _budget(budget: shapes.Budget) -> pods.DisruptionBudget:
    meta, status = budget.metadata, budget.status or shapes.BudgetStatus()
    selector = budget.spec.selector if budget.spec else None
    labels = tuple(sorted((selector.matchLabels or {}).items())) if selector else ()
    expressions = tuple(
        (one.key, one.operator, tuple(one.values or ()))
        for one in (selector.matchExpressions or () if selector else ())
    )
    return pods.DisruptionBudget(
        namespace=meta.namespace or "",
        name=meta.name,
        uid=meta.uid,
        match_labels=labels,
        match_expressions=expressions,
        selects_all=selector is not None and not labels and not expressions,
        allowed=status.disruptionsAllowed or 0,
        healthy=status.currentHealthy or 0,
        desired=status.desiredHealthy or 0,
        observed=(status.observedGeneration or 0) >= (meta.generation or 0),
    )
