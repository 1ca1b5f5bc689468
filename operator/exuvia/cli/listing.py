"""A list that may be long, printed while it is read: page by page, as the same plain table or document that it would be
in one piece."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import yaml

from exuvia.report import text
from exuvia.report.text import Rows

PAGE = 1000
Row = dict[str, Any]


def show(found: Iterable[Row], headings: Sequence[str], cells: Callable[[Row], tuple[str, ...]], how: str) -> int:
    """Print each as one row of a table, or all as one list of JSON or YAML; returns how many there were. An empty table
    prints nothing."""
    printed = {"json": _json, "yaml": _yaml}.get(how)
    if printed is not None:
        return printed(iter(found))
    return _table(iter(found), headings, cells)


def _table(found: Iterator[Row], headings: Sequence[str], cells: Callable[[Row], tuple[str, ...]]) -> int:
    count, above = 0, tuple(headings)
    while page := tuple(cells(one) for one in islice(found, PAGE)):
        if sys.stdout.isatty():
            text.render(Rows(headings=tuple(headings), rows=page), "table")
        else:
            above = _columns(above, page, first=not count)
        count += len(page)
    return count


def _columns(above: tuple[str, ...], page: Sequence[tuple[str, ...]], *, first: bool) -> tuple[str, ...]:
    """Print a page; what stands above it (the headings first) says how wide a column is at least. Returns the widest
    cells, so that the next page stands below this one."""
    lines = text.columns(above, page)
    sys.stdout.write("".join(f"{line}\n" for line in (lines if first else lines[1:])))
    return tuple(max(column, key=len) for column in zip(above, *page, strict=True))


def _json(found: Iterator[Row]) -> int:
    count = 0
    for one in found:
        written = json.dumps(one, indent=2, sort_keys=True).replace("\n", "\n  ")
        sys.stdout.write(f"{',' if count else '['}\n  {written}")
        count += 1
    sys.stdout.write("\n]\n" if count else "[]\n")
    return count


def _yaml(found: Iterator[Row]) -> int:
    count = 0
    for one in found:
        sys.stdout.write(yaml.safe_dump([json.loads(json.dumps(one))], sort_keys=True))  # so that nothing is an alias
        count += 1
    sys.stdout.write("" if count else "[]\n")
    return count
