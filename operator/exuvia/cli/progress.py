"""Progress of what takes long, on stderr: a bar where a person looks on, a plain line every few seconds elsewhere. What
is over sooner says nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

PERIOD = 5.0
"""Seconds between two lines."""
_MOVES = 0.1
"""Seconds between two moves of a bar."""

_Item = TypeVar("_Item")
_Show = Callable[[int, int], None]
"""Called with (how many, how far)."""


def shown(
    items: Iterable[_Item], what: str, *, total: int = 0, at: Callable[[], int] | None = None
) -> Generator[_Item]:
    """The same items; close it where they are not all taken, else the bar stays, and what is said next hangs on it.
    `total`: how many they are, 0 where that is not known; with `at` it is how far that will get, for example the bytes
    of their file."""
    with _bar(what, total) if _watched_by_a_person() else _lines(what, total) as (show, period):
        said = time.monotonic()
        for count, one in enumerate(items, start=1):
            yield one
            if (now := time.monotonic()) - said >= period:
                said = now
                show(count, at() if at else count)


@contextmanager
def _lines(what: str, total: int) -> Iterator[tuple[_Show, float]]:
    def show(count: int, far: int) -> None:
        part = f", {min(100, 100 * far // total)} %" if total else ""
        click.echo(f"{what}: {_counted(count)}{part}", err=True)

    yield show, PERIOD


@contextmanager
def _bar(what: str, total: int) -> Iterator[tuple[_Show, float]]:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as moving:
        task = moving.add_task(what, total=total or None, said="")

        def show(count: int, far: int) -> None:
            moving.update(task, completed=far, said=_counted(count))

        yield show, _MOVES


def _counted(lines: int) -> str:
    return f"{lines:,} line" + ("" if lines == 1 else "s")


def _watched_by_a_person() -> bool:
    return sys.stderr.isatty()
