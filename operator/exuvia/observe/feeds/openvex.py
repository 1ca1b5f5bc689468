"""OpenVEX (0.2.0, and the older ones): JSON with a list of statements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from exuvia.model.histories import VEX
from exuvia.observe.feeds import base, documents, vex
from exuvia.observe.feeds.base import Asked, Feed, Release
from exuvia.observe.feeds.documents import Document, Path
from exuvia.observe.feeds.vex import Saying

NAMESPACE = "https://openvex.dev/ns"
CONTEXTS = (f"{NAMESPACE}/v0.2.0", f"{NAMESPACE}/v0.0.2", f"{NAMESPACE}/v0.0.1", NAMESPACE)


def read(lines: Iterable[str], asked: Asked) -> Release:
    """What the last statements of the document come to. Raises `errors.InvalidObject`."""
    document = documents.load(lines, "OpenVEX document")
    context = document.texts((), document.body, "@context")
    if context not in CONTEXTS:
        raise document.wrong(("@context",), f"{context!r} is none of {', '.join(CONTEXTS)}")
    identity = document.texts((), document.body, "@id")
    issued = document.moment((), document.body, "timestamp")
    updated = document.moment((), document.body, "last_updated")
    settled = vex.settle(document, _sayings(document, issued), asked)
    wanted = tuple(one for one in settled if asked.wants(one.vulnerability))
    return Release(
        version=f"{identity}/{document.version()}",
        statements=wanted,
        document=identity,
        released=issued if updated is None else updated,
        passed_over=len(settled) - len(wanted),
    )


def _sayings(document: Document, issued: int | None) -> Iterator[Saying]:
    for path, one in document.objects((), document.body, "statements"):
        own = document.moment(path, one, "timestamp")
        times = [at for at in (own, issued) if at is not None]
        if not times:
            raise document.wrong((*path, "timestamp"), "neither the statement nor the document has a timestamp")
        yield Saying(
            path=path,
            names=_names(document, path, one),
            products=_products(document, path, one),
            status=vex.status(document, path, one, "status"),
            said=times[0],
            begins=min(times),
            justification=document.texts(path, one, "justification", default=""),
        )


def _names(document: Document, path: Path, statement: Mapping[str, Any]) -> tuple[str, ...]:
    """The name of the vulnerability, and the others that it is known by."""
    found = statement.get("vulnerability")
    if not isinstance(found, dict):
        return (document.name(path, statement, "vulnerability"),)
    place = (*path, "vulnerability")
    aliases = found.get("aliases") or []
    if not isinstance(aliases, list) or not all(isinstance(one, str) and one.strip() for one in aliases):
        raise document.wrong((*place, "aliases"), "this is no list of names")
    return (document.name(place, found, "name"), *(one for one in aliases if not base.flaw(one, base.LONGEST)))


def _products(document: Document, path: Path, statement: Mapping[str, Any]) -> tuple[str, ...]:
    found = statement.get("products") or []
    if not isinstance(found, list):
        raise document.wrong((*path, "products"), "this is no list")
    return tuple(_product(document, (*path, "products", index), one) for index, one in enumerate(found))


def _product(document: Document, path: Path, product: object) -> str:
    """Whatever identifies it; with its subcomponents, for these are part of what is meant."""
    if isinstance(product, str):
        return product
    if not isinstance(product, dict):
        raise document.wrong(path, "this is no product")
    inner = product.get("subcomponents") or []
    if not isinstance(inner, list):
        raise document.wrong((*path, "subcomponents"), "this is no list")
    return "/".join(map(_identity, (product, *inner)))


def _identity(component: object) -> str:
    if not isinstance(component, dict):
        return str(component)
    identifiers = component.get("identifiers")
    others = sorted(map(str, identifiers.values())) if isinstance(identifiers, dict) else []
    return str(component.get("@id") or next(iter(others), "a product without a name"))


FEED = Feed(
    name="openvex",
    help="An OpenVEX document, JSON.",
    basis=base.INTRINSIC,
    read=read,
    sources=(VEX,),
    shared=True,
)
