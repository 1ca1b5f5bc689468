"""CycloneDX VEX (1.4 to 1.7): JSON whose vulnerabilities carry an analysis. One without an analysis states nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from exuvia.model.histories import VEX
from exuvia.observe.feeds import base, documents, vex
from exuvia.observe.feeds.base import Asked, Feed, Release
from exuvia.observe.feeds.documents import Document, Path
from exuvia.observe.feeds.vex import Saying

VERSIONS = ("1.4", "1.5", "1.6", "1.7")
_UNTIMED = "Say by --valid-from TIME since when the vulnerability has not mattered."


def read(lines: Iterable[str], asked: Asked) -> Release:
    """What the analyses of the document come to. Raises `errors.InvalidObject`."""
    document = documents.load(lines, "CycloneDX document")
    if document.body.get("bomFormat") != "CycloneDX":
        raise document.wrong(("bomFormat",), f"{document.body.get('bomFormat', 'nothing')!r} is not 'CycloneDX'")
    if document.body.get("specVersion") not in VERSIONS:
        said = f"{document.body.get('specVersion')!r} is none of {', '.join(VERSIONS)}"
        raise document.wrong(("specVersion",), said)
    entries = list(document.objects((), document.body, "vulnerabilities"))
    analysed = [(path, one) for path, one in entries if one.get("analysis") is not None]
    issued = document.moment(("metadata",), _object(document, (), document.body, "metadata"), "timestamp")
    settled = vex.settle(document, _sayings(document, analysed, issued, asked), asked)
    wanted = tuple(one for one in settled if asked.wants(one.vulnerability))
    identity = document.texts((), document.body, "serialNumber", default=asked.document)
    return Release(
        version=f"{identity}/{document.version()}",
        statements=wanted,
        document=identity,
        released=issued,
        passed_over=len(entries) - len(analysed) + len(settled) - len(wanted),
    )


def _sayings(
    document: Document, entries: Iterable[tuple[Path, Mapping[str, Any]]], issued: int | None, asked: Asked
) -> Iterator[Saying]:
    whole = _whole(document)
    for path, one in entries:
        analysis = _object(document, path, one, "analysis")
        place = (*path, "analysis")
        stated = document.moment(place, analysis, "firstIssued")
        updated = document.moment(place, analysis, "lastUpdated")
        begins = [
            at for at in (stated, document.moment(path, one, "published"), issued, asked.valid_from) if at is not None
        ]
        if not begins:
            raise document.wrong(place, "no time stands there, nor in the metadata", _UNTIMED)
        affected = list(_affected(document, path, one))
        yield Saying(
            path=place,
            names=_names(document, path, one),
            products=tuple(ref for ref, _ in affected) or whole,
            status=vex.status(document, place, analysis, "state"),
            said=next(at for at in (updated, stated, issued, begins[0]) if at is not None),
            begins=min(begins),
            justification=document.texts(place, analysis, "justification", default=""),
            doubt=any(doubt for _, doubt in affected),
        )


def _whole(document: Document) -> tuple[str, ...]:
    """The product that the document is about as a whole, if it names one."""
    metadata = _object(document, (), document.body, "metadata")
    component = _object(document, ("metadata",), metadata, "component")
    name = component.get("bom-ref") or component.get("purl") or component.get("name")
    return (str(name),) if name else ()


def _names(document: Document, path: Path, entry: Mapping[str, Any]) -> tuple[str, ...]:
    """The name of the vulnerability, and the others that it is known by."""
    found = [document.name(path, entry, "id")]
    if entry.get("references"):
        found += [document.name(place, one, "id") for place, one in document.objects(path, entry, "references")]
    return tuple(found)


def _affected(document: Document, path: Path, entry: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """(product, whether a version of it is named as affected or unknown)."""
    if not entry.get("affects"):
        return
    for place, one in document.objects(path, entry, "affects"):
        versions = one.get("versions") or []
        listed = versions if isinstance(versions, list) else [versions]
        states = {one.get("status") or one.get("state") for one in listed if isinstance(one, dict)}
        yield document.texts(place, one, "ref"), bool(states & {"affected", "unknown"})


def _object(document: Document, path: Path, holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = holder.get(key) or {}
    if not isinstance(found, dict):
        raise document.wrong((*path, key), "this is no object")
    return found


FEED = Feed(
    name="cyclonedx",
    help="A CycloneDX document with VEX analyses, JSON.",
    basis=base.INTRINSIC,
    read=read,
    sources=(VEX,),
    shared=True,
)
