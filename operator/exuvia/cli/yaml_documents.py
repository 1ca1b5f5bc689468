"""YAML documents that know on which line each of their fields stands, read as the API server reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from exuvia import errors

NODE_LIMIT = 200_000
Path = tuple[str | int, ...]

_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_BOOLEAN = "tag:yaml.org,2002:bool"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_EXPONENT = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document. `lines`: where a field's key (or a list's item) stands; `texts`: where its text begins."""

    body: Any
    lines: Mapping[Path, int] = field(default_factory=dict)
    texts: Mapping[Path, int] = field(default_factory=dict)
    twice: tuple[tuple[Path, int], ...] = ()  # keys that stand there again, with the line of the former
    plain: Mapping[Path, str] = field(default_factory=dict)  # as it is written: what YAML makes something but text of
    odd_keys: tuple[Path, ...] = ()  # keys that are a boolean to YAML, like `on`

    def line(self, path: Path) -> int:
        """The line of a field, or of the nearest thing around it that is there."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def text_line(self, path: Path) -> int:
        """The line on which the text of a field begins (one below a `|`)."""
        return self.texts.get(path, self.line(path))


def read(text: str) -> Iterator[Document]:
    """Every document that is not empty. Raises `errors.InvalidObject` with `place` = "line N" for what is no YAML."""
    try:
        loader = yaml.SafeLoader(text)
        while loader.check_node():
            node = loader.get_node()
            document = _Reader(loader).document(node) if node is not None else Document(body=None)
            if document.body is not None:
                yield document
    except yaml.MarkedYAMLError as trouble:
        mark = trouble.problem_mark or trouble.context_mark
        said = " ".join(part for part in (trouble.context, trouble.problem) if part)
        raise errors.InvalidObject(
            f"this is no YAML: {said}", place=f"line {mark.line + 1 if mark else 1}"
        ) from trouble
    except (yaml.YAMLError, ValueError) as trouble:
        raise errors.InvalidObject(f"this is no YAML: {trouble}", place="line 1") from trouble
    except RecursionError as trouble:
        raise errors.InvalidObject("this is nested too deeply", place="line 1") from trouble


class _Reader:
    """Makes one document. Aliases count as often as they are used, so that a small file cannot become a huge one."""

    def __init__(self, loader: yaml.SafeLoader) -> None:
        self._loader = loader
        self._lines: dict[Path, int] = {}
        self._texts: dict[Path, int] = {}
        self._twice: list[tuple[Path, int]] = []
        self._plain: dict[Path, str] = {}
        self._odd_keys: list[Path] = []
        self._count = 0

    def document(self, node: Node) -> Document:
        """From the root."""
        self._lines[()] = node.start_mark.line + 1
        body = self._value(node, ())
        return Document(
            body=body,
            lines=self._lines,
            texts=self._texts,
            twice=tuple(self._twice),
            plain=self._plain,
            odd_keys=tuple(self._odd_keys),
        )

    def _value(self, node: Node, path: Path) -> Any:
        self._count += 1
        if self._count > NODE_LIMIT:
            raise ValueError(f"it holds more than {NODE_LIMIT} values, aliases counted")
        match node:
            case MappingNode():
                return self._mapping(node, path)
            case SequenceNode():
                return [self._item(one, (*path, index)) for index, one in enumerate(node.value)]
            case ScalarNode():
                return self._scalar(node, path)
        raise ValueError(f"line {node.start_mark.line + 1}: this is neither a value, a list nor a map")

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        written = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        self._loader.flatten_mapping(node)
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                raise ValueError(f"line {key.start_mark.line + 1}: a key must be a plain word")
            here = (*path, key.value)
            if key.value in found and written.count(key.value) > 1:
                self._twice.append((here, self._lines[here]))
            if key.tag == _BOOLEAN or _is_letter_of_yes(key):
                self._odd_keys.append(here)
            self._lines[here] = key.start_mark.line + 1
            found[key.value] = self._value(value, here)
        return found

    def _item(self, node: Node, path: Path) -> Any:
        self._lines[path] = node.start_mark.line + 1
        return self._value(node, path)

    def _scalar(self, node: ScalarNode, path: Path) -> Any:
        block = node.style in ("|", ">")
        self._texts[path] = node.start_mark.line + (2 if block else 1)
        found = self._read(node)
        if node.style is None and not isinstance(found, str):
            self._plain[path] = node.value
        return found

    def _read(self, node: ScalarNode) -> Any:
        """As the API server's own reader does, which differs from this one in a few plain words."""
        if node.tag == _TIMESTAMP or (node.tag in _NUMBERS and ":" in node.value):
            return node.value  # it knows neither dates nor numbers to the base of 60: they are text there
        if _is_letter_of_yes(node):
            return node.value in "yY"
        if node.style is None and _EXPONENT.fullmatch(node.value):
            return float(node.value)
        return self._loader.construct_object(node, deep=True)


def _is_letter_of_yes(node: ScalarNode) -> bool:
    """`y` and `n` are booleans to the API server's reader."""
    return node.style is None and node.value in ("y", "Y", "n", "N")
