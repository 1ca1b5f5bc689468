"""What the API server says when it says no, in its own words: exuvia reads some of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from exuvia import errors
from exuvia.model.resources import Resource


def _status(code: int, reason: str, message: str, causes: list[dict[str, str]] | None = None) -> dict[str, Any]:
    details = {"details": {"causes": causes}} if causes else {}
    return {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message, **details}


def not_found(resource: Resource, name: str) -> errors.NotFound:
    """404."""
    message = f'{resource.full_name} "{name}" not found'
    return errors.NotFound(message, status=404, reason="NotFound", body=_status(404, "NotFound", message))


def already_exists(resource: Resource, name: str) -> errors.AlreadyExists:
    """409 on a create."""
    message = f'{resource.full_name} "{name}" already exists'
    body = _status(409, "AlreadyExists", message)
    return errors.AlreadyExists(message, status=409, reason="AlreadyExists", body=body)


def _conflict(resource: Resource, name: str, why: str) -> errors.Conflict:
    message = f'Operation cannot be fulfilled on {resource.full_name} "{name}": {why}'
    return errors.Conflict(message, status=409, reason="Conflict", body=_status(409, "Conflict", message))


def changed_meanwhile(resource: Resource, name: str) -> errors.Conflict:
    """409: the resourceVersion of a patch is not the present one."""
    why = "the object has been modified; please apply your changes to the latest version and try again"
    return _conflict(resource, name, why)


def another_uid(resource: Resource, name: str, wanted: str, found: str) -> errors.Conflict:
    """409: the UID precondition does not hold."""
    why = f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}"
    return _conflict(resource, name, why)


def another_version(resource: Resource, name: str, wanted: str, found: str) -> errors.Conflict:
    """409: the resourceVersion precondition of a delete does not hold."""
    why = f"the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({found})."
    return _conflict(resource, name, why)


def invalid(resource: Resource, name: str, why: str) -> errors.Refused:
    """422."""
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    message = f'{kind} "{name}" is invalid: {why}'
    return errors.Refused(message, status=422, reason="Invalid", body=_status(422, "Invalid", message))


def too_old(version: str) -> errors.Expired:
    """410."""
    return errors.Expired(f"too old resource version: {version}", status=410, reason="Expired")


def terminating(namespace: str) -> errors.Forbidden:
    """403 for a create in a namespace that ends."""
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    cause = {"reason": "NamespaceTerminating", "message": why, "field": "metadata.namespace"}
    body = _status(403, "Forbidden", why, [cause])
    return errors.Forbidden(why, status=403, reason="NamespaceTerminating", body=body)


def budget_exhausted(name: str, needs: int, has: int) -> errors.TooManyRequests:
    """429: a PodDisruptionBudget allows no eviction now."""
    message = "Cannot evict pod as it would violate the pod's disruption budget."
    said = f"The disruption budget {name} needs {needs} healthy pods and has {has} currently"
    return _budget(message, said, None)


def budget_in_the_making(name: str) -> errors.TooManyRequests:
    """429: the budget was changed and its status is not worked out yet."""
    message = "Cannot evict pod as it would violate the pod's disruption budget."
    return _budget(message, f"The disruption budget {name} is still being processed by the server.", 10)


def _budget(message: str, said: str, seconds: int | None) -> errors.TooManyRequests:
    body = _status(429, "TooManyRequests", message, [{"reason": "DisruptionBudget", "message": said}])
    after = None if seconds is None else timedelta(seconds=seconds)
    return errors.TooManyRequests(message, retry_after=after, reason="TooManyRequests", body=body)


def throttled(seconds: int = 1) -> errors.TooManyRequests:
    """429 by flow control: no budget is to blame."""
    message = "the server has received too many requests and has asked us to try again later"
    body = _status(429, "TooManyRequests", message)
    return errors.TooManyRequests(message, retry_after=timedelta(seconds=seconds), reason="TooManyRequests", body=body)


def several_budgets() -> errors.ServerTrouble:
    """500: the Eviction API serves no pod with more than one budget."""
    message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
    return errors.ServerTrouble(message, status=500, body=_status(500, "", message))


def unreachable(what: str) -> errors.Unreachable:
    """No answer."""
    return errors.Unreachable(f"The API server does not answer {what}: no answer in time.")
