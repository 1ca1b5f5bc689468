"""Text for people: tables on a terminal, plain columns elsewhere, JSON and YAML for programs."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TextIO

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from exuvia.report.printable import printable

GAP = 2
WRAPPED = 20
"""No column of a table on a terminal is wrapped to less than so many characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A table: headings, and rows of the same length. `data` is what `-o json` and `-o yaml` print."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    data: Any = None


def render(rows: Rows, output: str, stream: TextIO | None = None) -> None:
    """Print as `table`, `json` or `yaml`. Colour and frames only where a person looks at a terminal."""
    stream = stream or sys.stdout
    if output == "json":
        stream.write(json.dumps(rows.data, indent=2, sort_keys=True, default=_plain) + "\n")
    elif output == "yaml":
        stream.write(yaml.safe_dump(json.loads(json.dumps(rows.data, default=_plain)), sort_keys=True))
    elif stream.isatty():
        _framed(_shown(rows), stream)
    else:
        stream.write("".join(line + "\n" for line in columns(rows.headings, rows.rows)))


def _shown(rows: Rows) -> Rows:
    """As a terminal may be given it."""
    return replace(rows, rows=tuple(tuple(printable(cell) for cell in row) for row in rows.rows))


def _plain(value: Any) -> str:
    """Moments as RFC 3339 in UTC, as the API writes them; everything else as it says itself."""
    if not isinstance(value, datetime):
        return str(value)
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def columns(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Left-aligned columns two spaces apart, as kubectl prints them; an empty cell shows as `-`, and what is not
    printable as Python writes it."""
    table = [tuple(map(printable, headings)), *(tuple(printable(cell) or "-" for cell in row) for row in rows)]
    widths = [max(len(row[index]) for row in table) for index in range(len(headings))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def _framed(rows: Rows, stream: TextIO) -> None:
    """Wrapped to the terminal, at words where that can be, and never cut; nothing in a cell is taken for markup.

    Where not even the narrowest columns fit beside each other, each row becomes a block of lines.
    """
    width = shutil.get_terminal_size().columns
    least = [_least(index, rows) for index in range(len(rows.headings))]
    if sum(least) + GAP * (len(least) - 1) > width:
        stream.write("\n".join(_block(rows.headings, row) for row in rows.rows))
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
    for heading, narrow in zip(rows.headings, least, strict=True):
        table.add_column(heading, overflow="fold", min_width=narrow)
    for row in rows.rows:
        table.add_row(*(Text(cell or "-") for cell in row))
    Console(file=stream, width=width).print(table)


def _least(index: int, rows: Rows) -> int:
    """How narrow a column may become: its heading and short cells stay whole, long ones are wrapped."""
    longest = max((len(row[index]) for row in rows.rows), default=0)
    return max(len(rows.headings[index]), min(longest, WRAPPED))


def _block(headings: Sequence[str], row: Sequence[str]) -> str:
    widest = max(len(heading) for heading in headings)
    return "".join(f"{heading.ljust(widest)}  {cell or '-'}\n" for heading, cell in zip(headings, row, strict=True))


def duration(span: timedelta) -> str:
    """A duration as kubectl shows an age: the two largest units, `3d4h`, `12m`, `45s`."""
    seconds = max(0, int(span.total_seconds()))
    units = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    parts: list[str] = []
    for name, size in units:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{name}")
        if len(parts) == 2 or (parts and name == "m"):
            break
    return "".join(parts) or "0s"
