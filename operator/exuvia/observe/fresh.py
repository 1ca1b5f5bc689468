"""Fresh reads: the subject and its pods, asked of the API server right before something disruptive.

A read that fails raises: a partial answer never passes for a whole one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from exuvia import errors, ports
from exuvia.model import instances, pods, resources
from exuvia.observe import nodes
from exuvia.observe import pods as pod_records


async def read_instance(cluster: ports.Cluster, name: str, uid: str) -> instances.Instance | None:
    """The Node of that UID, or None when it is gone (also when another bears its name now)."""
    body = await cluster.get(resources.NODES, name)
    if body is None or body["metadata"]["uid"] != uid:
        return None
    try:
        return nodes.from_body(body)
    except msgspec.ValidationError as trouble:
        raise errors.InvalidObject(f"Node {name} cannot be read: {trouble}.") from trouble


async def read_pods(cluster: ports.Cluster, node: str) -> tuple[pods.Pod, ...]:
    """All pods bound to a node name now."""
    found: list[pods.Pod] = []
    async for page in cluster.pages(resources.PODS, field_selector=f"spec.nodeName={node}"):
        try:
            found += [pod_records.from_body(body) for body in page]
        except msgspec.ValidationError as trouble:
            raise errors.InvalidObject(f"a pod on {node} cannot be read: {trouble}.") from trouble
    return tuple(found)


async def read_volumes(
    cluster: ports.Cluster, node: str, *, with_claims: bool = False
) -> tuple[pods.AttachedVolume, ...]:
    """Persistent volumes that are attached to a node name now, by name. `with_claims`: each is asked for its claim; one
    that does not say it has none."""
    found: list[str] = []
    async for page in cluster.pages(resources.VOLUME_ATTACHMENTS):
        for body in page:
            if body["spec"].get("nodeName") == node and (body.get("status") or {}).get("attached"):
                found.append(str((body["spec"].get("source") or {}).get("persistentVolumeName") or ""))
    claims = [await _claim(cluster, name) if with_claims and name else "" for name in sorted(found)]
    return tuple(
        pods.AttachedVolume(name=name or "?", claim=claim) for name, claim in zip(sorted(found), claims, strict=True)
    )


async def _claim(cluster: ports.Cluster, volume: str) -> str:
    """`namespace/name` of the claim that a volume is bound to; "" where it cannot be known."""
    try:
        body = await cluster.get(resources.PERSISTENT_VOLUMES, volume)
    except errors.ClusterError:
        return ""
    claim = ((body or {}).get("spec") or {}).get("claimRef") or {}
    return f"{claim['namespace']}/{claim['name']}" if claim.get("namespace") and claim.get("name") else ""


async def daemon_sets_exist(cluster: ports.Cluster, owned: Iterable[pods.Pod]) -> Mapping[tuple[str, str], bool | None]:
    """(namespace, name) of each DaemonSet that owns one of the pods -> whether it exists; None: could not be asked."""
    wanted = {(pod.namespace, pod.owner.name) for pod in owned if pod.owner and pod.owner.kind == "DaemonSet"}
    found: dict[tuple[str, str], bool | None] = {}
    for namespace, name in sorted(wanted):
        try:
            found[(namespace, name)] = await cluster.get(resources.DAEMON_SETS, name, namespace=namespace) is not None
        except errors.ClusterError:
            found[(namespace, name)] = None
    return found
