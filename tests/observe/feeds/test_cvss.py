"""CVSS scores: a CSV of one's own, JSON of the NVD, and what refuses them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exuvia import errors
from exuvia.observe.feeds import base
from tests.observe.feeds.files import read

CSV = """vulnerability,score,vector,published,source
CVE-2026-0001,9.8,CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H,2026-01-15,
GHSA-xxxx-yyyy-zzzz,10.0,,2026-02-01T12:00:00+01:00,redhat
"""


def test_a_table_states_scores_from_their_publication() -> None:
    release = read("cvss", CSV, document="corrections.csv")
    first, second = release.statements
    assert (first.vulnerability, first.source, first.value) == ("CVE-2026-0001", "cvss", "9.8")
    assert first.details == {"vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}
    assert base.written(first.valid_from) == "2026-01-15T00:00:00Z"
    assert (second.source, second.value, base.written(second.valid_from)) == ("redhat", "10.0", "2026-02-01T11:00:00Z")
    assert release.document == "corrections.csv"


def test_columns_in_any_order_and_only_what_is_wanted() -> None:
    release = read("cvss", "published,vulnerability,score\n2026-01-15,A,5\n2026-01-15,B,6\n", wanted={"B"})
    assert [(one.vulnerability, one.value) for one in release.statements] == [("B", "6")]
    assert release.passed_over == 1


def test_the_same_line_twice_is_one() -> None:
    assert len(read("cvss", "vulnerability,score,published\nA,5,2026-01-15\n\nA,5,2026-01-15\n").statements) == 1


@pytest.mark.parametrize(
    ("change", "line", "says"),
    [
        (("vulnerability,score", "vulnerability,base"), 1, "score is missing"),
        (("source\n", "severity\n"), 1, "severity is unknown"),
        (("vector,published", "score,published"), 1, "score is unknown or twice there"),
        (("9.8", "10.1"), 2, "'10.1' is no score from 0 to 10"),
        (("9.8", "-1"), 2, "'-1' is no score"),
        (("9.8", "high"), 2, "'high' is no score"),
        (("9.8", ""), 2, "none is computed from a vector"),
        (("2026-01-15", "15.1.2026"), 2, "is no day or time of publication"),
        (("CVSS:3.1/AV:N", "CVSS:3.1/critical"), 2, "is no CVSS vector"),
        (("redhat", "epss"), 3, "'epss' cannot be the source of base scores"),
        (("redhat", "vex"), 3, "'vex' cannot be the source"),
        (("redhat", "Red Hat"), 3, "'Red Hat' cannot be the source"),
        (("GHSA-xxxx-yyyy-zzzz", "G" * 129), 3, "is no name of a vulnerability"),
        (("GHSA-xxxx-yyyy-zzzz", ""), 3, "is no name of a vulnerability"),
        ((",redhat", ""), 3, "4 fields instead of 5"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(change: tuple[str, str], line: int, says: str) -> None:
    text = CSV.replace(*change, 1)
    assert text != CSV
    with pytest.raises(errors.InvalidObject, match=says) as refused:
        read("cvss", text)
    assert refused.value.place == f"line {line}"
    assert refused.value.remedy


def test_two_scores_of_one_publication_are_refused() -> None:
    with pytest.raises(errors.InvalidObject, match="has another score on an earlier line"):
        read("cvss", CSV + "CVE-2026-0001,5.0,,2026-01-15,\n")


@pytest.mark.parametrize("text", ["", "\n\n", "<html></html>"])
def test_another_kind_of_file_is_refused(text: str) -> None:
    with pytest.raises(errors.InvalidObject) as refused:
        read("cvss", text)
    assert refused.value.remedy


def metric(score: float, kind: str = "Primary") -> dict[str, Any]:
    return {
        "source": "nvd@nist.gov",
        "type": kind,
        "cvssData": {"baseScore": score, "vectorString": f"CVSS:3.1/{kind}"},
    }


def nvd(metrics: Any, **changed: Any) -> str:
    """A page of the API with one CVE."""
    cve = {"id": "CVE-2026-0001", "published": "2026-01-15T12:15:07.657", "vulnStatus": "Analyzed", "metrics": metrics}
    page = {"resultsPerPage": 1, "format": "NVD_CVE", "version": "2.0", "timestamp": "2026-11-24T00:00:00.000"}
    return json.dumps(page | {"vulnerabilities": [{"cve": cve | changed}]}, indent=1)


def test_a_page_of_the_nvd_states_its_best_metric() -> None:
    metrics = {
        "cvssMetricV40": [metric(6.1, "Secondary")],
        "cvssMetricV31": [metric(7.0, "Secondary"), metric(9.8)],
        "cvssMetricV2": [metric(10.0)],
    }
    release = read("cvss", nvd(metrics))
    (only,) = release.statements
    assert (only.source, only.value, only.details) == ("cvss", "9.8", {"vector": "CVSS:3.1/Primary"})
    assert base.written(only.valid_from) == "2026-01-15T12:15:07.657000Z"
    assert release.partial, "a page says nothing of the CVEs that are not on it"


def test_a_rejected_cve_is_taken_back_and_one_without_a_score_passed_over() -> None:
    (only,) = read("cvss", nvd({}, vulnStatus="Rejected")).statements
    assert only.value == ""
    waiting = read("cvss", nvd({}, vulnStatus="Awaiting Analysis"))
    assert (waiting.statements, waiting.passed_over) == ((), 1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (nvd({}).replace("2.0", "3.0"), "is not 'NVD_CVE', or its version not 2.0"),
        (nvd({"cvssMetricV31": [{"type": "Primary"}]}), "baseScore: '' is no score"),
        (nvd({"cvssMetricV31": [metric(11)]}), "'11' is no score"),
        (nvd({"cvssMetricV31": {}}), "this is no list"),
        (nvd({}, id="anvil"), "'anvil' is no CVE"),
        (nvd({}, published=None), "the time is missing"),
        (nvd([1]), "metrics: this is no object"),
        ('{"format": "NVD_CVE", "version": "2.0", "vulnerabilities": [{}]}', "cve: this is no object"),
    ],
)
def test_a_changed_page_is_refused(text: str, says: str) -> None:
    with pytest.raises(errors.InvalidObject, match=says) as refused:
        read("cvss", text)
    assert refused.value.place.startswith("line ")
