"""Who the simulated cloud is in the cluster: a service account that may read, create and delete Nodes, nothing else."""

from __future__ import annotations

from exuvia import ports

NAME = "simulated-cloud"
NAMESPACE = "simulated-cloud"


def manifests() -> list[ports.Body]:
    """Namespace, ServiceAccount, ClusterRole and ClusterRoleBinding, in the order in which they are to be applied."""
    subject = {"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}
    rule = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "create", "delete"]}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME}
    rbac = "rbac.authorization.k8s.io/v1"
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": NAMESPACE}},
        {"apiVersion": rbac, "kind": "ClusterRole", "metadata": {"name": NAME}, "rules": [rule]},
        {
            "apiVersion": rbac,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": NAME},
            "subjects": [subject],
            "roleRef": role,
        },
    ]
