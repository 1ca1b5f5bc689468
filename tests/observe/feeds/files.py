"""Files of feeds as their publishers write them, and reading them."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

from exuvia.model.histories import Score
from exuvia.observe.feeds import FEEDS, base, unpacking
from exuvia.observe.feeds.base import Asked, Feed, Release
from exuvia.observe.feeds.changes import Comparison, Known
from exuvia.observe.feeds.comparing import Terms, compare

HEAD = "#model_version:v2025.03.14,score_date:{day}T12:55:00Z\ncve,epss,percentile\n"
NAMED = {one.name: one for one in FEEDS}
ROWS = {"CVE-2026-0001": "0.10000", "CVE-2026-0002": "0.97000", "CVE-2026-0003": "9e-05"}


def epss(rows: Mapping[str, str] = ROWS, day: str = "2026-11-24") -> str:
    """The CSV of one day."""
    return HEAD.format(day=day) + "".join(f"{cve},{value},0.5\n" for cve, value in rows.items())


def entry(cve: str, added: str = "2026-11-01", **changed: Any) -> dict[str, Any]:
    """One entry of the KEV catalogue."""
    whole = {
        "cveID": cve,
        "vendorProject": "Acme",
        "product": "Anvil",
        "vulnerabilityName": "Acme Anvil drops",
        "dateAdded": added,
        "shortDescription": "It drops.",
        "requiredAction": "Apply updates.",
        "dueDate": "2026-11-22",
        "knownRansomwareCampaignUse": "Unknown",
        "notes": "",
        "cwes": ["CWE-79"],
    }
    return whole | changed


def kev(*entries: Mapping[str, Any], day: int = 24, **changed: Any) -> str:
    """A catalogue."""
    whole = {
        "title": "CISA Catalog of Known Exploited Vulnerabilities",
        "catalogVersion": f"2026.11.{day}",
        "dateReleased": f"2026-11-{day}T10:00:00.0000Z",
        "count": len(entries),
        "vulnerabilities": list(entries),
    }
    return json.dumps(whole | changed, indent=2)


def says(cve: str, status: str = "not_affected", *products: str, **more: Any) -> dict[str, Any]:
    """One statement of OpenVEX."""
    said = {"vulnerability": {"name": cve}, "status": status, "justification": "component_not_present"}
    about = {"products": [{"@id": one} for one in products]} if products else {}
    return said | about | more


def openvex(*statements: Mapping[str, Any], id: str = "https://example.com/vex/1", **changed: Any) -> str:
    """An OpenVEX document."""
    whole = {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": id,
        "author": "Acme",
        "timestamp": "2026-11-20T00:00:00Z",
        "version": 1,
        "statements": list(statements),
    }
    return json.dumps(whole | changed, indent=2)


def analysed(cve: str, state: str = "not_affected", *refs: str, **more: Any) -> dict[str, Any]:
    """One vulnerability of CycloneDX with its analysis."""
    found = {"id": cve, "analysis": {"state": state, "justification": "code_not_reachable"}}
    return found | ({"affects": [{"ref": one} for one in refs]} if refs else {}) | more


def cyclonedx(*vulnerabilities: Mapping[str, Any], **changed: Any) -> str:
    """A CycloneDX document."""
    whole = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
        "version": 1,
        "metadata": {"timestamp": "2026-11-20T00:00:00Z"},
        "vulnerabilities": list(vulnerabilities),
    }
    return json.dumps(whole | changed, indent=2)


def read(feed: str, text: str | bytes, **asked: Any) -> Release:
    """A file, read from its bytes as the command does."""
    raw = text if isinstance(text, bytes) else text.encode()
    return NAMED[feed].read(unpacking.lines(io.BytesIO(raw)), Asked(**{"document": "file", **asked}))


def zipped(text: str) -> bytes:
    """The same as gzip."""
    return gzip.compress(text.encode(), mtime=0)


def hour(number: int) -> int:
    """A moment, so many hours after the 25th."""
    at = base.moment("2026-11-25T00:00:00Z")
    assert at is not None
    return at + number * 3_600_000_000


class Memory:
    """What a ledger would know: the last version of each row."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, int], Known] = {}
        self.lines: list[dict[str, Any]] = []

    def learn(self, feed: Feed | str, release: Release, at: int, **terms: Any) -> Comparison:
        """Import what a file says."""
        kind = NAMED[feed] if isinstance(feed, str) else feed
        made = compare(kind, release, self.rows.values(), Terms(recorded=at, **terms))
        self.enter(made.bodies())
        return made

    def enter(self, bodies: Iterable[dict[str, Any]]) -> None:
        """Enter lines."""
        for body in bodies:
            score = _score(body)
            self.rows[score.key] = Known(score=score, body=body)
            self.lines.append(body)

    def stands(self) -> dict[tuple[str, str, str], str]:
        """(vulnerability, source, valid from) -> value of all that holds."""
        return {
            (one.score.vulnerability, one.score.source, base.written(one.score.valid_from)): one.score.value
            for one in self.rows.values()
            if not one.score.withdrawn
        }


def _score(body: Mapping[str, Any]) -> Score:
    return Score(
        vulnerability=body["vulnerability"],
        source=body["source"],
        recorded=_moment(body["recordedAt"]),
        valid_from=_moment(body["validFrom"]),
        value=body["value"],
        basis=body["basis"],
        withdrawn=body.get("withdrawn", False),
    )


def _moment(text: str) -> int:
    found = base.moment(text)
    assert found is not None
    return found
