"""CVSS base scores from JSON of the NVD (API 2.0, or its yearly files): one score for each CVE.

Several metrics may stand there: a `Primary` one goes before a `Secondary` one, then the newer CVSS version. What was
said of a CVE is taken back when it is rejected. One without a score yet is passed over: that nothing is known is no
reason to forget what another source said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from exuvia.observe.feeds import documents
from exuvia.observe.feeds.base import Asked, Release, Statement
from exuvia.observe.feeds.documents import Document, Path
from exuvia.observe.feeds.epss import CVE

SOURCE = "cvss"
DOCUMENT = "nvd"
REJECTED = "Rejected"
METRICS = ("cvssMetricV40", "cvssMetricV31", "cvssMetricV30", "cvssMetricV2")
_SCORE = re.compile(r"[0-9](?:\.[0-9]+)?|10(?:\.0+)?")


def read(lines: Iterable[str], asked: Asked) -> Release:
    """Every CVE of the file. A page of the API, or a year, says nothing of the CVEs that are not in it."""
    document = documents.load(lines, "NVD file")
    if document.body.get("format") != "NVD_CVE" or document.body.get("version") != "2.0":
        said = f"{document.body.get('format', 'nothing')!r} is not 'NVD_CVE', or its version not 2.0"
        raise document.wrong(("format",), said)
    kept: dict[str, Statement] = {}
    unscored = 0
    for path, one in document.objects((), document.body, "vulnerabilities"):
        if not isinstance(one.get("cve"), dict):
            raise document.wrong((*path, "cve"), "this is no object")
        found = _statement(document, (*path, "cve"), one["cve"])
        if found.vulnerability in kept:
            raise document.wrong(path, f"{found.vulnerability} stands there twice")
        if found.value or one["cve"].get("vulnStatus") == REJECTED:
            kept[found.vulnerability] = found
        else:
            unscored += 1
    wanted = tuple(one for one in kept.values() if asked.wants(one.vulnerability))
    stamp = document.texts((), document.body, "timestamp", default="")
    return Release(
        version=f"{DOCUMENT}/{stamp}" if stamp else DOCUMENT,
        statements=wanted,
        document=DOCUMENT,
        partial=True,
        passed_over=len(kept) - len(wanted) + unscored,
    )


def _statement(document: Document, path: Path, cve: Mapping[str, Any]) -> Statement:
    name = document.texts(path, cve, "id")
    if not CVE.fullmatch(name):
        raise document.wrong((*path, "id"), f"{name!r} is no CVE")
    published = document.moment(path, cve, "published")
    if published is None:
        raise document.wrong((*path, "published"), "the time is missing")
    value, vector = "", ""
    if cve.get("vulnStatus") != REJECTED:
        value, vector = _best(document, path, cve)
    details = {"vector": vector} if value else {}
    return Statement(vulnerability=name, source=SOURCE, valid_from=published, value=value, details=details)


def _best(document: Document, path: Path, cve: Mapping[str, Any]) -> tuple[str, str]:
    """Score and vector, or ("", "")."""
    metrics = cve.get("metrics") or {}
    if not isinstance(metrics, dict):
        raise document.wrong((*path, "metrics"), "this is no object")
    found = list(_scores(document, (*path, "metrics"), metrics))
    found.sort(key=lambda one: one[0])
    return found[0][1:] if found else ("", "")


def _scores(document: Document, path: Path, metrics: Mapping[str, Any]) -> Iterator[tuple[bool, str, str]]:
    """(no primary one, score, vector), newer versions of CVSS first."""
    for version in METRICS:
        if version not in metrics:
            continue
        for place, one in document.objects(path, metrics, version):
            data = one.get("cvssData")
            held = data if isinstance(data, dict) else {}
            score = str(held.get("baseScore", ""))
            if not _SCORE.fullmatch(score):
                raise document.wrong((*place, "cvssData", "baseScore"), f"{score!r} is no score from 0 to 10")
            vector = document.texts((*place, "cvssData"), held, "vectorString", default="")
            yield one.get("type") != "Primary", score, vector
