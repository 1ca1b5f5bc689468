"""The KEV catalogue: what is read of it, and what refuses it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exuvia import errors
from exuvia.observe.feeds import base
from tests.observe.feeds.files import entry, kev, read

A, B = entry("CVE-2026-0001"), entry("CVE-2026-0002", "2026-11-10", dueDate="2026-12-01")


def test_an_entry_is_a_one_from_the_day_it_was_added() -> None:
    release = read("kev", kev(A, B))
    assert release.version == "2026.11.24"
    first, second = release.statements
    assert (first.vulnerability, first.source, first.value) == ("CVE-2026-0001", "kev", "1")
    assert base.written(second.valid_from) == "2026-11-10T00:00:00Z"
    assert second.details == {"dueDate": "2026-12-01", "ransomware": "Unknown"}


def test_older_catalogues_did_not_speak_of_ransomware() -> None:
    old = {key: value for key, value in A.items() if key not in ("knownRansomwareCampaignUse", "cwes")}
    (only,) = read("kev", kev(old)).statements
    assert only.details["ransomware"] == ""


def test_only_what_is_wanted() -> None:
    release = read("kev", kev(A, B), wanted={"CVE-2026-0002"})
    assert ([one.vulnerability for one in release.statements], release.passed_over) == (["CVE-2026-0002"], 1)


def _lines(text: str, said: str) -> list[int]:
    return [number for number, line in enumerate(text.splitlines(), 1) if said in line]


@pytest.mark.parametrize(
    ("changed", "said", "says"),
    [
        ({"dateAdded": "soon"}, '"dateAdded": "soon"', r"vulnerabilities\[1\].dateAdded: 'soon' is no day"),
        ({"dateAdded": "2026-11-10T00:00:00"}, "2026-11-10T00", "is no day"),
        ({"cveID": "anvil"}, '"anvil"', "'anvil' is no CVE"),
        ({"cveID": 7}, '"cveID": 7', "7 is no text"),
        ({"cveID": "CVE-2026-0001"}, "CVE-2026-0001", "stands there twice"),
        ({"dueDate": []}, '"dueDate": []', "is no text"),
    ],
)
def test_a_wrong_entry_is_named_with_its_line(changed: dict[str, Any], said: str, says: str) -> None:
    text = kev(A, B | changed)
    with pytest.raises(errors.InvalidObject, match=says) as refused:
        read("kev", text)
    assert refused.value.place == f"line {_lines(text, said)[-1]}"
    assert "Fetch it again" in refused.value.remedy or "fetch it again" in refused.value.remedy


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("<html>\nAccess denied</html>", 1, "web page"),
        (kev(A)[:-20], 19, "no JSON"),
        ("[]", 1, "no JSON object"),
        ("{}", 1, "catalogVersion: the text is missing"),
        (json.dumps({"catalogVersion": "1"}), 1, "vulnerabilities: the list is missing"),
        (json.dumps({"catalogVersion": "1", "vulnerabilities": {}}), 1, "this is no list"),
        (json.dumps({"catalogVersion": "1", "vulnerabilities": []}), 1, "there is not one entry"),
        (json.dumps({"catalogVersion": "1", "vulnerabilities": [1]}), 1, "this is no object"),
        (kev(A, count=1442), 5, "1442 entries should be there, and 1 are"),
        (kev(A, dateReleased="now"), 4, "'now' is no time"),
        ('{"a": NaN}', 1, "NaN is no number"),
        ("[" * 100_000, 1, "nested too deeply for a KEV catalogue"),
    ],
)
def test_another_kind_of_file_is_refused(text: str, line: int, says: str) -> None:
    with pytest.raises(errors.InvalidObject, match=says) as refused:
        read("kev", text)
    assert refused.value.place == f"line {line}"
    assert refused.value.remedy
