"""What `kubectl explain` says of a field, from the one place where it is written: the string below the field in its
model, the comments beside the members of an enum, and the default. Read from the source, so that running costs nothing.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from exuvia.model.specs.common import AMOUNT_PATTERN, DURATION_PATTERN, StatusModel, format_duration

_MEMBER = re.compile(r"""^ +[A-Z0-9_]+ = ["'](?P<value>[^"']+)["']  # (?P<meaning>.+)$""", re.MULTILINE)
_WRITTEN = {
    DURATION_PATTERN: "A duration in hours, minutes and seconds, such as 2h20m.",
    AMOUNT_PATTERN: "A number, or a percentage such as 10%.",
}


class Describing(GenerateJsonSchema):
    """pydantic's generator, with a description on every field that has one."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """As pydantic makes it, and each property told."""
        made = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        for name, field in model.model_fields.items():
            key = str(field.validation_alias or name)
            told = made["properties"][key]
            text = " ".join(_sentences(model, name, field, told))
            made["properties"][key] = {**told, "description": text} if text else told
        return made


def _sentences(model: type[BaseModel], name: str, field: FieldInfo, told: JsonSchemaValue) -> Iterator[str]:
    """What it means, what its values mean, how it is written, what it is when nobody writes it."""
    if name not in written(model):
        return
    yield written(model)[name]
    for enum in _enums(field.annotation):
        yield "One of " + ", ".join(f"{value} ({meaning})" for value, meaning in meanings(enum).items()) + "."
    yield from (said for pattern, said in _WRITTEN.items() if pattern in _patterns(told))
    if not issubclass(model, StatusModel) and (default := _shown(field.get_default(call_default_factory=True))):
        yield f"Default: {default}."


@cache
def written(model: type[BaseModel]) -> dict[str, str]:
    """The string below each field of a model, by the field's name; of what it inherits as well."""
    texts: dict[str, str] = {}
    for one in reversed(model.__mro__[: model.__mro__.index(BaseModel)]):
        texts.update(_below_fields(one))
    return texts


def _below_fields(model: type) -> Iterator[tuple[str, str]]:
    found, _ = _source(model)
    for field, below in zip(found.body, found.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            yield field.target.id, " ".join(str(ast.literal_eval(below.value)).split())


@cache
def meanings(enum: type[StrEnum]) -> dict[str, str]:
    """The comment beside each member of an enum, by the member's value."""
    _, text = _source(enum)
    return {one["value"]: one["meaning"] for one in _MEMBER.finditer(text)}


def _source(wanted: type) -> tuple[ast.ClassDef, str]:
    found, lines = _module(wanted.__module__)
    node = found[wanted.__name__]
    return node, "\n".join(lines[node.lineno - 1 : node.end_lineno])


@cache
def _module(name: str) -> tuple[dict[str, ast.ClassDef], list[str]]:
    """The classes of a module, and its lines."""
    text = inspect.getsource(sys.modules[name])
    return {one.name: one for one in ast.parse(text).body if isinstance(one, ast.ClassDef)}, text.splitlines()


def _enums(annotation: Any) -> Iterator[type[StrEnum]]:
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        yield annotation
    for part in get_args(annotation):
        yield from _enums(part)


def _patterns(told: JsonSchemaValue) -> list[Any]:
    return [one.get("pattern") for one in (told, *told.get("anyOf", ()))]


def _shown(default: Any) -> str:
    """A default as one writes it; "" where it says nothing or is told by the parts."""
    match default:
        case bool():
            return str(default).lower()
        case timedelta():
            return format_duration(default)
        case int() | str():
            return str(default)
        case tuple():
            return ", ".join(str(one) for one in default if isinstance(one, str))
        case _:
            return ""
