"""EPSS: the daily CSV of FIRST, plain or gzip. Its first line names the model and the day, its second the columns:

#model_version:v2025.03.14,score_date:2026-11-24T12:55:00Z
cve,epss,percentile
CVE-1999-0001,0.0142,0.7991
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from exuvia.model.histories import EPSS
from exuvia.observe.feeds import base, tables
from exuvia.observe.feeds.base import Asked, Feed, Release, Statement, complaint

AGAIN = "Fetch epss_scores-current.csv.gz again."
COLUMNS = ("cve", "epss", "percentile")
CVE = re.compile(r"CVE-\d{4}-\d{4,19}")
_HEAD = re.compile(r"#\s*model_version:(?P<model>[^,\s]+)\s*,\s*score_date:(?P<date>[^,\s]+)\s*(?:,.*)?")
_OTHERS = {"<": "a web page", "{": "JSON", "[": "JSON"}
_PART = re.compile(r"0(?:\.\d+)?|1(?:\.0+)?|[1-9](?:\.\d+)?[eE]-\d{1,2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    model: str
    date: int


def read(lines: Iterable[str], asked: Asked) -> Release:
    """Every row that is asked for, valid from the day of the file; all rows are checked."""
    numbered = iter(lines)
    head = _head(next(numbered, ""))
    places = _places(next(numbered, ""))
    kept: list[Statement] = []
    passed_over = 0
    for cve, value, percentile in _rows(numbered, places):
        if not asked.wants(cve):
            passed_over += 1
            continue
        notes = {"percentile": percentile} if percentile else {}
        kept.append(Statement(vulnerability=cve, source=EPSS, valid_from=head.date, value=value, notes=notes))
    if not (kept or passed_over):
        raise complaint(3, "there is not one row", AGAIN)
    version = f"{head.model}/{base.written(head.date)}"
    return Release(version=version, statements=tuple(kept), released=head.date, passed_over=passed_over)


def _head(line: str) -> _Head:
    found = _HEAD.fullmatch(line.strip())
    if found is None:
        what = _OTHERS.get(line.lstrip()[:1], "no line '#model_version:...,score_date:...'")
        raise complaint(1, f"an EPSS file begins with its model and day; this is {what}", AGAIN)
    date = base.moment(found["date"])
    if date is None:
        raise complaint(1, f"the score_date {found['date']!r} is no time", AGAIN)
    return _Head(model=found["model"], date=date)


def _places(line: str) -> Mapping[str, int]:
    """Where each column stands; there may be others."""
    tables.check_commas(2, line)
    names = [one.strip() for one in line.strip().split(",")]
    missing = [one for one in COLUMNS if names.count(one) != 1]
    if missing:
        known = ",".join(COLUMNS)
        said = f"the columns are {line.strip()[:80]!r} and not {known}: {', '.join(missing)} is missing or twice there"
        raise complaint(2, said, "Fetch it again; if EPSS changed its format, update exuvia.")
    return {one: names.index(one) for one in COLUMNS} | {"": len(names)}


def _rows(lines: Iterator[str], places: Mapping[str, int]) -> Iterator[tuple[str, str, str]]:
    cve_at, value_at, percentile_at, width = (places[one] for one in (*COLUMNS, ""))
    seen: set[str] = set()
    for number, row in tables.rows(lines, after=2):
        if len(row) != width:
            raise complaint(number, f"{len(row)} fields instead of {width}, the file was cut or changed", AGAIN)
        cve, value, percentile = row[cve_at], row[value_at], row[percentile_at]
        if not (CVE.fullmatch(cve) and _PART.fullmatch(value) and (not percentile or _PART.fullmatch(percentile))):
            raise complaint(number, f"{','.join(row)[:80]!r} is no CVE with a probability from 0 to 1", AGAIN)
        if cve in seen:
            raise complaint(number, f"{cve} stands there twice", AGAIN)
        seen.add(cve)
        yield cve, value, percentile


FEED = Feed(
    name="epss",
    help="The daily CSV of EPSS, plain or gzip.",
    basis=base.THREAT,
    read=read,
    sources=(EPSS,),
    dated=True,
    large=True,
)
