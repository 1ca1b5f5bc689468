"""Times that people write, of which one without a zone is taken for UTC; and how far clocks may be apart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

LARGEST_SKEW = timedelta(seconds=60)
"""So far may our clock and the API server's be apart."""


def utc(at: datetime) -> datetime:
    """The same moment, aware."""
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
