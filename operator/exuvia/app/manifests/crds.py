"""The CustomResourceDefinitions of exuvia.dev/v1alpha1: names, printer columns, selectable fields, schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from exuvia.app.manifests import schema
from exuvia.model import marks, resources
from exuvia.model.specs import fleet_guard, license_pool, quarantine, rotation, security_policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A printer column of `kubectl get`; priority 1 shows with `-o wide` only."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What a CRD needs beside its models."""

    resource: resources.Resource
    short: str
    spec: type[BaseModel]
    status: type[BaseModel]
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = ()
    rules: tuple[tuple[str, str], ...] = ()
    spec_required: bool = True


_AGE = Column(name="Age", path=".metadata.creationTimestamp", type="date")
_READY = '.status.conditions[?(@.type=="Ready")].status'

DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        resource=resources.SECURITY_POLICIES,
        short="exsp",
        spec=security_policy.SecurityPolicySpec,
        status=security_policy.SecurityPolicyStatus,
        columns=(
            Column(name="Mode", path=".spec.mode"),
            Column(name="Ready", path=_READY),
            Column(name="Matched", path=".status.instances.matched", type="integer"),
            Column(name="Violating", path=".status.instances.violating", type="integer"),
            Column(name="Unknown", path=".status.instances.unknown", type="integer", priority=1),
            Column(name="Rotating", path=".status.actions.rotating", type="integer"),
            Column(name="Blocked", path=".status.actions.blocked", type="integer"),
            Column(name="Quarantined", path=".status.actions.quarantined", type="integer", priority=1),
            Column(name="Allowed", path=".status.disruptionsAllowed", type="integer", priority=1),
            _AGE,
        ),
        selectable=(".spec.mode", ".spec.action"),
    ),
    Definition(
        resource=resources.FLEET_GUARDS,
        short="exfg",
        spec=fleet_guard.FleetGuardSpec,
        status=fleet_guard.FleetGuardStatus,
        columns=(
            Column(name="Paused", path=".status.paused", type="boolean"),
            Column(name="Disrupted", path=".status.disrupted", type="integer"),
            Column(name="Allowed", path=".status.allowed", type="integer"),
            Column(name="Storm", path='.status.brakes[?(@.name=="storm")].state'),
            _AGE,
        ),
        rules=(("self.metadata.name == 'default'", "there is one FleetGuard, named `default`"),),
        spec_required=False,
    ),
    Definition(
        resource=resources.ROTATIONS,
        short="exrot",
        spec=rotation.RotationSpec,
        status=rotation.RotationStatus,
        columns=(
            Column(name="Instance", path=".spec.instance.name"),
            Column(name="Phase", path=".status.phase"),
            Column(name="Replacement", path=".status.replacement.name"),
            Column(name="Blocked", path=".status.blocked.reason"),
            Column(name="Policy", path=".spec.policy.name"),
            Column(name="Message", path=".status.blocked.message", priority=1),
            _AGE,
        ),
        selectable=(".spec.instance.name",),
    ),
    Definition(
        resource=resources.QUARANTINES,
        short="exq",
        spec=quarantine.QuarantineSpec,
        status=quarantine.QuarantineStatus,
        columns=(
            Column(name="Instance", path=".spec.instance.name"),
            Column(name="Phase", path=".status.phase"),
            Column(name="Isolated", path=".status.isolation.state"),
            Column(name="Evidence", path='.status.conditions[?(@.type=="EvidenceSealed")].status'),
            Column(name="Policy", path=".spec.policy.name"),
            Column(name="Capacity", path=".status.capacity.state", priority=1),
            _AGE,
        ),
        selectable=(".spec.instance.name",),
    ),
    Definition(
        resource=resources.LICENSE_POOLS,
        short="exlp",
        spec=license_pool.LicensePoolSpec,
        status=license_pool.LicensePoolStatus,
        columns=(
            Column(name="Ready", path=_READY),
            Column(name="Seats", path=".spec.seats", type="integer"),
            Column(name="Used", path=".status.seats.used", type="integer"),
            Column(name="Free", path=".status.seats.free", type="integer"),
            Column(name="Queued", path=".status.seats.queued", type="integer"),
            Column(name="Exhausted", path='.status.conditions[?(@.type=="Exhausted")].status'),
            Column(name="Ghosts", path=".status.seats.ghosts", type="integer", priority=1),
            Column(name="High Water", path=".status.highWater.used", type="integer", priority=1),
            _AGE,
        ),
    ),
)


def definition(kind: str) -> Definition:
    """The definition of one kind. KeyError where there is none."""
    return {one.resource.kind: one for one in DEFINITIONS}[kind]


def manifest(one: Definition) -> dict[str, Any]:
    """The CustomResourceDefinition object."""
    kind = one.resource
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{marks.GROUP}",
            "labels": {"app.kubernetes.io/name": "exuvia", "app.kubernetes.io/part-of": "exuvia"},
        },
        "spec": {
            "group": marks.GROUP,
            "scope": "Cluster",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": [one.short],
                "categories": ["exuvia"],
            },
            "versions": [_version(one)],
        },
    }


def _version(one: Definition) -> dict[str, Any]:
    version: dict[str, Any] = {
        "name": one.resource.version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in one.columns],
        "schema": {"openAPIV3Schema": _object(one)},
    }
    if one.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in one.selectable]
    return version


def _object(one: Definition) -> dict[str, Any]:
    spec = schema.structural(one.spec)
    if not one.spec_required:
        spec["default"] = {}
    said: dict[str, Any] = {
        "type": "object",
        "description": (one.spec.__doc__ or "").strip(),
        "properties": {
            "apiVersion": {"type": "string", "description": f"{marks.GROUP}/{one.resource.version}."},
            "kind": {"type": "string", "description": f"{one.resource.kind}."},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": schema.structural(one.status),
        },
    }
    if one.spec_required:
        said["required"] = ["spec"]
    if one.rules:
        said["x-kubernetes-validations"] = [{"rule": rule, "message": message} for rule, message in one.rules]
    return said


def _column(column: Column) -> dict[str, Any]:
    said: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.priority:
        said["priority"] = column.priority
    return said
