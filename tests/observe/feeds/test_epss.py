"""EPSS: what is read of a file, and what refuses it."""

from __future__ import annotations

import pytest

from exuvia import errors
from exuvia.observe.feeds import base
from tests.observe.feeds.files import HEAD, ROWS, epss, read, zipped


def test_every_row_is_a_statement_of_its_day() -> None:
    release = read("epss", epss())
    assert release.version == "v2025.03.14/2026-11-24T12:55:00Z"
    assert {one.vulnerability: one.value for one in release.statements} == ROWS
    assert {base.written(one.valid_from) for one in release.statements} == {"2026-11-24T12:55:00Z"}
    assert {one.source for one in release.statements} == {"epss"}
    assert release.statements[0].notes == {"percentile": "0.5"}


def test_gzip_is_seen_by_its_bytes() -> None:
    assert read("epss", zipped(epss())) == read("epss", epss())


@pytest.mark.parametrize("date", ["2023-03-08T00:00:00+0000", "2023-03-08T00:00:00Z", "2023-03-08"])
def test_dates_as_they_have_been_written(date: str) -> None:
    release = read("epss", epss().replace("2026-11-24T12:55:00Z", date))
    assert release.version == "v2025.03.14/2023-03-08T00:00:00Z"


def test_only_what_is_wanted_is_kept_and_the_rest_is_counted() -> None:
    release = read("epss", epss(), wanted={"CVE-2026-0002"})
    assert [one.vulnerability for one in release.statements] == ["CVE-2026-0002"]
    assert release.passed_over == 2


def test_columns_may_stand_in_another_order_and_among_others() -> None:
    text = HEAD.format(day="2026-11-24").replace("cve,epss,percentile", "epss,new,cve,percentile")
    (only,) = read("epss", text + "0.5,x,CVE-2026-0001,0.9\r\n").statements
    assert (only.vulnerability, only.value, only.notes) == ("CVE-2026-0001", "0.5", {"percentile": "0.9"})


@pytest.mark.parametrize(
    ("change", "line", "says"),
    [
        (("#model_version:v2025.03.14,score_date:2026-11-24T12:55:00Z\n", ""), 1, "begins with its model and day"),
        (("2026-11-24T12:55:00Z", "yesterday"), 1, "'yesterday' is no time"),
        (("cve,epss,percentile", "cve,score,percentile"), 2, "epss is missing"),
        (("cve,epss,percentile", "cve,epss"), 2, "percentile is missing"),
        (("CVE-2026-0002,0.97000,0.5", "CVE-2026-0002,0.97000"), 4, "2 fields instead of 3"),
        (("CVE-2026-0002,0.97000,0.5", "CVE-2026-0002,1.97000,0.5"), 4, "is no CVE with a probability"),
        (("CVE-2026-0002,0.97000,0.5", "CVE-2026-0002,,0.5"), 4, "is no CVE with a probability"),
        (("CVE-2026-0002,0.97000,0.5", "CVE-2026-0002,nan,0.5"), 4, "is no CVE with a probability"),
        (("CVE-2026-0002,0.97000,0.5", "anvil,0.97000,0.5"), 4, "is no CVE with a probability"),
        (("CVE-2026-0002", "CVE-2026-0001"), 4, "CVE-2026-0001 stands there twice"),
        (("CVE-2026-0002,0.97000,0.5", '"CVE-2026-0002,0.97000'), 5, "no CSV"),
        (("\nCVE-2026-0001,0.10000,0.5\nCVE-2026-0002,0.97000,0.5\nCVE-2026-0003,9e-05,0.5\n", "\n"), 3, "not one row"),
    ],
)
def test_a_changed_format_is_refused_with_its_line(change: tuple[str, str], line: int, says: str) -> None:
    text = epss().replace(*change)
    assert text != epss()
    with pytest.raises(errors.InvalidObject, match=says) as refused:
        read("epss", text)
    assert refused.value.place == f"line {line}"
    assert refused.value.remedy


@pytest.mark.parametrize("text", ["<!DOCTYPE html>\n<html>Access denied</html>\n", "", "{}"])
def test_another_kind_of_file_is_refused(text: str) -> None:
    with pytest.raises(errors.InvalidObject) as refused:
        read("epss", text)
    assert refused.value.place == "line 1"


def test_rows_that_nobody_asked_for_are_checked_too() -> None:
    with pytest.raises(errors.InvalidObject, match="probability"):
        read("epss", epss({"CVE-2026-0009": "2"}), wanted=set())


@pytest.mark.parametrize("cut", [30, -9, -4])
def test_a_cut_gzip_is_refused(cut: int) -> None:
    with pytest.raises(errors.InvalidObject, match="the gzip ends in the middle") as refused:
        read("epss", zipped(epss({f"CVE-2026-{number:05}": "0.1" for number in range(9000)}))[:cut])
    assert refused.value.remedy == "Fetch it again."


def test_a_damaged_gzip_is_refused() -> None:
    raw = bytearray(zipped(epss()))
    raw[-6] ^= 0xFF
    with pytest.raises(errors.InvalidObject, match="the gzip is damaged"):
        read("epss", bytes(raw))


def test_what_is_no_text_is_refused_with_its_line() -> None:
    with pytest.raises(errors.InvalidObject, match="no UTF-8") as refused:
        read("epss", epss().encode() + b"CVE-\xff\n")
    assert refused.value.place == "line 6"
