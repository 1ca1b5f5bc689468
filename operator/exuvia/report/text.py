"""Text for people: tables on a terminal, plain columns elsewhere, JSON and YAML for programs."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TextIO

import yaml
from rich.console import Console
from rich.table import Table


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
        stream.write(json.dumps(rows.data, indent=2, sort_keys=True, default=str) + "\n")
    elif output == "yaml":
        stream.write(yaml.safe_dump(json.loads(json.dumps(rows.data, default=str)), sort_keys=True))
    elif stream.isatty():
        _framed(rows, stream)
    else:
        stream.write("".join(line + "\n" for line in columns(rows.headings, rows.rows)))


def columns(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Left-aligned columns two spaces apart, as kubectl prints them; an empty cell shows as `-`."""
    table = [tuple(headings), *(tuple(cell or "-" for cell in row) for row in rows)]
    widths = [max(len(row[index]) for row in table) for index in range(len(headings))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def _framed(rows: Rows, stream: TextIO) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in rows.headings:
        table.add_column(heading, overflow="fold")
    for row in rows.rows:
        table.add_row(*(cell or "-" for cell in row))
    Console(file=stream, width=shutil.get_terminal_size().columns).print(table)


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
