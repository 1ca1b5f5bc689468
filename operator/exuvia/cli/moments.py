"""Moments as people write them on a command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from exuvia import errors
from exuvia.model.specs.common import parse_duration

_TIME = "a time like 2026-11-24T12:00:00Z"
_SPAN = "made of h, m and s, like 24h, 90m or 2h30m (there is no d)"


def at(text: str) -> datetime:
    """RFC 3339, UTC where no zone is written. Raises `errors.SettingsError`."""
    return _moment(text, f"Write {_TIME}.")


def span(text: str) -> timedelta:
    """A span like 5m or 2h30m. Raises `errors.SettingsError`."""
    found = _span(text)
    if found is None:
        raise errors.SettingsError(f"{text!r} is no span of time.", remedy=f"Write one {_SPAN}.")
    return found


def earlier(text: str, now: datetime) -> datetime:
    """A time, or a span before now (`24h`). Raises `errors.SettingsError`."""
    span = _span(text)
    return _moment(text, f"Write {_TIME}, or how long ago: a span {_SPAN}.") if span is None else now - span


def later(text: str, now: datetime) -> datetime:
    """A time that is still to come, or a span from now (`2h30m`). Raises `errors.SettingsError`."""
    span = _span(text)
    found = _moment(text, f"Write {_TIME}, or how long from now: a span {_SPAN}.") if span is None else now + span
    if found <= now:
        raise errors.SettingsError(f"{text!r} is over already.", remedy="Write a time to come, or a span like 2h30m.")
    return found


def _moment(text: str, remedy: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as trouble:
        raise errors.SettingsError(f"{text!r} is no time.", remedy=remedy) from trouble
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _span(text: str) -> timedelta | None:
    try:
        found = parse_duration(text)
    except ValueError:
        return None
    return found if isinstance(found, timedelta) else None
