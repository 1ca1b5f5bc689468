"""The real clock. Everything that thinks gets its `now` handed in; only the loops of `app` read this."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """Wall clock in UTC, and a clock that counts on while the machine or the process sleeps."""

    def now(self) -> datetime:
        """The wall clock, aware, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back. CLOCK_BOOTTIME also counts suspension, so that a lease ends while we sleep."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)
