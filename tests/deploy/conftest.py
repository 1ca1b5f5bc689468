"""A control plane of its own with all of deploy/ applied: its admission policies would disturb other tests.

One plane lives a whole life: installed and deleted again, installed with the intake and deleted, installed read-only,
widened to the whole. `left_over`, `with_intake` and `read_only` keep what was true on the way; other tests see the last
state.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exuvia.localcluster.controlplane import ControlPlane, Options
from exuvia.model import resources
from tests.deploy import calling

PATIENCE = 30.0
WRITES = tuple(
    (verb, what)
    for what in ("nodes", "nodes/status", "pods", "pods/status", "pods/eviction", "pods/binding")
    for verb in ("create", "update", "patch", "delete", "deletecollection")
)
OPERATIONS = tuple(
    (verb, f"{plural}.exuvia.dev") for plural in ("rotations", "quarantines") for verb in ("create", "patch", "delete")
)
READS = (("watch", "nodes"), ("watch", "pods"), ("list", "quarantines.exuvia.dev"), ("create", "events.events.k8s.io"))
OURS = "app.kubernetes.io/part-of=exuvia"
MADE = (
    "customresourcedefinitions",
    "namespaces",
    "clusterroles",
    "clusterrolebindings",
    "roles",
    "rolebindings",
    "serviceaccounts",
    "deployments",
    "services",
    "persistentvolumeclaims",
    "poddisruptionbudgets",
    "networkpolicies",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
)
REVIEWS = (
    ("create", "tokenreviews.authentication.k8s.io"),
    ("create", "subjectaccessreviews.authorization.k8s.io"),
)
INTAKE = "deploy/overlays/intake"
STATUS = (
    ("patch", "securitypolicies.exuvia.dev/status"),
    ("patch", "rotations.exuvia.dev/status"),
    ("patch", "quarantines.exuvia.dev/status"),
    ("create", "fleetguards.exuvia.dev"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOnly:
    """What the read-only installation answered before it was widened."""

    may: dict[tuple[str, str], bool]
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WithIntake:
    """What the installation with the intake was before it was deleted."""

    may: dict[tuple[str, str], bool]
    pod: dict[str, Any]
    service: dict[str, Any]
    left_over: tuple[str, ...]


@pytest.fixture(scope="session")
def bare(executables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane without simulated nodes and without anything of ours."""
    with ControlPlane(tmp_path_factory.mktemp("deploy"), executables, Options(kwok=False)) as started:
        yield started


@pytest.fixture(scope="session")
def left_over(bare: ControlPlane) -> tuple[str, ...]:
    """What is left after `kubectl apply -k deploy/`, some operations, and `kubectl delete -k deploy/`."""
    _apply(bare, "deploy")
    for kind in ("Rotation", "Quarantine"):
        made = calling.admin(bare).create(calling.operation(kind, calling.fresh_name("open")))
        assert made.done, made.said
    return _deleted(bare, "deploy")


@pytest.fixture(scope="session")
def with_intake(bare: ControlPlane, left_over: tuple[str, ...]) -> WithIntake:
    """The same of `deploy/overlays/intake`, and what the operator may do between the two."""
    _apply(bare, INTAKE)
    operator = calling.operator(bare)
    may = {one: operator.may_what(*one) for one in (*REVIEWS, *READS)}
    return WithIntake(
        may=may,
        pod=_got(bare, "deployment/exuvia")["spec"]["template"]["spec"],
        service=_got(bare, "service/exuvia-intake"),
        left_over=_deleted(bare, INTAKE),
    )


@pytest.fixture(scope="session")
def read_only(bare: ControlPlane, with_intake: WithIntake) -> ReadOnly:
    """`kubectl apply -k deploy/overlays/read-only`, and what the operator may do then."""
    _apply(bare, "deploy/overlays/read-only")
    operator = calling.operator(bare)
    asked = (*WRITES, *OPERATIONS, *READS, *STATUS)
    (container,) = _got(bare, "deployment/exuvia")["spec"]["template"]["spec"]["containers"]
    return ReadOnly(may={one: operator.may_what(*one) for one in asked}, arguments=tuple(container["args"]))


@pytest.fixture(scope="session")
def installed(bare: ControlPlane, read_only: ReadOnly) -> ControlPlane:
    """`kubectl apply -k deploy/` over it, once its admission policies are in force."""
    _apply(bare, "deploy")
    _await_policies(bare)
    return bare


def _apply(plane: ControlPlane, folder: str) -> None:
    done = plane.kubectl_run("apply", "-k", str(calling.ROOT / folder))
    assert done.returncode == 0, done.stderr
    plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    for one in resources.OURS:
        _await_served(plane, one.plural)


def _await_served(plane: ControlPlane, plural: str) -> None:
    """The first request opens the storage of a kind.

    If that is the clean-up of its own deletion, it may find the storage "(re)initializing", and Kubernetes does not try
    again: the definition stays Terminating until somebody edits it.
    """
    deadline = time.monotonic() + PATIENCE
    while (listed := plane.kubectl_run("get", "--raw", f"/apis/exuvia.dev/v1alpha1/{plural}")).returncode:
        assert time.monotonic() < deadline, listed.stderr
        time.sleep(0.2)


def _deleted(plane: ControlPlane, folder: str) -> tuple[str, ...]:
    """Delete it; what is left."""
    done = plane.kubectl_run("delete", "-k", str(calling.ROOT / folder), "--timeout=60s")
    assert done.returncode == 0, done.stderr
    return tuple(line for kind in MADE for line in plane.kubectl("get", kind, "-A", "-l", OURS, "-o", "name").split())


def _got(plane: ControlPlane, what: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(plane.kubectl("get", what, "-n", "exuvia-system", "-o", "json"))
    return found


def _await_policies(plane: ControlPlane) -> None:
    """A policy takes effect some moments after it was written: probe until the first and the last refuse."""
    name = calling.fresh_name("probe")
    marked = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"exuvia.dev/state": "x"}}}
    signed = calling.operation("Rotation", name, requestedBy="nobody")
    deadline = time.monotonic() + PATIENCE
    while not (
        calling.kubelet(plane, name).create(marked).refused_by("exuvia-kubelets")
        and calling.admin(plane).create(signed).refused_by("exuvia-authors")
    ):
        assert time.monotonic() < deadline, f"the admission policies are not in force after {PATIENCE:.0f} s"
        plane.kubectl("delete", "node", name, "--ignore-not-found")
        plane.kubectl("delete", "rotations.exuvia.dev", name, "--ignore-not-found")
        time.sleep(0.2)
