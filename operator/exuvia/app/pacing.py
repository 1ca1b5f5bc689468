"""When the past is reckoned again: that takes seconds of work, so each hour; and soon where there was nothing to tell
of and something came since.
"""

from __future__ import annotations

PERIOD_SECONDS = 3600.0
SOON_SECONDS = 30.0
"""So long after something is there that the last answer does not tell of: what comes meanwhile is told with it. Doubled
each time that it is told of then neither."""


class Pace:
    """All moments are monotonic, in seconds. The first is due at once."""

    def __init__(self) -> None:
        self._due = float("-inf")
        self._soon = SOON_SECONDS
        self._missed = False

    def due(self, now: float, *, missed: bool) -> bool:
        """Whether to reckon now. `missed`: something is there, and the last answer was that there is nothing."""
        if missed and not self._missed:
            self._due = min(self._due, now + self._soon)
        self._missed = missed
        return now >= self._due

    def done(self, now: float, *, found: bool) -> None:
        """It was reckoned. `found`: the answer tells of something."""
        in_vain = self._missed and not found
        self._soon = min(2 * self._soon, PERIOD_SECONDS) if in_vain else SOON_SECONDS
        self._due, self._missed = now + PERIOD_SECONDS, False
