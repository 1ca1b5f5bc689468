"""docs/tracing.md: every command is run, in order, and answers what the page shows."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.calling import call
from tests.docs import pages
from tests.docs.pages import DOCS

PAGE = DOCS / "tracing.md"


def _steps() -> Iterator[tuple[list[str], str]]:
    """Each command of the page, with the output that is shown right below it, or ""."""
    lines = PAGE.read_text("utf-8").splitlines()
    shown = [one.text.strip("\n") for one in pages.blocks_of(PAGE) if one.language == "text"]
    for number, line in enumerate(lines):
        if line.startswith("    exuvia "):
            follows = lines[number + 2 : number + 3] == ["```text"]
            yield shlex.split(line)[1:], shown.pop(0) if follows else ""


def test_the_page_goes_as_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (facts,) = [one.text for one in pages.blocks_of(PAGE) if one.language == "ndjson"]
    (tmp_path / "desktops.ndjson").write_text(facts, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    steps = list(_steps())
    assert len(steps) == 5 and sum(bool(shown) for _, shown in steps) == 2
    for arguments, shown in steps:
        said = call(*arguments).stdout
        assert not shown or said.strip("\n") == shown
