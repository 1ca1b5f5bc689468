"""What of a ledger's trouble is logged. On a volume that is nearly full it comes and goes with every entry: then it is
said once, again once a minute while it lasts, and once when it is over.

Called by one thread at a time.
"""

from __future__ import annotations

import logging
import time

log = logging.getLogger("exuvia.record.condition")

AGAIN_SECONDS = 60.0
"""The same trouble is not said again before."""
OVER_SECONDS = 10.0
"""Trouble that came back no more for so long is over."""


class Reminder:
    """Remembers what was said, and since when all is well again."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}
        self._troubled = False
        self._fine_since: float | None = None

    def trouble(self, message: str) -> None:
        """It cannot be written, for that reason."""
        now = time.monotonic()
        self._troubled, self._fine_since = True, None
        self._said = {text: at for text, at in self._said.items() if now - at < AGAIN_SECONDS}
        if message not in self._said:
            self._said[message] = now
            log.warning("ledger: %s", message)

    def fine(self) -> None:
        """As far as is known it can be written again."""
        self._fine_since = time.monotonic()

    def look(self) -> None:
        """Say that it is over, when it is: call it every few seconds."""
        since = self._fine_since
        if self._troubled and since is not None and time.monotonic() - since >= OVER_SECONDS:
            self.over()

    def over(self) -> None:
        """It is over, and known to be."""
        self._said, self._troubled = {}, False
        log.info("ledger is fine")
