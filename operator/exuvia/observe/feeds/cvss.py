"""CVSS base scores and their corrections: a CSV of your own, or JSON of the NVD (API 2.0).

A base score always was so, from the publication of the vulnerability on; a corrected one replaces what its source said
before, for all times. A score is never computed from a vector here: what gives no score is refused.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping

from exuvia.model.histories import EPSS, KEV, VEX
from exuvia.observe.feeds import base, nvd, tables
from exuvia.observe.feeds.base import Asked, Feed, Release, Statement, complaint

SOURCE = "cvss"
NEEDED = ("vulnerability", "score", "published")
FREE = ("vector", "source")
TAKEN = (EPSS, KEV, VEX)
_SCORE = re.compile(r"[0-9](?:\.[0-9]+)?|10(?:\.0+)?")
_SOURCE = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,62}[a-z0-9])?")
_VECTOR = re.compile(r"(?:CVSS:\d\.\d/)?[A-Za-z]+:[A-Za-z]+(?:/[A-Za-z]+:[A-Za-z]+)*")
_MEND = "Write a line as `vulnerability,score,vector,published`, for example CVE-2026-1234,9.8,,2026-01-15."


def read(lines: Iterable[str], asked: Asked) -> Release:
    """A CSV or JSON, told apart by its first character that is no blank."""
    start: list[str] = []
    lines = iter(lines)
    for line in lines:
        start.append(line)
        if line.strip():
            break
    whole = itertools.chain(start, lines)
    first = "".join(start).lstrip()[:1]
    return nvd.read(whole, asked) if first in ("{", "<") else _table(whole, asked)


def _table(lines: Iterable[str], asked: Asked) -> Release:
    rows = tables.rows(lines)
    columns = _columns(next(rows, (1, [])))
    kept: dict[tuple[str, str, int], Statement] = {}
    passed_over = 0
    for number, row in rows:
        one = _statement(number, _named(number, row, columns))
        key = (one.vulnerability, one.source, one.valid_from)
        if kept.setdefault(key, one) != one:
            raise complaint(number, f"{one.vulnerability} has another score on an earlier line", "Keep one of them.")
        passed_over += not asked.wants(one.vulnerability)
    wanted = tuple(one for one in kept.values() if asked.wants(one.vulnerability))
    return Release(version=asked.document, statements=wanted, document=asked.document, passed_over=passed_over)


def _columns(head: tuple[int, list[str]]) -> list[str]:
    number, names = head[0], [one.strip().lower() for one in head[1]]
    tables.check_commas(number, ",".join(names))
    wrong = [one for one in names if one not in (*NEEDED, *FREE) or names.count(one) > 1]
    missing = [one for one in NEEDED if one not in names]
    if not (wrong or missing):
        return names
    said = f"the columns are {','.join(names)[:80]!r}"
    said += f", {', '.join(missing)} is missing" if missing else f", {', '.join(wrong)} is unknown or twice there"
    raise complaint(number, said, f"Begin with a line `{','.join((*NEEDED, *FREE))}`, in any order.")


def _named(number: int, row: list[str], columns: list[str]) -> Mapping[str, str]:
    if len(row) != len(columns):
        raise complaint(number, f"{len(row)} fields instead of {len(columns)}", _MEND)
    return {name: text.strip() for name, text in zip(columns, row, strict=True)}


def _statement(number: int, row: Mapping[str, str]) -> Statement:
    published = base.moment(row["published"])
    source, vector = row.get("source") or SOURCE, row.get("vector", "")
    for problem in _problems(row, published, source, vector):
        raise complaint(number, problem, _MEND)
    assert published is not None
    return Statement(
        vulnerability=row["vulnerability"],
        source=source,
        valid_from=published,
        value=row["score"],
        details={"vector": vector},
    )


def _problems(row: Mapping[str, str], published: int | None, source: str, vector: str) -> Iterator[str]:
    name = row["vulnerability"]
    if not name or base.flaw(name, base.LONGEST):
        yield f"{name[:40]!r} is no name of a vulnerability"
    if not row["score"]:
        yield "there is no score, and none is computed from a vector"
    if not _SCORE.fullmatch(row["score"]):
        yield f"{row['score']!r} is no score from 0 to 10"
    if published is None:
        yield f"{row['published']!r} is no day or time of publication"
    if vector and (base.flaw(vector) or not _VECTOR.fullmatch(vector)):
        yield f"{vector!r} is no CVSS vector"
    if source in TAKEN or not _SOURCE.fullmatch(source):
        yield f"{source!r} cannot be the source of base scores"


FEED = Feed(
    name="cvss",
    help="CVSS scores and corrections: CSV, or JSON of the NVD.",
    basis=base.INTRINSIC,
    read=read,
)
