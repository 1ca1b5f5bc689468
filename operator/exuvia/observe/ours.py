"""Our own kinds. One that cannot be read is kept as `Unparsable`: its existence still counts, and it is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from exuvia import errors
from exuvia.model.specs.common import Metadata, Resource

R = TypeVar("R", bound=Resource)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unparsable:
    """An object of ours that does not parse: who it is, and what is wrong with it."""

    name: str
    uid: str
    resource_version: str
    problem: str
    body: dict[str, object]


def reader(kind: type[R]) -> Callable[[bytes | msgspec.Raw], R | Unparsable]:
    """A projection from JSON to one of our kinds."""

    def read(raw: bytes | msgspec.Raw) -> R | Unparsable:
        return from_body(kind, msgspec.json.decode(raw))

    return read


def from_body(kind: type[R], body: dict[str, object]) -> R | Unparsable:
    """From a decoded object."""
    try:
        return kind.parse(body)
    except errors.InvalidObject as trouble:
        meta = Metadata.model_validate(body.get("metadata") or {"name": "?"})
        return Unparsable(
            name=meta.name, uid=meta.uid, resource_version=meta.resource_version, problem=str(trouble), body=body
        )
