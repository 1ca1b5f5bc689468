"""Rows of a CSV, each with its line."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator

from exuvia.observe.feeds.base import complaint


def check_commas(line: int, columns: str) -> None:
    """Some programs write semicolons or tabs between columns. Raises `errors.InvalidObject`."""
    other = next((one for one in (";", "\t") if one in columns), "")
    if other:
        raise complaint(line, f"the columns are separated by {other!r}, not by commas", "Write it with commas.")


def rows(lines: Iterable[str], *, after: int = 0) -> Iterator[tuple[int, list[str]]]:
    """Every row that is not empty, and its line, counted on from `after`. Raises `errors.InvalidObject`."""
    reader = csv.reader(lines, strict=True)
    try:
        for row in reader:
            if row:
                yield after + reader.line_num, row
    except csv.Error as trouble:
        line = after + reader.line_num
        raise complaint(line, f"this is no CSV: {trouble}", "Fetch or write it again.") from None
