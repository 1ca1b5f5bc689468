"""The running operator: namespace, Deployment, its volume, Service, PodDisruptionBudget and NetworkPolicy.

One replica, `Recreate`, one volume: the ledger is a file of one acting process, and two pods must never hold it.
"""

from __future__ import annotations

from typing import Any

from exuvia.app.manifests import names

STATE = "/var/lib/exuvia"
USER = 65532  # numeric, so that the kubelet can prove it is not root
_API_PORTS = (443, 6443, 8443)  # where API servers listen, behind their Service address
_DOWNWARD = {
    "POD_UID": "metadata.uid",
    "POD_NAME": "metadata.name",
    "POD_NAMESPACE": "metadata.namespace",
    "NODE_NAME": "spec.nodeName",
}


def namespace() -> dict[str, Any]:
    """The namespace holds pods to the restricted Pod Security Standard."""
    made = names.head("v1", "Namespace", names.NAMESPACE)
    for mode in ("enforce", "warn", "audit"):
        made["metadata"]["labels"][f"pod-security.kubernetes.io/{mode}"] = "restricted"
    return made


def volume_claim() -> dict[str, Any]:
    """Ledger and evidence, on the cluster's default storage class."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "20Gi"}}}
    about = "exuvia's ledger and sealed evidence: keep it"
    return names.head("v1", "PersistentVolumeClaim", names.NAME, namespaced=True, about=about) | {"spec": spec}


def deployment(version: str) -> dict[str, Any]:
    """The Deployment, of the image `exuvia:<version>`."""
    spec = {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": dict(names.SELECTOR)},
        "template": {"metadata": {"labels": names.LABELS | names.SELECTOR}, "spec": _pod(version)},
    }
    return names.head("apps/v1", "Deployment", names.NAME, namespaced=True) | {"spec": spec}


def _pod(version: str) -> dict[str, Any]:
    return {
        "serviceAccountName": names.NAME,
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(version)],
        "volumes": [{"name": "state", "persistentVolumeClaim": {"claimName": names.NAME}}],
    }


def _container(version: str) -> dict[str, Any]:
    downward = [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in _DOWNWARD.items()]
    return {
        "name": names.NAME,
        "image": f"{names.IMAGE}:{version}",
        "imagePullPolicy": "IfNotPresent",
        "args": ["run", f"--ledger={STATE}/ledger.db", f"--evidence-dir={STATE}/evidence"],
        "env": [*downward, {"name": "TMPDIR", "value": STATE}],
        "ports": [{"name": "http", "containerPort": names.HTTP_PORT}],
        "startupProbe": _probe("/healthz", period=2, failures=60),
        "livenessProbe": _probe("/healthz", period=10, failures=3),
        "readinessProbe": _probe("/readyz", period=5, failures=3),
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "2Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "state", "mountPath": STATE}],
    }


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    """Periods in seconds."""
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    }


def service() -> dict[str, Any]:
    """Where metrics are scraped."""
    made = names.head("v1", "Service", names.NAME, namespaced=True)
    ports = [{"name": "http", "port": names.HTTP_PORT, "targetPort": "http"}]
    return made | {"spec": {"selector": dict(names.SELECTOR), "ports": ports}}


def disruption_budget() -> dict[str, Any]:
    """`maxUnavailable: 1`: exuvia never holds up the drain of its own node."""
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": dict(names.SELECTOR)}}
    return names.head("policy/v1", "PodDisruptionBudget", names.NAME, namespaced=True) | {"spec": spec}


def network_policy() -> dict[str, Any]:
    """In: metrics and probes. Out: names and the API server, whose address no policy can know."""
    about = "in: metrics and probes; out: DNS and the API server (add its port here if it is another)"
    out = [
        {"ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]},
        {"ports": [{"protocol": "TCP", "port": port} for port in _API_PORTS]},
    ]
    spec = {
        "podSelector": {"matchLabels": dict(names.SELECTOR)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": [{"protocol": "TCP", "port": names.HTTP_PORT}]}],
        "egress": out,
    }
    made = names.head("networking.k8s.io/v1", "NetworkPolicy", names.NAME, namespaced=True, about=about)
    return made | {"spec": spec}
