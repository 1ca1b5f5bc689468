"""Times that people write: one without a zone is taken for UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def utc(at: datetime) -> datetime:
    """The same moment, aware."""
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
