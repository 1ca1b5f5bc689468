"""From a pydantic model to a structural schema (KEP-1026): no `$ref`, no `anyOf`, no titles, bounds kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import BaseModel, TypeAdapter

from exuvia.app.manifests.describing import Describing
from exuvia.model.specs.common import DURATION_PATTERN, format_duration

Schema = dict[str, Any]

_DROPPED = ("title", "$defs", "discriminator", "additionalItems")
_SPAN = TypeAdapter(timedelta)

OPEN = "x-exuvia-open"
"""Marks a part whose inner shape the schema leaves open, because it repeats another kind's (frozen settings)."""


def structural(model: type[BaseModel]) -> Schema:
    """The schema of a model as a CRD wants it. Defaults become visible on GET."""
    raw = model.model_json_schema(by_alias=True, mode="validation", schema_generator=Describing)
    return _convert(raw, raw.get("$defs", {}))


def _convert(node: Schema, defs: dict[str, Schema]) -> Schema:
    node = _resolved(node, defs)
    if node.get(OPEN):
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "description": node["description"]}
    out = {key: value for key, value in node.items() if key not in _DROPPED}
    out.pop("anyOf", None)
    if "const" in out:
        out["enum"] = [out.pop("const")]
    if out.get("default", ...) is None:
        out.pop("default")
    if "default" in out:
        out["default"] = _without_nulls(out["default"])
    if out.get("pattern") == DURATION_PATTERN and "default" in out:
        out["default"] = format_duration(_SPAN.validate_python(out["default"]))
    if "properties" in out:
        out["properties"] = {key: _field(value, defs) for key, value in out["properties"].items()}
        out.pop("additionalProperties", None)
        _optional_without_default(out)
    elif isinstance(out.get("additionalProperties"), dict):
        out["additionalProperties"] = _convert(out["additionalProperties"], defs)
    if "propertyNames" in out:
        out.pop("propertyNames")
    if "items" in out:
        out["items"] = _convert(out["items"], defs)
        out.update(_list_kind(out["items"]))
    if out.get("type") == "object" and "default" in out:
        out["default"] = {}
    if out.get("type") == "integer":
        out["format"] = "int64"
    if "enum" in out and out.get("type") == "string":
        out["maxLength"] = max(len(str(value)) for value in out["enum"])
    return out


def _without_nulls(value: Any) -> Any:
    """A default names only what is set."""
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list | tuple) else value


def _field(node: Schema, defs: dict[str, Schema]) -> Schema:
    """A field is never nullable: the server takes a null that somebody wrote for an absent field, and so does CEL."""
    out = _convert(node, defs)
    out.pop("nullable", None)
    return out


def _resolved(node: Schema, defs: dict[str, Schema]) -> Schema:
    """Inline a reference; turn `X or null` into X with `nullable` where a value may be null inside a map."""
    if "$ref" in node:
        target = defs[node["$ref"].rsplit("/", 1)[-1]]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
        return _resolved(node, defs)
    if "anyOf" in node:
        some = [one for one in node["anyOf"] if one.get("type") != "null"]
        if len(some) != 1:
            raise ValueError(f"a union of several types is not structural: {node}")
        rest = {key: value for key, value in node.items() if key != "anyOf"}
        return _resolved({**some[0], **rest, "nullable": True}, defs)
    if "allOf" in node and len(node["allOf"]) == 1:
        rest = {key: value for key, value in node.items() if key != "allOf"}
        return _resolved({**node["allOf"][0], **rest}, defs)
    return node


def _optional_without_default(out: Schema) -> None:
    """An absent optional field is absent: neither a null nor an empty list is put in its place."""
    for name, value in out["properties"].items():
        if name not in out.get("required", ()) and value.get("default") in ([], None) and "default" in value:
            value.pop("default")
        if isinstance(value.get("default"), dict) and value.get("type") == "object" and not value.get("properties"):
            value.pop("default")


def _list_kind(items: Schema) -> Schema:
    """Lists of named objects merge by name, conditions by type, enumerated scalars are sets."""
    properties, required = items.get("properties", {}), items.get("required", [])
    if "lastTransitionTime" in properties:
        return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    if "name" in properties and "name" in required and "uid" not in properties and "startedAt" not in properties:
        return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    if "enum" in items:
        return {"x-kubernetes-list-type": "set"}
    return {"x-kubernetes-list-type": "atomic"}
