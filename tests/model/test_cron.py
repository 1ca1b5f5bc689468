"""Schedules: around a daylight-saving change a window opens once, at the first valid instant; windows are half-open."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.model import cron

BERLIN = "Europe/Berlin"
ZONES = (BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC", "America/Havana", "Africa/Cairo")
SCHEDULES = ("30 2 * * *", "*/20 2 * * *", "0 0 * * *", "0 22 * * mon-fri", "15,45 1-3 * * *", "0 * * * *", "@weekly")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def fired(schedule: str, zone: str, after: str, count: int) -> list[str]:
    return [f"{one:%m-%d %H:%M}" for one in islice(cron.firings(schedule, zone, utc(after)), count)]


def test_a_local_time_that_does_not_exist_fires_at_the_first_valid_instant() -> None:
    assert fired("30 2 * * *", BERLIN, "2026-03-28 12:00", 2) == ["03-29 01:00", "03-30 00:30"]
    assert fired("*/20 2 * * *", BERLIN, "2026-03-28 12:00", 2) == ["03-29 01:00", "03-30 00:00"], "once"
    assert fired("15 2 * * *", "Australia/Lord_Howe", "2026-10-03 00:00", 2) == ["10-03 15:30", "10-04 15:15"]
    assert fired("0 0 * * *", "America/Havana", "2026-03-07 12:00", 2) == ["03-08 05:00", "03-09 04:00"]


def test_a_local_time_that_comes_twice_fires_the_first_time() -> None:
    assert fired("30 2 * * *", BERLIN, "2026-10-24 12:00", 2) == ["10-25 00:30", "10-26 01:30"]
    assert fired("*/30 2 * * *", BERLIN, "2026-10-24 12:00", 3) == ["10-25 00:00", "10-25 00:30", "10-26 01:00"]
    assert fired("30 2 * * *", BERLIN, "2026-10-25 01:10", 1) == ["10-26 01:30"], "asked in the hour that comes again"


def test_every_hour_means_every_hour() -> None:
    assert fired("0 * * * *", BERLIN, "2026-10-24 23:30", 4) == [f"10-25 0{hour}:00" for hour in range(4)]
    assert fired("0 * * * *", BERLIN, "2026-03-28 23:30", 3) == [f"03-29 0{hour}:00" for hour in range(3)]


def test_a_whole_day_that_was_leapt_over_fires_once() -> None:
    fires = fired("0 0 * * *", "Pacific/Apia", "2011-12-29 00:00", 3)
    assert fires == ["12-29 10:00", "12-30 10:00", "12-31 10:00"]


def opened(schedule: str, zone: str, now: str, duration: timedelta) -> bool:
    return cron.last_firing(schedule, zone, utc(now), duration) is not None


@pytest.mark.parametrize(
    ("now", "is_open"),
    [
        ("2026-11-25 21:59:59.999999", False),
        ("2026-11-25 22:00:00", True),
        ("2026-11-25 23:30:29.999999", True),
        ("2026-11-25 23:30:30", False),
        ("2026-11-25 23:30:45", False),
    ],
)
def test_a_window_is_half_open_to_the_second(now: str, is_open: bool) -> None:
    assert opened("0 22 * * *", "UTC", now, timedelta(hours=1, minutes=30, seconds=30)) is is_open


def test_durations_are_elapsed_time() -> None:
    night = timedelta(hours=6)
    assert opened("0 22 * * *", BERLIN, "2026-10-25 01:59", night), (
        "22:00 summer time and six hours of a clock that ticks"
    )
    assert not opened("0 22 * * *", BERLIN, "2026-10-25 02:00", night)
    assert opened("0 22 * * *", BERLIN, "2026-03-29 02:59", night)
    assert not opened("0 22 * * *", BERLIN, "2026-03-29 03:00", night)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(SCHEDULES),
    st.sampled_from(ZONES),
    st.integers(0, 366 * 24 * 12),
    st.integers(0, 3 * 24 * 12),
)
def test_firings_do_not_depend_on_where_one_begins_to_look(schedule: str, zone: str, start: int, later: int) -> None:
    begin = utc("2026-01-01 00:00") + timedelta(minutes=5 * start)
    middle = begin + timedelta(minutes=5 * later)
    end = middle + timedelta(days=10)

    def between(after: datetime) -> list[datetime]:
        found = []
        for one in cron.firings(schedule, zone, after):
            if one > end:
                break
            found.append(one)
        return found

    fires = between(begin)
    assert fires == sorted(set(fires))
    assert all(one > begin for one in fires)
    assert [one for one in fires if one > middle] == between(middle)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(SCHEDULES),
    st.sampled_from(ZONES),
    st.integers(0, 366 * 24 * 60),
    st.timedeltas(timedelta(seconds=1), timedelta(days=40)),
)
def test_the_last_firing_is_the_last_of_the_firings(schedule: str, zone: str, minute: int, within: timedelta) -> None:
    now = utc("2026-01-01 00:00") + timedelta(minutes=minute, seconds=17)
    expected = None
    for one in cron.firings(schedule, zone, now - within):
        if one > now:
            break
        expected = one
    assert cron.last_firing(schedule, zone, now, within) == expected


@given(st.sampled_from(ZONES), st.integers(0, 366))
def test_a_daily_schedule_fires_once_a_local_day(zone: str, day: int) -> None:
    start = utc("2026-01-01 00:00") + timedelta(days=day)
    fires = list(islice(cron.firings("30 2 * * *", zone, start), 5))
    days = [one.astimezone(ZoneInfo(zone)).date() for one in fires]
    assert days == [days[0] + timedelta(days=n) for n in range(5)]


@pytest.mark.parametrize("macro", sorted(cron.MACROS))
def test_macros_are_schedules(macro: str) -> None:
    assert cron.problem(macro, BERLIN) == ""


@pytest.mark.parametrize(
    ("schedule", "zone", "word"),
    [
        ("61 * * * *", "UTC", "is no schedule: Bad minute. Write minute, hour, day, month and weekday"),
        ("* * * *", "UTC", "is no schedule. Write minute, hour, day, month and weekday"),
        ("* * * * * *", "UTC", "is no schedule. Write minute, hour, day, month and weekday"),
        ("@reboot", "UTC", "is no schedule. Write minute, hour, day, month and weekday"),
        ("", "UTC", "is no schedule. Write minute, hour, day, month and weekday"),
        ("0 0 30 2 *", "UTC", "is no schedule"),
        ("0 8 * * mon-fri", "Mars/Olympus", "is no IANA time zone"),
        ("0 8 * * mon-fri", "", "is no IANA time zone"),
        ("0 8 * * mon-fri", "America", "is no IANA time zone"),
        ("0 8 * * mon-fri", "../../etc/passwd", "is no IANA time zone"),
    ],
)
def test_what_is_no_schedule_is_named(schedule: str, zone: str, word: str) -> None:
    said = cron.problem(schedule, zone)
    assert word in said
    assert repr(schedule) in said or repr(zone) in said
