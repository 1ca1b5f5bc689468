"""Text for people and programs: columns as kubectl prints them, JSON and YAML with the data, frames on a terminal."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exuvia.report import text
from exuvia.report.printable import printable
from exuvia.report.text import Rows, render

ROWS = Rows(
    headings=("NAME", "PHASE"),
    rows=(("worker-7", "Draining"), ("w", "")),
    data=[{"name": "worker-7", "at": datetime(2026, 1, 1, tzinfo=UTC)}],
)


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        return True


def rendered(output: str, stream: io.StringIO | None = None) -> str:
    stream = stream or io.StringIO()
    render(ROWS, output, stream)
    return stream.getvalue()


def test_plain_columns_two_spaces_apart_without_tails() -> None:
    assert rendered("table") == "NAME      PHASE\nworker-7  Draining\nw         -\n"


def test_programs_get_the_data() -> None:
    assert json.loads(rendered("json")) == [{"name": "worker-7", "at": "2026-01-01T00:00:00Z"}]
    assert yaml.safe_load(rendered("yaml")) == json.loads(rendered("json"))


def test_a_terminal_gets_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    found = rendered("table", Terminal())
    assert "worker-7" in found and "Draining" in found and "-" in found
    assert "\x1b[3" not in found, "NO_COLOR is respected"


@pytest.mark.parametrize("width", [30, 60, 200])
def test_a_narrow_terminal_loses_nothing(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    words = "[red] step=Evict policy=production-workers :smile: name=worker-7-6b7f1f7e-1"
    stream = Terminal()
    rows = Rows(headings=("SEQUENCE", "WHAT", "AND MORE"), rows=(("4711", words, "short"), ("4712", "x", "y")))
    render(rows, "table", stream)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue()).splitlines()
    if width == 30:
        assert lines[:3] == ["SEQUENCE  4711", f"WHAT      {words}", "AND MORE  short"]
        return
    assert max(len(line) for line in lines) <= width
    shown = "".join("".join(lines).split())
    assert all(word in shown for word in ("4711", "[red]", "policy=production-workers", ":smile:", "short", "4712"))


def test_without_a_terminal_nothing_is_cut() -> None:
    stream = io.StringIO()
    render(Rows(headings=("WHAT",), rows=(("x" * 500,),)), "table", stream)
    assert "x" * 500 in stream.getvalue()


def test_no_rows_show_the_headings() -> None:
    assert text.columns(("A", "B"), ()) == ["A  B"]


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (timedelta(0), "0s"),
        (timedelta(seconds=-5), "0s"),
        (timedelta(seconds=45), "45s"),
        (timedelta(minutes=12), "12m"),
        (timedelta(minutes=5, seconds=30), "5m"),
        (timedelta(hours=1, minutes=30), "1h30m"),
        (timedelta(hours=2, seconds=5), "2h"),
        (timedelta(days=3, hours=4, minutes=5), "3d4h"),
    ],
)
def test_durations(span: timedelta, expected: str) -> None:
    assert text.duration(span) == expected


@given(st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), max_size=4), st.booleans())
def test_what_others_wrote_never_gets_to_a_terminal_as_control_sequences(
    cells: list[tuple[str, str]], watched: bool
) -> None:
    """One line a row where nobody looks on; nothing is there that a person does not see."""
    stream = Terminal() if watched else io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        render(Rows(headings=("NAME", "WHAT"), rows=tuple(cells)), "table", stream)
    found = re.sub(r"\x1b\[[01]m", "", stream.getvalue()) if watched else stream.getvalue()
    assert all(one.isprintable() or one == "\n" for one in found)
    assert watched or found.count("\n") == len(cells) + 1


@given(st.text(), st.booleans())
def test_what_is_printable_stays_and_the_rest_is_written_out(words: str, lines: bool) -> None:
    found = printable(words, lines=lines)
    assert all(one.isprintable() or (lines and one == "\n") for one in found)
    assert found == words or not words.isprintable()
    assert printable("Jörg \x1b[2K\u202eroot\n") == "Jörg \\x1b[2K\\u202eroot\\n"
