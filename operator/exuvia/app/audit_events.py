"""Deletions of machines by persons, as the API server's audit events tell of them.

Only what is certain counts: a DELETE of one Node that the API server accepted, that was no dry run, by a user who is no
part of the cluster. Everything else that is sent is passed over.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

import msgspec

from exuvia import errors
from exuvia.observe import shapes

PREFIXES = ("system:", "eks:")
"""How the names of service accounts, nodes and parts of Kubernetes begin, and those of what EKS runs in it: Kubernetes
and EKS give such a name to nobody else."""

NAMES = frozenset({"aksService"})
"""What AKS calls itself: others may be called so that their names begin alike."""

LIST, ONE = "EventList", "Event"
MOST = 1000
"""Events in one request; the webhook of an API server sends 400 at a time, unless it is told otherwise."""

_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}]')
"""A string, or where a list or an object begins or ends. Possessive, for else each escape is kept to come back to."""


class _User(msgspec.Struct):
    username: str | None = None


class _Reference(msgspec.Struct):
    apiGroup: str | None = None
    resource: str | None = None
    subresource: str | None = None
    namespace: str | None = None
    name: str | None = None
    uid: str | None = None


class _Status(msgspec.Struct):
    code: int | None = None


class _Identity(msgspec.Struct):
    uid: str | None = None


class _Answer(msgspec.Struct):
    """What a DELETE was sent with, or answered with: options, a Status, or the Node that still has finalizers."""

    preconditions: _Identity | None = None
    details: _Identity | None = None
    metadata: _Identity | None = None


class _Options(msgspec.Struct):
    dryRun: msgspec.Raw = msgspec.Raw()


class _Event(msgspec.Struct):
    kind: str = ""
    stage: str = ""
    verb: str = ""
    user: _User | None = None
    impersonatedUser: _User | None = None
    objectRef: _Reference | None = None
    responseStatus: _Status | None = None
    requestReceivedTimestamp: str | None = None
    requestURI: str | None = None
    requestObject: msgspec.Raw = msgspec.Raw()
    responseObject: msgspec.Raw = msgspec.Raw()


class _Sent(msgspec.Struct):
    kind: str = ""
    items: msgspec.Raw = msgspec.Raw()


_DECODER = msgspec.json.Decoder(_Sent)
_EVENTS = msgspec.json.Decoder(_Event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """A person asked the API server `at` that moment to delete the Node of that name. `uid` "": the event does not say
    which; it is the one that bore the name then."""

    name: str
    uid: str
    by: str
    at: datetime


def read(body: bytes) -> list[Deletion]:
    """From an `EventList` as the API server's webhook sends it, or JSON lines as its log has them; one by one, so that
    no more are ever in memory. Raises `errors.InvalidObject`, also for more than `MOST` events."""
    found = []
    for number, event in enumerate(_events(body), start=1):
        if number > MOST:
            raise errors.InvalidObject(f"more than {MOST} events are too many", remedy=f"Send {MOST} at a time.")
        if (one := _deletion(event)) is not None:
            found.append(one)
    return found


def _events(body: bytes) -> Iterator[_Event]:
    remedy = "Send an EventList of audit.k8s.io/v1, or one Event on each line."
    for number, line in _parts(body):
        place = f"line {number}"
        try:
            yield from _of(line)
        except (msgspec.MsgspecError, ValueError, RecursionError) as trouble:
            raise errors.InvalidObject(f"{place}: {trouble}", place=place, remedy=remedy) from None


def _of(line: bytes) -> Iterator[_Event]:
    sent = _DECODER.decode(line)
    if sent.kind == ONE:
        yield _EVENTS.decode(line)
    elif sent.kind == LIST:
        yield from map(_EVENTS.decode, _items(bytes(sent.items)))
    else:
        raise ValueError(f"{sent.kind or 'this'} is no audit event")


def _items(raw: bytes) -> Iterator[bytes]:
    """The objects in a JSON list that is well formed, one after the other."""
    depth = begun = 0
    for token in _TOKEN.finditer(raw):
        if token[0] in b"[{":
            depth += 1
            begun = token.start() if depth == 2 else begun
        elif token[0] in b"]}":
            if depth == 2:
                yield raw[begun : token.end()]
            depth -= 1


def _parts(body: bytes) -> Iterator[tuple[int, bytes]]:
    """One document, written on several lines or not; else a document a line. With their numbers."""
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.MsgspecError, RecursionError):
        yield from ((number, line) for number, line in enumerate(io.BytesIO(body), start=1) if line.strip())
    else:
        yield 1, body


def _deletion(event: _Event) -> Deletion | None:
    what, status = event.objectRef or _Reference(), event.responseStatus or _Status()
    accepted = event.stage == "ResponseComplete" and 200 <= (status.code or 0) < 300
    if event.verb != "delete" or not _a_node(what) or not accepted or _dry_run(event):
        return None
    by = (event.impersonatedUser or event.user or _User()).username or ""
    at = shapes.moment(event.requestReceivedTimestamp)
    if not by or by.startswith(PREFIXES) or by in NAMES or at is None:
        return None
    return Deletion(name=what.name or "", uid=what.uid or _uid(event), by=by[:512], at=at)


def _a_node(what: _Reference) -> bool:
    """One of Kubernetes' own: others have kinds of that name, too."""
    other = what.apiGroup or what.namespace or what.subresource
    return what.resource == "nodes" and bool(what.name) and not other


def _dry_run(event: _Event) -> bool:
    """Whether it was only tried: by the options in the body, which a level of `Metadata` leaves out, or in the URI."""
    try:
        if bytes(msgspec.json.decode(event.requestObject, type=_Options).dryRun) not in (b"", b"null", b"[]"):
            return True
    except msgspec.MsgspecError:
        pass  # no options came with it
    try:
        return "dryRun" in parse_qs(urlsplit(event.requestURI or "").query)
    except ValueError:
        return True


def _uid(event: _Event) -> str:
    for said in (event.requestObject, event.responseObject):
        try:
            answer = msgspec.json.decode(said, type=_Answer)
        except msgspec.MsgspecError:
            continue
        found = answer.preconditions or answer.details or answer.metadata
        if found is not None and found.uid:
            return found.uid
    return ""
