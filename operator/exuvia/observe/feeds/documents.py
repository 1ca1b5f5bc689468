"""JSON documents whose complaints name the line on which a field stands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from exuvia import errors
from exuvia.observe.feeds import base

Path = tuple[str | int, ...]

AGAIN = "Fetch it again, or name the right kind of feed."
_KINDS: Mapping[str, tuple[Callable[[Mapping[str, Any]], bool], str]] = {
    "KEV catalogue": (lambda one: "catalogVersion" in one, "This looks like KEV: import it as `kev`."),
    "CycloneDX document": (lambda one: "bomFormat" in one, "This looks like CycloneDX: import it as `cyclonedx`."),
    "OpenVEX document": (
        lambda one: "openvex" in str(one.get("@context", "")),
        "This looks like OpenVEX: import it as `openvex`.",
    ),
    "NVD file": (lambda one: "NVD" in str(one.get("format", "")), "This looks like the NVD's: import it as `cvss`."),
    "CSAF document": (
        lambda one: "csaf_version" in str(one.get("document", "")),
        "This looks like CSAF, which exuvia does not read: fetch it as OpenVEX or CycloneDX.",
    ),
    "attestation": (
        lambda one: "predicateType" in one,
        "This is an attestation: import what stands in its `predicate`, once its signature was checked.",
    ),
}
"""What a document looks like that is of another kind, and what to do with it then."""
_SKIP = json.JSONDecoder()
_BLANKS = " \t\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A JSON object and its text. Numbers that are no integers are their source text."""

    what: str
    text: str
    body: Mapping[str, Any]

    def wrong(self, path: Path, message: str, remedy: str = "") -> errors.InvalidObject:
        """A complaint about one field: its line and its name."""
        name = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in path).removeprefix(".")
        words = f"{name}: {message}" if name else message
        return base.complaint(line_of(self.text, path), words, remedy or self._way_out())

    def _way_out(self) -> str:
        other = next((words for what, (looks, words) in _KINDS.items() if what != self.what and looks(self.body)), "")
        return other or f"Fetch it again; if that is how a {self.what} is now, update exuvia."

    def texts(self, path: Path, holder: Mapping[str, Any], key: str, *, default: str | None = None) -> str:
        """A field that is text. Raises `errors.InvalidObject` where it is missing (without a default) or is none."""
        value = holder.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or (not value.strip() and default is None):
            raise self.wrong((*path, key), "the text is missing" if value is None else f"{value!r} is no text")
        flaw = base.flaw(value.strip())
        if flaw:
            raise self.wrong((*path, key), flaw)
        return value.strip()

    def moment(self, path: Path, holder: Mapping[str, Any], key: str) -> int | None:
        """A field that is a time, or not there. Raises `errors.InvalidObject`."""
        value = holder.get(key)
        found = base.moment(value)
        if value is not None and found is None:
            raise self.wrong((*path, key), f"{value!r} is no time")
        return found

    def name(self, path: Path, holder: Mapping[str, Any], key: str) -> str:
        """A field that names a vulnerability."""
        found = self.texts(path, holder, key)
        flaw = base.flaw(found, base.LONGEST)
        if flaw:
            raise self.wrong((*path, key), f"{flaw} for the name of a vulnerability")
        return found

    def version(self) -> str:
        """The document's own `version`: a number, or text as older ones have it; 1 where there is none."""
        found = self.body.get("version", 1)
        if isinstance(found, bool) or not isinstance(found, int | str) or not str(found) or base.flaw(str(found)):
            raise self.wrong(("version",), f"{str(found)[:40]!r} is no version")
        return str(found)

    def objects(self, path: Path, holder: Mapping[str, Any], key: str) -> Iterator[tuple[Path, Mapping[str, Any]]]:
        """Every object of a list with its path. Raises `errors.InvalidObject` for anything else."""
        found = holder.get(key)
        if not isinstance(found, list):
            raise self.wrong((*path, key), "the list is missing" if found is None else "this is no list")
        for index, one in enumerate(found):
            if not isinstance(one, dict):
                raise self.wrong((*path, key, index), "this is no object")
            yield (*path, key, index), one


def _said(trouble: json.JSONDecodeError) -> str:
    """The words of the parser end where its number stands."""
    return f"{trouble.msg.removesuffix(' at')} (character {trouble.colno} of the line)"


def load(lines: Iterable[str], what: str) -> Document:
    """A whole document. Raises `errors.InvalidObject` for HTML, broken JSON, and JSON that is no object."""
    text = "".join(lines)
    if text.lstrip()[:1] == "<":
        raise base.complaint(1, f"this is a web page or XML, no {what}", "Fetch the JSON.")
    try:
        body = json.loads(text, parse_float=str, parse_constant=_refuse)
    except json.JSONDecodeError as trouble:
        begins = f", it begins with {text.lstrip()[:20]!r}" if trouble.pos == 0 else f": {_said(trouble)}"
        raise base.complaint(trouble.lineno, f"this is no JSON{begins}", AGAIN) from None
    except RecursionError:
        raise base.complaint(1, f"this is nested too deeply for a {what}", AGAIN) from None
    except ValueError as trouble:
        raise base.complaint(1, f"this is no JSON: {trouble}", AGAIN) from None
    if not isinstance(body, dict):
        raise base.complaint(1, f"this is no JSON object, so no {what}", AGAIN)
    return Document(what=what, text=text, body=body)


def line_of(text: str, path: Path) -> int:
    """The line on which a field stands, or the nearest thing around it that is there. The text is sound JSON."""
    at = _blank(text, 0)
    for step in path:
        found = _inside(text, at, step)
        if found is None:
            break
        at = found
    return text.count("\n", 0, at) + 1


def _inside(text: str, at: int, step: str | int) -> int | None:
    """Where the value of a key, or an item of a list, begins."""
    opening = text[at : at + 1]
    if opening != ("{" if isinstance(step, str) else "["):
        return None
    at, index = _blank(text, at + 1), 0
    while text[at] not in "]}":
        key: str | int = index
        if opening == "{":
            key, at = scanstring(text, at + 1, True)
            at = _blank(text, _blank(text, at) + 1)
        if key == step:
            return at
        at = _blank(text, _SKIP.raw_decode(text, at)[1])
        if text[at] == ",":
            at = _blank(text, at + 1)
        index += 1
    return None


def _blank(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANKS:
        at += 1
    return at


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no number")
