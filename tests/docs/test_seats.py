"""docs/seats.md: every worked case is run, and says what the page says."""

from __future__ import annotations

import json
import textwrap
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from exuvia.decide.seats import owing
from exuvia.model.facts import microseconds
from exuvia.model.seats import Claimant, Lease, ReturnCause, Returned
from tests.cli.calling import answer
from tests.docs import pages
from tests.docs.pages import DOCS

PAGE = DOCS / "seats.md"
FACTS = [textwrap.dedent(part.split("```")[0]) for part in PAGE.read_text(encoding="utf-8").split("```ndjson\n")[1:]]
WORKED = ("--from", "2026-01-01T00:00:00Z", "--to", "2026-01-01T01:00:00Z")
MORNING = ("--from", "2026-03-03T00:00:00Z", "--to", "2026-03-04T00:00:00Z")


def _file(folder: Path, which: int) -> Path:
    file = folder / "facts.ndjson"
    file.write_text(FACTS[which], encoding="utf-8")
    return file


def _rows(heading: str, width: int) -> list[list[str]]:
    """The rows of that width whose first cell is options."""
    found = [[cell.strip("` ") for cell in row] for row in pages.table(_flush(pages.section(PAGE, heading)))]
    return [row for row in found if len(row) == width and row[0].startswith(("--", "0s", "30s", "72h"))]


def _flush(text: str) -> str:
    return "\n".join(line.strip() if line.strip().startswith("|") else line for line in text.splitlines())


def _simulate(file: Path, *options: str) -> Any:
    return answer("license", "simulate", "--facts", file, *options)


def test_the_worked_case_says_what_the_page_says(tmp_path: Path) -> None:
    (said,) = [json.loads(one.text) for one in pages.blocks_of(PAGE) if one.language == "json" and "grants" in one.text]
    assert _simulate(_file(tmp_path, 0), "--seats", "3", *WORKED) == said


@pytest.mark.parametrize("row", _rows("A worked case", 5), ids=lambda row: row[0])
def test_other_terms_of_the_worked_case(tmp_path: Path, row: list[str]) -> None:
    found = _simulate(_file(tmp_path, 0), "--seats", "3", *WORKED, *row[0].split())
    figures = [found["unmetSeatSeconds"], found["highWater"]["used"], found["denials"], found["overcommitted"]]
    assert figures == [int(cell) for cell in row[1:]]


@pytest.mark.parametrize("row", _rows("Why delay matters", 2), ids=lambda row: row[0])
def test_why_delay_matters(row: list[str]) -> None:
    found = answer("license", "forecast", "--arrivals", "120", "--life", "30m", "--reclaim-delay", row[0])
    assert found["averageSeats"] == int(row[1])


@pytest.mark.parametrize(
    "row", _rows("How to: an antivirus pool that ran dry at the morning login", 3), ids=lambda row: row[0]
)
def test_the_morning_login(tmp_path: Path, row: list[str]) -> None:
    found = _simulate(_file(tmp_path, 1), *MORNING, *row[0].split())
    assert [found["unmetSeatSeconds"], found["highWater"]["used"]] == [int(cell) for cell in row[1:]]


def test_there_are_as_many_cases_as_the_page_has() -> None:
    headings = ("A worked case", "Why delay matters", "How to: an antivirus pool that ran dry at the morning login")
    assert [len(_rows(one, width)) for one, width in zip(headings, (5, 2, 3), strict=True)] == [5, 3, 4]
    assert len(FACTS) == 2


def test_the_call_of_the_hook_is_what_is_sent() -> None:
    (said,) = [json.loads(one.text) for one in pages.blocks_of(PAGE) if one.language == "json" and "pool" in one.text]
    lease = Lease(holder=Claimant(uid=said["instance"]), since=_at(said["grantedAt"]), order=1, heard=0)
    returned = Returned(
        at=_at(said["returnedAt"]), lease=lease, cause=ReturnCause.DEATH, died=_at(said["diedAt"]), owed=True
    )
    assert owing.reclaim("antivirus", "uid", returned, dry_run=False).body == said


def _at(text: str) -> int:
    return microseconds(datetime.fromisoformat(text))
