"""Lines on stderr that say what is done now, so that nobody waits in silence."""

from __future__ import annotations

import sys
import time

_STARTED = time.monotonic()


def say(text: str) -> None:
    """One line, with the seconds since the start."""
    print(f"[{time.monotonic() - _STARTED:6.1f} s] {text}", file=sys.stderr, flush=True)


class Ticker:
    """Says how far a long loop is, at most every two seconds."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._said = time.monotonic()

    def at(self, done: int) -> None:
        """So many are done."""
        if time.monotonic() - self._said >= 2:
            self._said = time.monotonic()
            say(f"{self._what}: {done} of {self._total}")
