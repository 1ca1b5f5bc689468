"""How long machines violate, as a counter: what the ledger knows of the past goes on in the process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

Key = tuple[str, str]
"""Policy and severity."""


class Violations:
    """Counts violating machines, and the seconds that they violate together."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._open: Counter[Key] = Counter()
        self._seconds: dict[Key, float] = {}
        self._since: dict[Key, float] = {}

    def count(self, key: Key, by: int) -> None:
        """One more, or one less, violates from now on."""
        self._seconds[key], self._since[key] = self._total(key), self._monotonic()
        self._open[key] += by

    def begin(self) -> None:
        """Count from now on only: what was before is known from elsewhere."""
        now = self._monotonic()
        self._seconds = dict.fromkeys(self._seconds, 0.0)
        self._since = dict.fromkeys(self._since, now)

    def totals(self) -> dict[Key, float]:
        """Seconds since the begin. May be asked from another thread."""
        return {key: self._total(key) for key in list(self._seconds)}

    def _total(self, key: Key) -> float:
        since = self._since.get(key)
        return self._seconds.get(key, 0.0) + (
            self._open[key] * (self._monotonic() - since) if since is not None else 0.0
        )
