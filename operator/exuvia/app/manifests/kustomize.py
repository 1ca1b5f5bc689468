"""kustomization files: the base, components, and the overlay that only looks (no right to change a node or a pod)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from exuvia.app.manifests import names, rbac
from exuvia.model.permissions import Duty

_LOOKS_ONLY = (Duty.ROTATE, Duty.QUARANTINE)


def kustomization(resources: Sequence[str], **more: Any) -> dict[str, Any]:
    """A kustomization of these files and folders."""
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": list(resources)}
    return head | more


def read_only(base: str) -> dict[str, Any]:
    """Without the roles that write and their bindings, with the one to say why what is open waits (rbac.yaml); and the
    operator is told, so that it does not even try."""
    unbound = [
        _deletion(kind, rbac.role_name(duty)) for duty in _LOOKS_ONLY for kind in ("ClusterRole", "ClusterRoleBinding")
    ]
    told = [{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--read-only"}]
    target = {"kind": "Deployment", "name": names.NAME}
    return kustomization([base, "rbac.yaml"], patches=[*unbound, {"target": target, "patch": yaml.safe_dump(told)}])


def component(resources: Sequence[str], changes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What an overlay may add to what it is made of: these files, and changes (JSON 6902) of the Deployment."""
    target = {"kind": "Deployment", "name": names.NAME}
    patches = [{"target": target, "patch": yaml.safe_dump(list(changes), sort_keys=False)}]
    head = {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component", "resources": list(resources)}
    return head | {"patches": patches}


def _deletion(kind: str, name: str) -> dict[str, str]:
    gone = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        "$patch": "delete",
    }
    return {"patch": yaml.safe_dump(gone, sort_keys=False)}
