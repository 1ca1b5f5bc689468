"""Where exuvia itself runs, and what ties it there: a ledger on a volume of one machine cannot follow when that machine
is replaced (operations.md, exuvia's own machine). What cannot be known counts as tied."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from exuvia import errors, ports
from exuvia.app.settings import Settings
from exuvia.model import resources
from exuvia.record import places
from exuvia.record.places import Server

log = logging.getLogger(__name__)

TRIES = 3
PAUSE_SECONDS = 1.0
HOSTNAME = "kubernetes.io/hostname"

Body = Mapping[str, Any]


async def pinned(cluster: ports.Cluster, settings: Settings) -> str:
    """What ties exuvia to its machine, in words; "" when nothing does, or when it does not run in the cluster."""
    if settings.pinned or not (settings.pod_name and settings.pod_namespace):
        return settings.pinned
    trouble = ""
    for _ in range(TRIES):
        try:
            return await _look(cluster, settings)
        except errors.ClusterError as problem:
            trouble = problem.message
            await asyncio.sleep(PAUSE_SECONDS)
    log.warning("it is not known whether the ledger is tied to this machine: %s", trouble)
    return f"a volume of which nothing is known ({trouble})"


async def _look(cluster: ports.Cluster, settings: Settings) -> str:
    if isinstance(places.place(settings.ledger), Server):
        return ""
    pod = await cluster.get(resources.PODS, settings.pod_name, namespace=settings.pod_namespace)
    if pod is None:
        return ""
    volume = volume_of(pod, settings.ledger)
    if volume is None:
        return "the container's own file system, which holds the ledger,"
    claim = volume.get("persistentVolumeClaim")
    if claim is None:
        return _without_claim(volume)
    return await _claimed(cluster, settings.pod_namespace, str(claim["claimName"]))


def volume_of(pod: Body, path: str) -> Body | None:
    """The volume that holds a path, as the pod's containers mount it; None where it is on none."""
    spec = pod.get("spec") or {}
    mounts = [one for container in spec.get("containers") or () for one in container.get("volumeMounts") or ()]
    holding = [one for one in mounts if PurePosixPath(path).is_relative_to(one["mountPath"])]
    nearest = max(holding, key=lambda one: len(PurePosixPath(one["mountPath"]).parts), default=None)
    if nearest is None:
        return None
    return next((one for one in spec.get("volumes") or () if one["name"] == nearest["name"]), None)


def _without_claim(volume: Body) -> str:
    local = next((kind for kind in ("hostPath", "emptyDir") if kind in volume), "")
    return f"its volume {volume['name']} ({local}), which holds the ledger," if local else ""


async def _claimed(cluster: ports.Cluster, namespace: str, name: str) -> str:
    claim = await cluster.get(resources.PERSISTENT_VOLUME_CLAIMS, name, namespace=namespace)
    volume = str(((claim or {}).get("spec") or {}).get("volumeName") or "")
    found = await cluster.get(resources.PERSISTENT_VOLUMES, volume) if volume else None
    return f"PersistentVolume {volume}, which holds the ledger," if found is not None and local(found) else ""


def local(volume: Body) -> bool:
    """Whether a PersistentVolume lives on one machine."""
    spec = volume.get("spec") or {}
    if "local" in spec or "hostPath" in spec:
        return True
    required = (spec.get("nodeAffinity") or {}).get("required") or {}
    terms = required.get("nodeSelectorTerms") or ()
    return any(one.get("key") == HOSTNAME for term in terms for one in term.get("matchExpressions") or ())
