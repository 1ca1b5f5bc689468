"""`kubectl explain` answers for every field: undocumented means failing."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import yaml

from exuvia.app.manifests import crds, describing
from exuvia.model.specs import choices, quarantine, rotation

FILES = sorted(path for path in (Path(__file__).parents[2] / "crds").glob("*.yaml") if path.stem != "kustomization")
IMPLICIT = ".metadata"  # the API server describes it, and allows nothing of ours there
ENUMS = [
    one
    for module in (choices, rotation, quarantine)
    for _, one in inspect.getmembers(module, inspect.isclass)
    if issubclass(one, StrEnum) and one is not StrEnum and one.__module__ == module.__name__
]


def _schema(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]  # type: ignore[no-any-return]


def _fields(schema: dict[str, Any], place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, one in schema.get("properties", {}).items():
        yield f"{place}.{name}", one
        yield from _fields(one, f"{place}.{name}")
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), dict):
            yield from _fields(schema[inner], f"{place}[]")


def _field(kind: str, place: str) -> dict[str, Any]:
    schema = crds.manifest(crds.definition(kind))["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return dict(_fields(schema))[place]


def test_there_is_a_file_for_each_kind() -> None:
    assert len(FILES) == len(crds.DEFINITIONS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_field_has_a_sentence(path: Path) -> None:
    fields = [(place, one.get("description", "")) for place, one in _fields(_schema(path)) if place != IMPLICIT]
    assert len(fields) > 30
    assert [place for place, text in fields if not text] == []
    assert [place for place, text in fields if not text.endswith(".") or "\n" in text] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_value_of_a_closed_list_is_explained(path: Path) -> None:
    for place, one in _fields(_schema(path)):
        for value in one.get("enum", one.get("items", {}).get("enum", ())):
            assert f"{value} (" in one["description"], place


@pytest.mark.parametrize("enum", ENUMS, ids=lambda enum: enum.__name__)
def test_every_member_has_its_comment(enum: type[StrEnum]) -> None:
    assert list(describing.meanings(enum)) == [str(one) for one in enum]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (".spec.drain.volumeDetachTimeout", "A duration in hours, minutes and seconds, such as 2h20m. Default: 10m."),
        (".spec.disruption.budgets[].nodes", "A number, or a percentage such as 10%."),
        (
            ".spec.disruption.budgets[].actions",
            "Unset: Rotations. One of Rotate (Rotations), Quarantine (Quarantines).",
        ),
        (".spec.suspend", "Default: false."),
        (".spec.quarantine.isolation", "Default: Taint, NetworkPolicy, LoadBalancerExclusion."),
        (".spec.rules[].maxAge", "It must not outlive a limit"),
    ],
)
def test_a_description_holds_unit_values_and_default(place: str, words: str) -> None:
    assert words in _field("SecurityPolicy", place)["description"]


def test_a_status_has_no_defaults_to_tell() -> None:
    assert "Default" not in _field("Rotation", ".status.attempts")["description"]
