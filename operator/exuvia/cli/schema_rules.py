"""What the API server checks beyond types: the CEL rules of a CRD, and keys that may stand in a list once only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from cel_expr_python import cel

from exuvia.cli.yaml_documents import Path

_ENVIRONMENT = cel.NewEnv(variables={"self": cel.Type.DYN})

Schema = Mapping[str, Any]


def broken(schema: Schema, value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Each rule of a structural schema that a value breaks: where, and the rule's own message.

    Rules about a change (`oldSelf`) say nothing of a file; what has the wrong type is said by others.
    """
    for rule in schema.get("x-kubernetes-validations") or ():
        if "oldSelf" not in rule["rule"] and _says_no(rule["rule"], value):
            yield path, rule["message"]
    if isinstance(value, Mapping):
        yield from _fields(schema, value, path)
    elif isinstance(value, list):
        yield from _items(schema, value, path)


def _fields(schema: Schema, value: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, str]]:
    properties = schema.get("properties") or {}
    for name, inner in value.items():
        known = properties.get(name)
        if known is not None and inner is not None:
            yield from broken(known, inner, (*path, name))


def _items(schema: Schema, value: list[Any], path: Path) -> Iterator[tuple[Path, str]]:
    yield from _repeated(schema, value, path)
    items = schema.get("items")
    for index, inner in enumerate(value):
        if items is not None and inner is not None:
            yield from broken(items, inner, (*path, index))


def _repeated(schema: Schema, value: list[Any], path: Path) -> Iterator[tuple[Path, str]]:
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    seen: list[Any] = []
    for index, inner in enumerate(value):
        if schema.get("x-kubernetes-list-type") == "set":
            mark: Any = inner
        elif keys and isinstance(inner, Mapping):
            mark = tuple(inner.get(key) for key in keys)
        else:
            continue
        if mark in seen:
            name = mark if isinstance(mark, str) else ", ".join(str(part) for part in mark)
            yield (*path, index), f"{name!r} stands in this list twice: rename one, or take it out"
        seen.append(mark)


def _says_no(rule: str, value: Any) -> bool:
    """Only a clear no counts."""
    try:
        answer = _program(rule).eval(data={"self": _without_nulls(value)})
    except (RuntimeError, ValueError, TypeError):
        return False
    return bool(answer.type() == cel.Type.BOOL) and answer.plain_value() is False


@lru_cache(maxsize=256)
def _program(rule: str) -> Any:
    return _ENVIRONMENT.compile(rule)


def _without_nulls(value: Any) -> Any:
    """A null is an absent field to the API server."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value
