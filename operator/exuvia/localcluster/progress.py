"""Progress of what takes minutes: a bar with time left on a terminal, a plain line every 10 s elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

PERIOD = 10.0


class Progress:
    """Counts up to `total`. Everything goes to stderr."""

    def __init__(self, title: str, total: int) -> None:
        self._title = title
        self._total = max(total, 1)
        self._done = 0
        self._what = ""
        self._started = self._said = time.monotonic()
        self._bar = _bar() if sys.stderr.isatty() else None
        self._task = self._bar.add_task(title, total=self._total, what="") if self._bar else None

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        else:
            print(self._title, file=sys.stderr, flush=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if self._bar and self._task is not None:
            if kind is None:
                self._bar.update(self._task, completed=self._total)
            self._bar.stop()
        elif kind is None:
            print(f"done in {time.monotonic() - self._started:.0f} s", file=sys.stderr, flush=True)

    def say(self, what: str) -> None:
        """Name what is worked on now."""
        self._what = what
        if self._bar and self._task is not None:
            self._bar.update(self._task, what=what)

    def advance(self) -> None:
        """One more is done."""
        self._done = min(self._done + 1, self._total)
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=self._done)
        elif time.monotonic() - self._said >= PERIOD:
            self._said = time.monotonic()
            print(f"  {self._what}: {self._done} of {self._total}, {self._left()}", file=sys.stderr, flush=True)

    def _left(self) -> str:
        elapsed = time.monotonic() - self._started
        return f"about {elapsed / self._done * (self._total - self._done):.0f} s left"


def _bar() -> Bar:
    from rich.console import Console

    return Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[what]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
