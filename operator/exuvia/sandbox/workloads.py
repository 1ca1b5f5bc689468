"""Who owns pods, and who places them: ReplicaSets, StatefulSets, DaemonSets, and the scheduler."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from exuvia.model import resources
from exuvia.model.resources import Resource
from exuvia.sandbox import kinds, objects
from exuvia.sandbox.objects import Body
from exuvia.sandbox.storage import Storage

_DAEMON_TOLERATIONS = tuple(
    {"key": f"node.kubernetes.io/{name}", "operator": "Exists"} for name in ("unschedulable", "not-ready")
)


class Owners:
    """Keeps as many pods as each owner asks for. A pod whose labels no longer fit is released, and replaced."""

    def act(self, storage: Storage, now: datetime) -> None:
        """Look at every owner."""
        for owner in storage.look(kinds.REPLICA_SETS):
            _replicas(storage, owner, _claimed(storage, kinds.REPLICA_SETS, owner))
        for owner in storage.look(kinds.STATEFUL_SETS):
            _claimed(storage, kinds.STATEFUL_SETS, owner)
            _ordinals(storage, owner)
        for owner in storage.look(resources.DAEMON_SETS):
            _daemons(storage, owner)


def _claimed(storage: Storage, resource: Resource, owner: Body) -> list[Body]:
    """Its pods that live, after orphans were adopted and strangers released."""
    meta, kept = owner["metadata"], []
    for pod in storage.look(resources.PODS, meta["namespace"]):
        fits = objects.selects(owner["spec"].get("selector"), objects.labels_of(pod))
        controller = objects.controller_of(pod)
        ours = controller is not None and controller["uid"] == meta["uid"]
        if ours and not fits and not objects.is_deleting(pod):
            _own(storage, pod, None)
        elif fits and controller is None and not objects.is_deleting(pod):
            kept.append(_own(storage, pod, reference(resource, owner)))
        elif ours and fits:
            kept.append(pod)
    return [one for one in kept if not objects.is_deleting(one) and not objects.is_finished(one)]


def _own(storage: Storage, pod: Body, new: Mapping[str, Any] | None) -> Body:
    others = [one for one in pod["metadata"].get("ownerReferences") or () if not one.get("controller")]
    meta = {**pod["metadata"], "ownerReferences": [*others, *([new] if new else [])]}
    return storage.put(resources.PODS, {**pod, "metadata": meta})


def reference(resource: Resource, owner: Mapping[str, Any]) -> dict[str, Any]:
    """The ownerReference of a controlling owner."""
    meta = owner["metadata"]
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
    }


def _replicas(storage: Storage, owner: Body, pods: list[Body]) -> None:
    wanted = int(owner["spec"].get("replicas", 1))
    for _ in range(wanted - len(pods)):
        _create(storage, kinds.REPLICA_SETS, owner, {"generateName": f"{owner['metadata']['name']}-"}, "")
    for pod in pods[wanted:]:
        storage.ask_deletion(resources.PODS, pod)


def _ordinals(storage: Storage, owner: Body) -> None:
    """A StatefulSet's pod comes again, under its old name, only when the old one is gone."""
    meta = owner["metadata"]
    for ordinal in range(int(owner["spec"].get("replicas", 1))):
        name = f"{meta['name']}-{ordinal}"
        if storage.get(resources.PODS, name, meta["namespace"]) is None:
            _create(storage, kinds.STATEFUL_SETS, owner, {"name": name}, "")


def _daemons(storage: Storage, owner: Body) -> None:
    """A pod on every Node whose taints it tolerates, cordoned or not; a missing one comes again at once."""
    uid = owner["metadata"]["uid"]
    pods = storage.look(resources.PODS, owner["metadata"]["namespace"])
    there = {one["spec"].get("nodeName") for one in pods if (objects.controller_of(one) or {}).get("uid") == uid}
    tolerations = [*_template_spec(owner).get("tolerations", ()), *_DAEMON_TOLERATIONS]
    for node in storage.look(resources.NODES):
        name = node["metadata"]["name"]
        if name not in there and tolerates(tolerations, node["spec"].get("taints") or ()):
            _create(storage, resources.DAEMON_SETS, owner, {"generateName": f"{owner['metadata']['name']}-"}, name)


def _template_spec(owner: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (owner["spec"].get("template") or {}).get("spec") or {}
    return found


def _create(storage: Storage, resource: Resource, owner: Body, meta: Mapping[str, Any], node: str) -> None:
    template = owner["spec"].get("template") or {}
    given = template.get("metadata") or {}
    body = {
        "metadata": {
            **meta,
            "namespace": owner["metadata"]["namespace"],
            "labels": given.get("labels") or (owner["spec"].get("selector") or {}).get("matchLabels") or {},
            "annotations": given.get("annotations") or {},
            "ownerReferences": [reference(resource, owner)],
        },
        "spec": {**(template.get("spec") or {}), **({"nodeName": node} if node else {})},
    }
    storage.add(resources.PODS, body)


class Scheduler:
    """Places pods that wait on the emptiest Node that takes them."""

    def act(self, storage: Storage, now: datetime) -> None:
        """Look at every pod that is not bound."""
        waiting = [one for one in storage.look(resources.PODS) if not one["spec"].get("nodeName")]
        for pod in waiting:
            if objects.is_deleting(pod):
                continue
            node = _place(storage, pod)
            if node:
                storage.put(resources.PODS, {**pod, "spec": {**pod["spec"], "nodeName": node}})


def _place(storage: Storage, pod: Mapping[str, Any]) -> str:
    load: dict[str, int] = {}
    for one in storage.look(resources.PODS):
        load[one["spec"].get("nodeName", "")] = load.get(one["spec"].get("nodeName", ""), 0) + 1
    fit = [
        node["metadata"]["name"]
        for node in storage.look(resources.NODES)
        if objects.is_ready(node)
        and not node["spec"].get("unschedulable")
        and tolerates(pod["spec"].get("tolerations") or (), node["spec"].get("taints") or ())
        and objects.selects({"matchLabels": pod["spec"].get("nodeSelector") or {}}, objects.labels_of(node))
    ]
    return min(fit, key=lambda name: (load.get(name, 0), name), default="")


def tolerates(tolerations: Iterable[Mapping[str, Any]], taints: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a pod may be placed in spite of these taints."""
    given = list(tolerations)
    hard = [one for one in taints if one.get("effect") in ("NoSchedule", "NoExecute")]
    return all(any(_covers(toleration, taint) for toleration in given) for taint in hard)


def _covers(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("operator") == "Exists":
        return not toleration.get("key") or bool(toleration["key"] == taint["key"])
    same_value = toleration.get("value", "") == taint.get("value", "")
    return bool(toleration.get("key") == taint["key"] and same_value)
