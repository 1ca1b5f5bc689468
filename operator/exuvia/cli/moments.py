"""Moments as people write them on a command line. A time without a zone is refused: it would be another moment than
meant wherever people do not live by UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from exuvia import errors
from exuvia.decide.brakes.times import LARGEST_SKEW

_TIME = "a time like 2026-11-24T12:00:00Z"
_SPAN = "made of d, h, m and s, like 5d, 24h, 90m or 2h30m"
_ZONE = "for UTC, or with the offset of your zone, like +01:00"
_WHOLE = re.compile(r"([0-9]+[dhms])+")
_PARTS = re.compile(r"([0-9]+)([dhms])")
_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


def at(text: str) -> datetime:
    """RFC 3339 with a zone, in UTC. Raises `errors.SettingsError`."""
    return _moment(text, f"Write {_TIME}.")


def span(text: str) -> timedelta:
    """A span like 5d, 5m or 2h30m. Raises `errors.SettingsError`."""
    found = _span(text)
    if found is None:
        raise errors.SettingsError(f"{text!r} is no span of time.", remedy=f"Write one {_SPAN}.")
    return found


def earlier(text: str, now: datetime) -> datetime:
    """A time, or a span before now (`24h`). Raises `errors.SettingsError`."""
    length = _span(text)
    if length is None:
        return _moment(text, f"Write {_TIME}, or how long ago: a span {_SPAN}.")
    return _counted(text, now, -length)


def later(text: str, now: datetime) -> datetime:
    """A time that is still to come, or a span from now (`2h30m`). Raises `errors.SettingsError`."""
    length = _span(text)
    if length is None:
        found = _moment(text, f"Write {_TIME}, or how long from now: a span {_SPAN}.")
    else:
        found = _counted(text, now, length)
    if found <= now:
        raise errors.SettingsError(f"{text!r} is over already.", remedy="Write a time to come, or a span like 2h30m.")
    return found


def as_of(text: str, now: datetime) -> datetime:
    """By what was recorded until when a question is answered: `--as-of`, empty for now.

    A moment to come is refused, but for as much as clocks may differ: what will be recorded until then is not known
    yet, and the same question would have another answer later. Raises `errors.SettingsError`.
    """
    found = earlier(text, now) if text else now
    if found - now > LARGEST_SKEW:
        raise errors.SettingsError(
            f"--as-of {text} is still to come: what will be recorded until then is not known yet.",
            remedy="Leave it out to ask by all that is recorded now.",
        )
    return found


def _moment(text: str, remedy: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as trouble:
        raise errors.SettingsError(f"{text!r} is no time.", remedy=remedy) from trouble
    if found.tzinfo is None:
        said = f"{text!r} names no zone, so it could be any of many moments."
        raise errors.SettingsError(said, remedy=f"Write {found.isoformat()}Z {_ZONE}.")
    try:
        return found.astimezone(UTC)
    except OverflowError as trouble:
        raise errors.SettingsError(f"{text!r} is out of range.", remedy=remedy) from trouble


def _counted(text: str, now: datetime, length: timedelta) -> datetime:
    try:
        return now + length
    except OverflowError as trouble:
        raise errors.SettingsError(f"{text!r} reaches beyond all times.", remedy="Write a shorter span.") from trouble


def _span(text: str) -> timedelta | None:
    """None for what is no span. Days too, which no field of a manifest takes."""
    if not _WHOLE.fullmatch(text):
        return None
    try:
        return timedelta(seconds=sum(int(count) * _UNITS[unit] for count, unit in _PARTS.findall(text)))
    except (OverflowError, ValueError) as trouble:
        raise errors.SettingsError(f"{text!r} is longer than any span.", remedy=f"Write one {_SPAN}.") from trouble
