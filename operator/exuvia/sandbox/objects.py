"""Objects of the API as decoded JSON: merge patches, selectors, times. Pure, and nothing is changed in place."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

Body = dict[str, Any]
_SET = re.compile(r"^(?P<key>\S+)\s+(?P<how>in|notin)\s+\((?P<values>[^)]*)\)$")
_COMMA = re.compile(r",(?![^(]*\))")


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396: null removes, maps merge, everything else replaces."""
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def stamp(moment: datetime) -> str:
    """RFC 3339 in UTC, whole seconds, as Kubernetes writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str | None) -> datetime | None:
    """The other way round; None for nothing."""
    return datetime.fromisoformat(text) if text else None


def labels_of(body: Mapping[str, Any]) -> Mapping[str, str]:
    """Labels, {} where there are none."""
    return body["metadata"].get("labels") or {}


def annotations_of(body: Mapping[str, Any]) -> Mapping[str, str]:
    """Annotations, {} where there are none."""
    return body["metadata"].get("annotations") or {}


def controller_of(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The ownerReference with `controller: true`."""
    return next((one for one in body["metadata"].get("ownerReferences") or () if one.get("controller")), None)


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """A selector of the API. None selects nothing, {} everything."""
    if selector is None:
        return False
    exact = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in exact.items()):
        return False
    return all(_expression(one, labels) for one in selector.get("matchExpressions") or ())


def _expression(one: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = one["key"], one.get("values") or ()
    match one["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case other:
            raise ValueError(f"unknown operator {other!r} in a selector")


def matches_labels(selector: str, labels: Mapping[str, str]) -> bool:
    """A label selector as in a query: `a=b`, `a!=b`, `a`, `!a`, `a in (b,c)`, `a notin (b,c)`, comma-separated."""
    return all(_term(one.strip(), labels) for one in _COMMA.split(selector) if one.strip())


def _term(term: str, labels: Mapping[str, str]) -> bool:
    found = _SET.match(term)
    if found:
        within = labels.get(found["key"]) in [one.strip() for one in found["values"].split(",")]
        return within if found["how"] == "in" else not within
    for sign, equal in (("!=", False), ("==", True), ("=", True)):
        key, split, value = term.partition(sign)
        if split:
            return (labels.get(key.strip()) == value.strip()) is equal
    return term[1:].strip() not in labels if term.startswith("!") else term in labels


def matches_fields(selector: str, body: Mapping[str, Any]) -> bool:
    """A field selector as in a query: `spec.nodeName=a`, `status.phase!=Running`, comma-separated."""
    return all(_field(one.strip(), body) for one in selector.split(",") if one.strip())


def _field(term: str, body: Mapping[str, Any]) -> bool:
    path, sign, value = term.partition("=")
    equal = not path.endswith("!")
    if not sign:
        raise ValueError(f"{term!r} is no field selector")
    found = value_at(body, path.rstrip("!=").split("."))
    return (str(found or "") == value.lstrip("=")) is equal


def value_at(body: Any, path: Iterable[str]) -> Any:
    """The value at a path of keys, or None."""
    for key in path:
        body = body.get(key) if isinstance(body, Mapping) else None
    return body


def condition(body: Mapping[str, Any], type_: str) -> Mapping[str, Any] | None:
    """The condition of that type, or None."""
    conditions = (body.get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one.get("type") == type_), None)


def is_ready(body: Mapping[str, Any]) -> bool:
    """Whether the Ready condition is True."""
    found = condition(body, "Ready")
    return found is not None and found.get("status") == "True"


def with_condition(body: Body, type_: str, status: bool, reason: str, now: datetime) -> Body:
    """The object with that condition; its transition time moves only with its status."""
    said, former = str(status), condition(body, type_)
    since = former.get("lastTransitionTime") if former and former.get("status") == said else None
    new = {"type": type_, "status": said, "reason": reason, "lastTransitionTime": since or stamp(now)}
    others = [one for one in (body.get("status") or {}).get("conditions") or () if one.get("type") != type_]
    return {**body, "status": {**(body.get("status") or {}), "conditions": [*others, new]}}


def is_finished(pod: Mapping[str, Any]) -> bool:
    """Succeeded and Failed pods run nothing any more."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def is_deleting(body: Mapping[str, Any]) -> bool:
    """Whether its deletion was asked for."""
    return bool(body["metadata"].get("deletionTimestamp"))
