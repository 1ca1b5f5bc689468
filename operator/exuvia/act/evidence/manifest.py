"""The manifest: the list of everything that was taken, in one canonical form (RFC 8785), so that its digest is one.

`contentDigest` is the SHA-256 over all other fields: a byte that changes by accident is noticed without any other
source. Who changes file and manifest together is caught by the digest of the manifest's file, which stands in the
status of the Quarantine and in the ledger.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import rfc8785

from exuvia import errors
from exuvia.model.evidence import CollectorResult, EvidenceItem, EvidenceOrder, ItemResult

FORMAT = "exuvia.dev/evidence/v1"
FILE = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What was taken of one machine. `header` says of whom, for whom and why; `complete`: nothing required misses."""

    header: Mapping[str, Any] = field(default_factory=dict)
    items: tuple[EvidenceItem, ...] = ()
    collectors: tuple[CollectorResult, ...] = ()
    started: datetime
    finished: datetime
    complete: bool = False

    @property
    def bytes(self) -> int:
        """Of all files but the manifest."""
        return sum(one.bytes for one in self.items)


def header_of(order: EvidenceOrder, ledger_head: Mapping[str, Any]) -> dict[str, Any]:
    """Of whom, for whom and why the evidence was taken."""
    return {
        "quarantine": {"name": order.quarantine, "uid": order.uid},
        "instance": {
            "kind": str(order.instance.kind),
            "name": order.instance.name,
            "uid": order.instance.uid,
            "providerID": order.instance.provider_id,
        },
        "about": dict(order.about),
        "isolatedAt": _moment(order.isolated_at) if order.isolated_at else None,
        "ledgerHead": dict(ledger_head),
    }


def encode(manifest: Manifest) -> bytes:
    """The bytes of the file."""
    body = _body(manifest)
    return rfc8785.dumps({**body, "contentDigest": content_digest(body)})


def content_digest(body: Mapping[str, Any]) -> str:
    """SHA-256 over everything but `contentDigest` itself."""
    return hashlib.sha256(
        rfc8785.dumps({key: value for key, value in body.items() if key != "contentDigest"})
    ).hexdigest()


def decode(raw: bytes) -> Manifest:
    """From the bytes of the file. Raises `errors.EvidenceError` unless every byte is as `encode` wrote it."""
    try:
        body = json.loads(raw)
        if not isinstance(body, dict) or body.get("format") != FORMAT:
            raise errors.EvidenceError(f"the manifest is not of the format {FORMAT}")
        if body.get("contentDigest") != content_digest(body):
            raise errors.EvidenceError("the manifest was changed: its own digest does not fit its content")
        if rfc8785.dumps(body) != raw:
            raise errors.EvidenceError("the manifest was changed: it is not in its canonical form")
        return _manifest(body)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, rfc8785.CanonicalizationError) as trouble:
        raise errors.EvidenceError(f"the manifest cannot be read: {trouble}") from trouble


def overall(collector: str, type_: str, items: Iterable[EvidenceItem], trouble: str = "") -> CollectorResult:
    """What came of a collector: failed if anything failed, else truncated if anything was cut, else captured."""
    mine = sorted((one for one in items if one.collector == collector), key=lambda one: (one.path, one.subject))
    failed = [f"{one.subject}: {one.message}" for one in mine if one.result is ItemResult.FAILED]
    cut = [one.subject for one in mine if one.result is ItemResult.TRUNCATED]
    result = ItemResult.FAILED if trouble or failed else ItemResult.TRUNCATED if cut else ItemResult.CAPTURED
    lines = "".join(f"{one.sha256}  {one.path}\n" for one in mine if one.taken)
    return CollectorResult(
        collector=collector,
        type=type_,
        result=result,
        digest=hashlib.sha256(lines.encode()).hexdigest(),
        bytes=sum(one.bytes for one in mine),
        message=_message(trouble, failed, cut),
    )


def _message(trouble: str, failed: list[str], cut: list[str]) -> str:
    parts = [trouble] if trouble else []
    if failed:
        more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
        parts.append("not taken: " + "; ".join(failed[:3]) + more)
    if cut:
        more = f" and {len(cut) - 3} more" if len(cut) > 3 else ""
        parts.append("cut at the size limit: " + ", ".join(cut[:3]) + more)
    return "; ".join(parts)[:1000]


def _body(manifest: Manifest) -> dict[str, Any]:
    return {
        "format": FORMAT,
        **manifest.header,
        "collectors": [_collector_body(one) for one in manifest.collectors],
        "items": [_item_body(one) for one in sorted(manifest.items, key=lambda one: (one.collector, one.subject))],
        "startedAt": _moment(manifest.started),
        "finishedAt": _moment(manifest.finished),
        "bytes": manifest.bytes,
        "complete": manifest.complete,
    }


def _item_body(one: EvidenceItem) -> dict[str, Any]:
    return {
        "collector": one.collector,
        "subject": one.subject,
        "path": one.path,
        "bytes": one.bytes,
        "sha256": one.sha256,
        "result": str(one.result),
        "message": one.message,
        "startedAt": _moment(one.started),
        "finishedAt": _moment(one.finished),
    }


def _collector_body(one: CollectorResult) -> dict[str, Any]:
    return {
        "name": one.collector,
        "type": one.type,
        "result": str(one.result),
        "digest": one.digest,
        "bytes": one.bytes,
        "message": one.message,
    }


_OWN_KEYS = ("format", "collectors", "items", "startedAt", "finishedAt", "bytes", "complete", "contentDigest")


def _manifest(body: Mapping[str, Any]) -> Manifest:
    return Manifest(
        header={key: value for key, value in body.items() if key not in _OWN_KEYS},
        items=tuple(_item(one) for one in body["items"]),
        collectors=tuple(_collector(one) for one in body["collectors"]),
        started=_parsed(body["startedAt"]),
        finished=_parsed(body["finishedAt"]),
        complete=bool(body["complete"]),
    )


def _item(body: Mapping[str, Any]) -> EvidenceItem:
    return EvidenceItem(
        collector=str(body["collector"]),
        subject=str(body["subject"]),
        path=str(body["path"]),
        bytes=int(body["bytes"]),
        sha256=str(body["sha256"]),
        result=ItemResult(body["result"]),
        message=str(body["message"]),
        started=_parsed(body["startedAt"]),
        finished=_parsed(body["finishedAt"]),
    )


def _collector(body: Mapping[str, Any]) -> CollectorResult:
    return CollectorResult(
        collector=str(body["name"]),
        type=str(body["type"]),
        result=ItemResult(body["result"]),
        digest=str(body["digest"]),
        bytes=int(body["bytes"]),
        message=str(body["message"]),
    )


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _parsed(text: str) -> datetime:
    return datetime.fromisoformat(text)
