"""What an installation needs beyond the base so that others may tell exuvia something: port, Service, certificate.

The certificate is a Secret of type `kubernetes.io/tls`. The kubelet mounts it; exuvia itself may read no Secret.
"""

from __future__ import annotations

from typing import Any

from exuvia.app.manifests import names

NAME = f"{names.NAME}-intake"
CERTIFICATE = NAME
"""The Secret that holds `tls.crt` and `tls.key`: somebody else makes and renews it."""

_FOLDER = "/tls"
_PORT = "intake"
_GROUP_READS = 0o440  # the pod's fsGroup


def service() -> dict[str, Any]:
    """Where others send to. Of its own: whoever scrapes metrics need not reach it."""
    about = "where exuvia is told who was on a machine, or deleted it"
    made = names.head("v1", "Service", NAME, namespaced=True, about=about)
    ports = [{"name": _PORT, "port": names.INTAKE_PORT, "targetPort": _PORT}]
    return made | {"spec": {"selector": dict(names.SELECTOR), "ports": ports}}


def network_policy() -> dict[str, Any]:
    """Lets in what the one of the base keeps out: policies add up."""
    spec = {
        "podSelector": {"matchLabels": dict(names.SELECTOR)},
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"protocol": "TCP", "port": names.INTAKE_PORT}]}],
    }
    about = "in: the intake, with TLS and a bearer token; say `from` here to let in fewer"
    made = names.head("networking.k8s.io/v1", "NetworkPolicy", NAME, namespaced=True, about=about)
    return made | {"spec": spec}


def changes() -> list[dict[str, Any]]:
    """Of the Deployment, as JSON 6902: the certificate is mounted, named and served."""
    container = "/spec/template/spec/containers/0"
    volume = {"name": _PORT, "secret": {"secretName": CERTIFICATE, "defaultMode": _GROUP_READS}}
    return [
        _added("/spec/template/spec/volumes/-", volume),
        _added(f"{container}/volumeMounts/-", {"name": _PORT, "mountPath": _FOLDER, "readOnly": True}),
        _added(f"{container}/ports/-", {"name": _PORT, "containerPort": names.INTAKE_PORT}),
        _added(f"{container}/args/-", f"--intake-cert={_FOLDER}/tls.crt"),
        _added(f"{container}/args/-", f"--intake-key={_FOLDER}/tls.key"),
    ]


def _added(path: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": path, "value": value}
