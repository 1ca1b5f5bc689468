"""Names of an installation, and the labels that all its objects bear (api.md, "Installation names")."""

from __future__ import annotations

from typing import Any

from exuvia.model import marks

NAME = "exuvia"
NAMESPACE = marks.SYSTEM_NAMESPACE
LABELS = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": NAME}
SELECTOR = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/component": "operator"}
HTTP_PORT = 8080
INTAKE_PORT = 8443
IMAGE = NAME
ACCOUNT = {"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}


def head(api_version: str, kind: str, name: str, *, namespaced: bool = False, about: str = "") -> dict[str, Any]:
    """apiVersion, kind and metadata of one object. `about` says to a reader of the object what it is for."""
    metadata: dict[str, Any] = {"name": name}
    if namespaced:
        metadata["namespace"] = NAMESPACE
    metadata["labels"] = dict(LABELS)
    if about:
        metadata["annotations"] = {"kubernetes.io/description": about}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}
