"""Moments as people write them: each has one meaning, or is refused with what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exuvia import errors
from exuvia.cli import moments

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("read", [moments.at, lambda text: moments.earlier(text, NOW)])
def test_a_time_without_a_zone_is_refused_with_both_ways_out(read: Callable[[str], datetime]) -> None:
    for text, shown in (("2026-11-24T12:00:00", "2026-11-24T12:00:00Z"), ("2026-11-24", "2026-11-24T00:00:00Z")):
        with pytest.raises(errors.SettingsError) as refused:
            read(text)
        assert f"'{text}' names no zone" in str(refused.value)
        assert f"Write {shown} for UTC, or with the offset of your zone, like +01:00." in str(refused.value)


def test_a_time_to_come_needs_a_zone_too() -> None:
    with pytest.raises(errors.SettingsError, match="names no zone"):
        moments.later("2026-11-26T12:00:00", NOW)


def test_every_zone_is_one_moment() -> None:
    same = datetime(2026, 11, 24, 11, 0, tzinfo=UTC)
    for text in ("2026-11-24T11:00:00Z", "2026-11-24T12:00:00+01:00", "2026-11-24 11:00:00+00:00"):
        assert moments.at(text) == moments.earlier(text, NOW) == same


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("5d", timedelta(days=5)),
        ("1d12h", timedelta(hours=36)),
        ("2h30m", timedelta(minutes=150)),
        ("90s", timedelta(seconds=90)),
        ("0s", timedelta(0)),
    ],
)
def test_days_are_taken_wherever_a_span_is(text: str, length: timedelta) -> None:
    assert moments.span(text) == length
    assert moments.earlier(text, NOW) == NOW - length
    if length:
        assert moments.later(text, NOW) == NOW + length


@given(st.text(max_size=20) | st.from_regex(r"[0-9]{1,400}[dhms]([0-9]{1,9}[dhms])?", fullmatch=True))
def test_whatever_is_written_is_a_moment_or_one_sentence(text: str) -> None:
    """Never a traceback, however far it reaches."""
    for read in (moments.earlier, moments.later, moments.as_of):
        try:
            assert read(text, NOW).tzinfo is UTC
        except errors.SettingsError as refused:
            assert refused.remedy


def test_what_reaches_beyond_all_times_is_said() -> None:
    for text in ("99999999d", "0001-01-01T00:00:00+14:00", f"{'9' * 5000}d"):
        with pytest.raises(errors.SettingsError, match=r"beyond all times|out of range|longer than any span"):
            moments.earlier(text, NOW)


def test_nothing_is_answered_as_of_a_moment_to_come() -> None:
    """But for as much as the clocks of two machines may differ."""
    assert moments.as_of("", NOW) == NOW
    assert moments.as_of("1h", NOW) == NOW - timedelta(hours=1)
    assert moments.as_of("2026-11-25T12:00:30Z", NOW) == NOW + timedelta(seconds=30)
    for text in ("2026-11-25T12:01:01Z", "2099-01-01T00:00:00Z"):
        with pytest.raises(errors.SettingsError, match=f"--as-of {text} is still to come: .* not known yet"):
            moments.as_of(text, NOW)
