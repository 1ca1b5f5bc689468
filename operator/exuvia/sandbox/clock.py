"""A clock that moves only when it is told to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


class VirtualClock:
    """Implements `ports.Clock`. Wall and monotonic time move together, unless the wall clock is set."""

    def __init__(self, start: datetime = START) -> None:
        self._wall = start
        self._monotonic = 0.0

    def now(self) -> datetime:
        """The wall clock, aware, UTC."""
        return self._wall

    def monotonic(self) -> float:
        """Seconds since it was made."""
        return self._monotonic

    def advance(self, span: timedelta) -> None:
        """Let time pass. ValueError for a negative span."""
        if span < timedelta(0):
            raise ValueError(f"time does not go back by {span}")
        self._wall += span
        self._monotonic += span.total_seconds()
