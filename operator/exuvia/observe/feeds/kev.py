"""KEV: CISA's catalogue of known exploited vulnerabilities, as JSON. An entry is the value 1 from `dateAdded` on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from exuvia.model.histories import KEV
from exuvia.observe.feeds import base, documents
from exuvia.observe.feeds.base import Asked, Feed, Release, Statement
from exuvia.observe.feeds.documents import Document, Path
from exuvia.observe.feeds.epss import CVE

LISTED = "1"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def read(lines: Iterable[str], asked: Asked) -> Release:
    """Every entry of the catalogue. One whose number of entries is not its own `count` was cut, and is refused."""
    document = documents.load(lines, "KEV catalogue")
    version = document.texts((), document.body, "catalogVersion")
    entries = list(document.objects((), document.body, "vulnerabilities"))
    count = document.body.get("count", len(entries))
    if not entries:
        raise document.wrong(("vulnerabilities",), "there is not one entry")
    if count != len(entries):
        raise document.wrong(("count",), f"{count} entries should be there, and {len(entries)} are")
    kept: dict[str, Statement] = {}
    for path, entry in entries:
        one = _entry(document, path, entry)
        if one.vulnerability in kept:
            raise document.wrong((*path, "cveID"), f"{one.vulnerability} stands there twice")
        kept[one.vulnerability] = one
    wanted = tuple(one for one in kept.values() if asked.wants(one.vulnerability))
    released = document.moment((), document.body, "dateReleased")
    return Release(version=version, statements=wanted, released=released, passed_over=len(kept) - len(wanted))


def _entry(document: Document, path: Path, entry: Mapping[str, Any]) -> Statement:
    cve = document.texts(path, entry, "cveID")
    if not CVE.fullmatch(cve):
        raise document.wrong((*path, "cveID"), f"{cve!r} is no CVE")
    added = document.texts(path, entry, "dateAdded")
    begins = base.moment(added)
    if begins is None or not _DAY.fullmatch(added):
        raise document.wrong((*path, "dateAdded"), f"{added!r} is no day like 2026-11-24")
    said = {
        "dueDate": document.texts(path, entry, "dueDate", default=""),
        "ransomware": document.texts(path, entry, "knownRansomwareCampaignUse", default=""),
    }
    return Statement(vulnerability=cve, source=KEV, valid_from=begins, value=LISTED, details=said)


FEED = Feed(name="kev", help="CISA's KEV catalogue, JSON.", basis=base.THREAT, read=read, sources=(KEV,))
