"""Asking a real API server as somebody, by plain HTTP, and reading whether it did it or who refused.

kubectl would do a GET before a patch, which a kubelet may not do on its own status.
"""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from exuvia.localcluster.controlplane import ControlPlane

ROOT = Path(__file__).parents[2]
OURS = "/apis/exuvia.dev/v1alpha1"
RULE = {"name": "age", "type": "MaxAge", "maxAge": {"limit": "720h"}}
COLLECTIONS = {
    "node": "/api/v1/nodes",
    "securitypolicy": f"{OURS}/securitypolicies",
    "fleetguard": f"{OURS}/fleetguards",
    "rotation": f"{OURS}/rotations",
    "quarantine": f"{OURS}/quarantines",
    "licensepool": f"{OURS}/licensepools",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server said: the object, or a Status with its message."""

    code: int
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether it was done."""
        return self.code < 300

    @property
    def said(self) -> str:
        """Why it was refused."""
        return str(self.body.get("message", ""))

    def refused_by(self, policy: str) -> bool:
        """Whether that admission policy said no."""
        return self.code == 403 and f"ValidatingAdmissionPolicy '{policy}'" in self.said

    @property
    def without_right(self) -> bool:
        """Whether RBAC said no."""
        return self.code == 403 and " cannot " in self.said and "ValidatingAdmissionPolicy" not in self.said


class Caller:
    """One identity on one API server. Objects are named `node/a`, `quarantine/b`."""

    def __init__(self, plane: ControlPlane, kubeconfig: Path) -> None:
        self.plane = plane
        self.kubeconfig = kubeconfig
        user = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))["users"][0]["user"]
        self._context = ssl.create_default_context(cafile=str(plane.ca))
        self._headers = {"Content-Type": "application/json"}
        if "token" in user:
            self._headers["Authorization"] = f"Bearer {user['token']}"
        else:
            self._context.load_cert_chain(user["client-certificate"], user["client-key"])

    def may_what(self, verb: str, what: str) -> bool:
        """The same for `pods/eviction`, `rotations.exuvia.dev/status`: what follows the slash is a subresource."""
        resource, _, subresource = what.partition("/")
        return self.may(verb, resource, subresource=subresource)

    def create(self, body: dict[str, Any], *, strict: bool = True) -> Answer:
        """POST it. `strict`: unknown fields are refused, as kubectl asks for."""
        query = "?fieldValidation=Strict" if strict else ""
        return self._ask("POST", COLLECTIONS[body["kind"].lower()] + query, body)

    def get(self, what: str) -> dict[str, Any]:
        """An object that must be there."""
        answer = self._ask("GET", _path(what))
        assert answer.done, answer.said
        return answer.body

    def patch(self, what: str, body: dict[str, Any], *, status: bool = False) -> Answer:
        """A merge patch of it, or of its status."""
        path = _path(what) + ("/status" if status else "")
        return self._ask("PATCH", path, body, {"Content-Type": "application/merge-patch+json"})

    def delete(self, what: str) -> Answer:
        """DELETE it; a collection when only the kind is named."""
        return self._ask("DELETE", _path(what))

    def may(self, verb: str, what: str, *, subresource: str = "", namespace: str = "") -> bool:
        """Whether RBAC lets it, by a review of its own rights. `what`: `nodes`, `rotations.exuvia.dev`, `x.y/name`."""
        resource, _, name = what.partition("/")
        plural, _, group = resource.partition(".")
        asked = {"verb": verb, "resource": plural, "group": group, "name": name, "subresource": subresource}
        body = {"spec": {"resourceAttributes": {**asked, "namespace": namespace}}}
        answer = self._ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
        assert answer.done, answer.said
        return bool(answer.body["status"]["allowed"])

    def _ask(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Answer:
        request = urllib.request.Request(
            self.plane.server + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers=self._headers | (headers or {}),
        )
        try:
            with urllib.request.urlopen(request, context=self._context, timeout=10) as response:
                return Answer(code=response.status, body=json.load(response))
        except urllib.error.HTTPError as refusal:
            with refusal:
                return Answer(code=refusal.code, body=json.load(refusal))


def _path(what: str) -> str:
    kind, _, name = what.partition("/")
    return COLLECTIONS[kind] + (f"/{name}" if name else "")


def admin(plane: ControlPlane) -> Caller:
    """Who may do everything; admission still asks him."""
    return Caller(plane, plane.kubeconfig)


def person(plane: ControlPlane, name: str) -> Caller:
    """An administrator with a name of her own."""
    return Caller(plane, plane.issue_kubeconfig(name, ["system:masters"]))


def kubelet(plane: ControlPlane, node: str) -> Caller:
    """The kubelet of a node."""
    return Caller(plane, plane.issue_kubeconfig(f"system:node:{node}", ["system:nodes"]))


def operator(plane: ControlPlane) -> Caller:
    """exuvia's own service account."""
    return Caller(plane, plane.service_account_kubeconfig("exuvia-system", "exuvia"))


def fresh_name(stem: str) -> str:
    """A name that no other test uses."""
    return f"{stem}-{uuid.uuid4().hex[:8]}"


def operation(kind: str, name: str, **spec: object) -> dict[str, Any]:
    """A Rotation or Quarantine of a machine that need not exist."""
    instance = {"kind": "Node", "name": name, "uid": f"uid-{name}"}
    return {
        "apiVersion": "exuvia.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"instance": instance, **spec},
    }


def crowded_node(name: str) -> dict[str, Any]:
    """A Node with more labels, annotations, taints and images than any that one meets."""
    numbers = [f"{n:03}" for n in range(300)]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {f"example.org/label-{n}": "x" * 60 for n in numbers},
            "annotations": {f"example.org/annotation-{n}": "x" * 200 for n in numbers},
        },
        "spec": {"taints": [{"key": f"example.org/taint-{n}", "effect": "NoSchedule"} for n in numbers[:50]]},
        "status": {"images": [{"names": [f"example.org/{n}@sha256:{'0' * 64}"], "sizeBytes": 1} for n in numbers]},
    }


def policy(**spec: Any) -> dict[str, Any]:
    """A SecurityPolicy with a fresh name and, unless said otherwise, one rule for all machines."""
    least = {"target": {"selector": {}}, "rules": [RULE]}
    return {
        "apiVersion": "exuvia.dev/v1alpha1",
        "kind": "SecurityPolicy",
        "metadata": {"name": fresh_name("policy")},
        "spec": least | spec,
    }


def license_pool(**spec: Any) -> dict[str, Any]:
    """A LicensePool with a fresh name and, unless said otherwise, three seats for all machines."""
    least = {"seats": 3, "target": {"selector": {}}}
    return {
        "apiVersion": "exuvia.dev/v1alpha1",
        "kind": "LicensePool",
        "metadata": {"name": fresh_name("pool")},
        "spec": least | spec,
    }


def fleet_guard(name: str = "default", **spec: Any) -> dict[str, Any]:
    """A FleetGuard."""
    return {"apiVersion": "exuvia.dev/v1alpha1", "kind": "FleetGuard", "metadata": {"name": name}, "spec": spec}


def accepted(admin: Caller, body: dict[str, Any]) -> dict[str, Any]:
    """As served after it was taken, and removed again."""
    answer = admin.create(body)
    assert answer.done, answer.said
    assert admin.delete(f"{body['kind'].lower()}/{answer.body['metadata']['name']}").done
    return answer.body


def opened(caller: Caller, kind: str, **spec: Any) -> str:
    """Create a Rotation or Quarantine; the name to patch it by."""
    name = fresh_name(kind.lower())
    answer = caller.create(operation(kind, name, **spec))
    assert answer.done, answer.said
    return f"{kind.lower()}/{name}"
