"""What trivy-operator found in an image: its VulnerabilityReports as slim records.

A report may be megabytes; what is kept of it are an identifier, a score and a date for each vulnerability, one object
for all reports that say the same.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import msgspec

from exuvia.observe import shapes

LABEL = "trivy-operator."
LONGEST = 128  # characters of an identifier, as the ledger keeps it
HIGHEST = 10.0  # of a CVSS score
_SEVERITIES = ("UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL")


class _Vulnerability(msgspec.Struct, gc=False):
    """report.vulnerabilities[]"""

    vulnerabilityID: str = ""
    severity: str | None = None
    score: float | None = None
    publishedDate: str | None = None
    fixedVersion: str | None = None


class _Artifact(msgspec.Struct, gc=False):
    """report.artifact"""

    digest: str | None = None


class _Body(msgspec.Struct, gc=False):
    """report"""

    updateTimestamp: str | None = None
    artifact: _Artifact | None = None
    vulnerabilities: list[_Vulnerability] | None = None


class _Report(msgspec.Struct, gc=False):
    """A VulnerabilityReport: its data stands under `report`, not under spec or status."""

    metadata: shapes.Meta = msgspec.field(default_factory=shapes.Meta)
    report: _Body | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A vulnerability in an image. `score` as its source wrote it, "" where it gave none; severity and score may come
    from different sources, and neither is made from the other. `fixed`: the version that is free of it, or ""."""

    id: str
    severity: str = ""
    score: str = ""
    published: datetime | None = None
    fixed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found in one container's image. `owner_uid`: the UID of the ReplicaSet, StatefulSet, ... whose pods run
    it; `digest` "" where the scanner did not tell."""

    uid: str
    namespace: str
    name: str
    owner_kind: str
    owner_name: str
    owner_uid: str
    container: str
    digest: str
    updated: datetime
    found: tuple[Found, ...]


_REPORT = msgspec.json.Decoder(_Report)


def report_of(raw: bytes | msgspec.Raw) -> Report:
    """From JSON. Raises msgspec.ValidationError when a needed field has an odd type."""
    shaped = _REPORT.decode(raw)
    meta, body = shaped.metadata, shaped.report or _Body()
    labels, owner = meta.labels or {}, (meta.ownerReferences or [shapes.OwnerReference()])[0]
    return Report(
        uid=meta.uid,
        namespace=sys.intern(labels.get(f"{LABEL}resource.namespace") or meta.namespace or ""),
        name=meta.name,
        owner_kind=sys.intern(labels.get(f"{LABEL}resource.kind") or owner.kind),
        owner_name=labels.get(f"{LABEL}resource.name") or owner.name,
        owner_uid=owner.uid,
        container=sys.intern(labels.get(f"{LABEL}container.name") or ""),
        digest=sys.intern((body.artifact.digest if body.artifact else None) or ""),
        updated=shapes.moment(body.updateTimestamp) or shapes.created(meta),
        found=_found(body.vulnerabilities or []),
    )


def _found(listed: list[_Vulnerability]) -> tuple[Found, ...]:
    """Each vulnerability once, by its identifier: several packages may have it."""
    worst: dict[str, Found] = {}
    for one in listed:
        if 0 < len(one.vulnerabilityID) <= LONGEST:
            made = _shared(
                one.vulnerabilityID,
                (one.severity or "").upper(),
                repr(one.score) if one.score is not None and 0 <= one.score <= HIGHEST else "",
                one.publishedDate or "",
                (one.fixedVersion or "")[:LONGEST],
            )
            former = worst.get(made.id)
            if former is None or _weight(made) > _weight(former):
                worst[made.id] = made
    return tuple(worst[one] for one in sorted(worst))


def _weight(one: Found) -> tuple[float, int, str]:
    rank = _SEVERITIES.index(one.severity) if one.severity in _SEVERITIES else 0
    return float(one.score or -1), rank, one.fixed


@lru_cache(maxsize=65536)
def _shared(id_: str, severity: str, score: str, published: str, fixed: str) -> Found:
    moment = shapes.moment(published)
    return Found(id=sys.intern(id_), severity=sys.intern(severity), score=score, published=moment, fixed=fixed)
