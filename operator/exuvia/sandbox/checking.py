"""What the API server checks of our own kinds: that they parse, that specs stay, that an epoch never decreases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exuvia import errors
from exuvia.model import resources
from exuvia.model.resources import Resource
from exuvia.model.specs.common import Resource as Parsed
from exuvia.model.specs.fleet_guard import FleetGuard
from exuvia.model.specs.license_pool import LicensePool
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.model.specs.security_policy import SecurityPolicy
from exuvia.sandbox import replies

_MODELS: Mapping[Resource, type[Parsed]] = {
    resources.SECURITY_POLICIES: SecurityPolicy,
    resources.FLEET_GUARDS: FleetGuard,
    resources.ROTATIONS: Rotation,
    resources.QUARANTINES: Quarantine,
    resources.LICENSE_POOLS: LicensePool,
}
_MAY_CHANGE = {resources.ROTATIONS: {"abort"}, resources.QUARANTINES: {"release"}}


def check(resource: Resource, body: Mapping[str, Any], former: Mapping[str, Any] | None) -> None:
    """Raise `errors.Refused` as the schema and its transition rules would."""
    model = _MODELS.get(resource)
    if model is None:
        return
    name = body["metadata"]["name"]
    try:
        model.parse(body)
    except errors.InvalidObject as trouble:
        raise replies.invalid(resource, name, trouble.message) from trouble
    if former is not None and resource in _MAY_CHANGE:
        _check_spec(resource, body, former)
        _check_epoch(resource, body, former)


def _check_spec(resource: Resource, body: Mapping[str, Any], former: Mapping[str, Any]) -> None:
    new, old = body.get("spec") or {}, former.get("spec") or {}
    changed = {key for key in {*new, *old} if new.get(key) != old.get(key)} - _MAY_CHANGE[resource]
    if changed:
        name = body["metadata"]["name"]
        raise replies.invalid(resource, name, f"spec: `{min(changed)}` may not change; make another operation")


def _check_epoch(resource: Resource, body: Mapping[str, Any], former: Mapping[str, Any]) -> None:
    old = (former.get("status") or {}).get("epoch")
    new = (body.get("status") or {}).get("epoch")
    if old is not None and (new is None or new < old):
        raise replies.invalid(resource, body["metadata"]["name"], "status: `epoch` must not decrease")
