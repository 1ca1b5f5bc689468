"""A long list is printed as it is read, and looks like one that was printed whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exuvia.cli import listing
from exuvia.report import text
from exuvia.report.text import Rows

TITLES = ("A", "B")
documents = st.lists(
    st.dictionaries(
        st.sampled_from(["a", "b"]),
        st.text() | st.integers() | st.none() | st.lists(st.text(), max_size=2) | st.just({"x": {}}),
    ),
    max_size=4,
)


def cells(one: dict[str, Any]) -> tuple[str, ...]:
    return one["a"], one["b"]


def printed(found: list[dict[str, Any]], how: str) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", out := StringIO())
        assert listing.show(iter(found), TITLES, cells, how) == len(found)
    return out.getvalue()


@given(documents)
@pytest.mark.parametrize("how", ["json", "yaml"])
def test_documents_are_those_of_a_list_that_is_printed_whole(how: str, found: list[dict[str, Any]]) -> None:
    whole = StringIO()
    text.render(Rows(headings=(), rows=(), data=found), how, whole)
    assert printed(found, how) == whole.getvalue()
    assert (json.loads if how == "json" else yaml.safe_load)(printed(found, how)) == found


def test_one_page_is_the_table_that_others_print() -> None:
    found = [{"a": "1", "b": ""}, {"a": "long", "b": "x y"}]
    lines = text.columns(TITLES, [cells(one) for one in found])
    assert printed(found, "table").splitlines() == lines == ["A     B", "1     -", "long  x y"]
    assert printed([], "table") == ""


def test_later_pages_stand_below_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one heading, and columns that only ever widen."""
    monkeypatch.setattr(listing, "PAGE", 2)
    found = [{"a": a, "b": "."} for a in ("1", "four", "5", "6", "seven7", "8")]
    assert printed(found, "table").splitlines() == [
        "A     B", "1     .", "four  .", "5     .", "6     .", "seven7  .", "8       .",
    ]  # fmt: skip


def test_nothing_is_read_before_what_stands_in_front_of_it_was_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PAGE", 2)
    out = StringIO()
    monkeypatch.setattr("sys.stdout", out)
    seen = list[int]()

    def found() -> Iterator[dict[str, str]]:
        for number in range(6):
            seen.append(out.getvalue().count("\n"))
            yield {"a": str(number), "b": ""}

    listing.show(found(), TITLES, cells, "table")
    assert seen == [0, 0, 3, 3, 5, 5], "two rows and the heading, then two more"
