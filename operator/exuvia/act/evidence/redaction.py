"""What must never reach the disk is taken out here: data of Secrets, and the values of environment variables.

Names stay, values go: `{"name": "DB_PASSWORD", "value": "(redacted)"}`. Annotations that hold whole objects as JSON
(`kubectl.kubernetes.io/last-applied-configuration` and the like) are opened, redacted and written back; one that
cannot be opened although it says that it holds a configuration is replaced altogether. Nothing is read or written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

REDACTED = "(redacted)"
SECRET_PARTS = ("data", "stringData")
CONFIGURATION_MARK = "last-applied"


def redacted(value: Any) -> Any:
    """A copy of decoded JSON without secrets, at any depth."""
    if isinstance(value, Mapping):
        return _object(value)
    if isinstance(value, list | tuple):
        return [redacted(one) for one in value]
    return value


def _object(body: Mapping[str, Any]) -> dict[str, Any]:
    secret = body.get("kind") == "Secret"
    listed = body.get("kind") == "SecretList"
    return {key: _field(key, value, secret=secret, listed=listed) for key, value in body.items()}


def _field(key: str, value: Any, *, secret: bool, listed: bool) -> Any:
    if secret and key in SECRET_PARTS:
        return _blank(value)
    if listed and key == "items":
        return [redacted({"kind": "Secret", **one}) if isinstance(one, Mapping) else REDACTED for one in value or []]
    if key == "env":
        return _environment(value)
    if key == "annotations" and isinstance(value, Mapping):
        return {name: _annotation(str(name), text) for name, text in value.items()}
    return redacted(value)


def _blank(value: Any) -> Any:
    """Keys stay, values go."""
    return dict.fromkeys(value, REDACTED) if isinstance(value, Mapping) else REDACTED


def _environment(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_variable(one) for one in value]
    return _blank(value) if isinstance(value, Mapping) else value


def _variable(one: Any) -> Any:
    """A variable keeps its name and where its value comes from (`valueFrom` only names a source)."""
    if not isinstance(one, Mapping):
        return REDACTED
    return {key: REDACTED if key == "value" else redacted(part) for key, part in one.items()}


def _annotation(name: str, text: Any) -> Any:
    if not isinstance(text, str) or not text.lstrip().startswith(("{", "[")):
        return REDACTED if CONFIGURATION_MARK in name else text
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        return REDACTED
    return json.dumps(redacted(held), sort_keys=True, separators=(",", ":"))
