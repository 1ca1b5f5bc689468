"""What is wrong with a manifest, and on which line: everything the API server or the operator would say, beforehand."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError

from exuvia import errors
from exuvia.app.manifests import crds
from exuvia.cli import phrasing, schema_rules, yaml_documents
from exuvia.cli.yaml_documents import Document, Path
from exuvia.evaluate.policies import compile_policy
from exuvia.model import marks
from exuvia.model.problems import Problem
from exuvia.model.specs.security_policy import SecurityPolicy

_PART = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_CEL_LINE = re.compile(r"line (\d+), column \d+: ")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_KINDS = {one.resource.kind: one for one in crds.DEFINITIONS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One thing that is wrong. `subject` is kind and name, "" where they are not known."""

    file: str
    line: int
    subject: str = ""
    place: str = ""
    message: str

    def __str__(self) -> str:
        words = ": ".join(part for part in (self.subject, self.place, self.message) if part)
        return f"{self.file}:{self.line}: {words}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """What one file holds: how many objects of exuvia, how many others, and what is wrong with ours."""

    ours: int
    others: int
    mistakes: tuple[Mistake, ...]


def lint(file: str, text: str) -> Linted:
    """All documents of a file."""
    mistakes: list[Mistake] = []
    ours = others = 0
    try:
        for document in yaml_documents.read(text):
            for path, body in _objects(document.body):
                if not _is_ours(body):
                    others += 1
                    continue
                ours += 1
                mistakes += _object(file, document, path, body)
    except errors.InvalidObject as trouble:
        line = int(trouble.place.removeprefix("line "))
        mistakes.append(Mistake(file=file, line=line, message=f"{trouble.message}."))
    ordered = tuple(sorted(mistakes, key=lambda one: one.line))
    return Linted(ours=ours, others=others, mistakes=ordered)


def _objects(body: Any) -> Iterator[tuple[Path, Any]]:
    """The object itself, or those of a v1 List."""
    if isinstance(body, Mapping) and body.get("kind") == "List" and isinstance(body.get("items"), list):
        for index, one in enumerate(body["items"]):
            yield ("items", index), one
    else:
        yield (), body


def _is_ours(body: Any) -> bool:
    """Of our group, or meant to be: a misspelt group must not be passed over as somebody else's."""
    if not isinstance(body, Mapping):
        return False
    group, slash, _ = str(body.get("apiVersion") or "").partition("/")
    if group == marks.GROUP:
        return True
    meant = bool(difflib.get_close_matches(group, (marks.GROUP,), 1, 0.7)) or not slash
    return meant and body.get("kind") in _KINDS


def _object(file: str, document: Document, root: Path, body: Mapping[str, Any]) -> Iterator[Mistake]:
    metadata = body.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    shown = name if isinstance(name, str) else document.plain.get((*root, "metadata", "name"))
    subject = f"{body.get('kind') or '?'} {shown or '?'}"
    for path, message in _wrong(document, root, body, name):
        full = (*root, *path)
        line = document.line(full)
        counted = _CEL_LINE.search(message)
        if counted:
            line = document.text_line(full) + int(counted.group(1)) - 1
        yield Mistake(file=file, line=line, subject=subject, place=dotted(path), message=message)


def _wrong(document: Document, root: Path, body: Mapping[str, Any], name: Any) -> Iterator[tuple[Path, str]]:
    definition = _KINDS.get(str(body.get("kind")))
    if definition is None:
        given = body.get("kind")
        yield ("kind",), f"`{given}` is no kind that this version serves; {phrasing.one_of(tuple(_KINDS), given)}"
        return
    if body.get("apiVersion") != definition.resource.api_version:
        yield ("apiVersion",), f"must be {definition.resource.api_version}."
    written = {path[len(root) :]: text for path, text in document.plain.items() if path[: len(root)] == root}
    yield from _name(name, written.get(("metadata", "name"), ""))
    for path, line in document.twice:
        if path[: len(root)] == root:
            yield path[len(root) :], f"stands there twice, before on line {line}: take one out."
    for path in document.odd_keys:
        if path[: len(root)] == root:
            yield path[len(root) :], f"{phrasing.boolean_trap(str(path[-1]))}."
    yield from _field_problems(body)
    yield from _marks(body, written)
    yield from _spec(definition, body, written)


def _name(name: Any, written: str) -> Iterator[tuple[Path, str]]:
    path = ("metadata", "name")
    if isinstance(name, bool):
        yield path, f"must be a name: {phrasing.boolean_trap(written)}."
    elif isinstance(name, int | float):
        yield path, f"must be a name, and this is a number: write it in quotes, {json.dumps(written or str(name))}."
    elif not isinstance(name, str) or len(name) > 253 or not _NAME.fullmatch(name):
        yield path, "must be a name of lower-case letters, digits, '-' and '.'."


def _marks(body: Mapping[str, Any], written: Mapping[Path, str]) -> Iterator[tuple[Path, str]]:
    """Labels and annotations of the object itself: texts, like everywhere in Kubernetes."""
    metadata = body.get("metadata")
    for field in ("labels", "annotations"):
        found = metadata.get(field) if isinstance(metadata, Mapping) else None
        for key, value in found.items() if isinstance(found, Mapping) else ():
            if not isinstance(value, str):
                path = ("metadata", field, key)
                yield path, phrasing.sentence({"type": "string_type", "input": value}, written.get(path, ""))


def _field_problems(body: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    known = ("apiVersion", "kind", "metadata", "spec", "status")
    for key in body:
        if key not in known:
            yield (key,), _unknown(key, known)


def _spec(
    definition: crds.Definition, body: Mapping[str, Any], written: Mapping[Path, str]
) -> Iterator[tuple[Path, str]]:
    spec = {} if body.get("spec") is None and not definition.spec_required else body.get("spec")
    if not isinstance(spec, Mapping):
        yield ("spec",), "is required: add it."
        return
    mistyped = list(_types(definition.spec, spec, written))
    yield from mistyped
    untyped = {path[:-1] for path, _ in mistyped if path[-1] == "type"}
    broken = [one for one in schema_rules.broken(_schema(definition.resource.kind), body) if one[0] not in untyped]
    yield from ((path, f"{message}.") for path, message in broken)
    if not mistyped and definition.resource.kind == SecurityPolicy.KIND:
        said = {path for path, _ in broken}
        yield from (one for one in _compiled(spec) if not any(one[0][: len(path)] == path for path in said))


@cache
def _schema(kind: str) -> Mapping[str, Any]:
    """The schema of a kind as its CRD has it."""
    schema: Mapping[str, Any] = crds.manifest(_KINDS[kind])["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def _types(model: type[BaseModel], spec: Mapping[str, Any], written: Mapping[Path, str]) -> Iterator[tuple[Path, str]]:
    """As strict as the API server: no number where a string is meant, no string where a number is."""
    try:
        model.model_validate_json(json.dumps(spec), strict=True)
    except ValidationError as trouble:
        for one in trouble.errors(include_url=False):
            path: Path = ("spec", *(part for part in one["loc"] if part != "[key]"))
            if one["type"] == "extra_forbidden":
                yield path, _unknown(str(path[-1]), _siblings(model, path))
            elif not phrasing.follows(one):
                yield path, phrasing.sentence(one, written.get(path, ""))


def _siblings(model: type[BaseModel], path: Path) -> tuple[str, ...]:
    """The fields that may stand where an unknown one stands."""
    node = model.model_json_schema(by_alias=True)
    definitions = node.get("$defs", {})
    for part in path[1:-1]:
        node = _plain(node, definitions)
        node = node.get("items", {}) if isinstance(part, int) else (node.get("properties") or {}).get(part, {})
    return tuple(_plain(node, definitions).get("properties") or ())


def _plain(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    for one in node.get("anyOf") or ():
        if one.get("type") != "null":
            node = one
    if "$ref" in node:
        return definitions[node["$ref"].rsplit("/", 1)[-1]]
    return node


def _unknown(name: str, known: tuple[str, ...]) -> str:
    close = phrasing.nearest(known, name)
    if close:
        return f"there is no such field; did you mean `{close}`?"
    return "there is no such field; take it out" + (f" (there are {', '.join(known)})." if known else ".")


def _compiled(spec: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """What only compiling finds: CEL, regexes, versions, cron, zones, and what this version does not serve."""
    compiled = compile_policy(SecurityPolicy.parse({"metadata": {"name": "?"}, "spec": spec}))
    if isinstance(compiled, tuple):
        for problem in compiled:
            yield path_of(problem.place), _problem(problem)


def _problem(problem: Problem) -> str:
    first, *carets = problem.words.split("\n")
    reason = f" ({problem.reason})" if problem.reason != "InvalidSpec" else ""
    return "\n".join([f"{first}{reason}", *carets])


def path_of(place: str) -> Path:
    """`spec.rules[0].name` as a path."""
    return tuple(int(index) if index else word for word, index in _PART.findall(place))


def dotted(path: Path) -> str:
    """A path as `spec.rules[0].name`."""
    said = ""
    for part in path:
        said += f"[{part}]" if isinstance(part, int) else f".{part}" if said else str(part)
    return said
