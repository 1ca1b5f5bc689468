"""Moments as the ledger stores them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def moment(microseconds_: int) -> datetime:
    """From whole microseconds since 1970, exactly."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds_)
