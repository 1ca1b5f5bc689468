"""Calendar periods in UTC, high water and seat-hours by them, and what vendors' meters count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exuvia.decide.seats import metering
from exuvia.decide.seats.metering import Period
from exuvia.decide.seats.simulating import Window, replay, simulate
from exuvia.model.facts import microseconds
from exuvia.model.histories import Life
from exuvia.model.seats import Terms

DAY = 24 * 3_600_000_000


def at(text: str) -> int:
    return microseconds(datetime.fromisoformat(text).replace(tzinfo=UTC))


def life(uid: str, born: str, died: str | None = None) -> Life:
    return Life(uid=uid, recorded=0, born=at(born), died=None if died is None else at(died))


@pytest.mark.parametrize(
    ("period", "bounds"),
    [
        (Period.DAY, ["2024-02-28T06:00", "2024-02-29", "2024-03-01", "2024-03-01T12:00"]),
        (Period.WEEK, ["2024-02-28T06:00", "2024-03-01T12:00"]),
        (Period.MONTH, ["2024-02-28T06:00", "2024-03-01", "2024-03-01T12:00"]),
    ],
)
def test_periods_are_of_the_calendar_and_cut_to_the_window(period: Period, bounds: list[str]) -> None:
    window = Window(began=at(bounds[0]), ended=at(bounds[-1]))
    found = list(metering.periods(window, period))
    assert [one.began for one in found] == [at(one) for one in bounds[:-1]]
    assert [one.ended for one in found] == [at(one) for one in bounds[1:]]


def test_weeks_begin_on_monday_and_years_end() -> None:
    window = Window(began=at("2025-12-28"), ended=at("2026-01-12"))
    weeks = [metering.moment(one.began).strftime("%a %d") for one in metering.periods(window, Period.WEEK)]
    assert weeks == ["Sun 28", "Mon 29", "Mon 05"]


@given(st.integers(at("2000-01-01"), at("2100-01-01")), st.integers(0, 200), st.sampled_from(Period))
def test_periods_cover_the_window_without_gap_or_overlap(first: int, days: int, period: Period) -> None:
    found = list(metering.periods(Window(began=first, ended=first + days * DAY), period))
    assert sum(one.length for one in found) == days * DAY
    assert all(one.ended == other.began for one, other in pairwise(found))
    assert all(metering.moment(one.began).astimezone(UTC).hour == 0 for one in found[1:])


def test_history_is_each_period_simulated() -> None:
    lives = [life("a", "2026-01-01", "2026-01-20"), life("b", "2026-01-10"), life("c", "2026-02-05", "2026-02-06")]
    window, terms = Window(began=at("2026-01-05"), ended=at("2026-03-01")), Terms(seats=1)
    done = replay(lives, terms, until=window.ended)
    found = metering.history(done, window, Period.MONTH)
    assert list(found) == [simulate(lives, terms, one) for one in metering.periods(window, Period.MONTH)]


def test_the_monthly_meter_is_the_highest_count_of_each_month() -> None:
    lives = [life("a", "2026-01-01"), life("b", "2026-01-10", "2026-01-11"), life("c", "2026-02-28T23:00")]
    window = Window(began=at("2026-01-01"), ended=at("2026-03-01"))
    done = replay(lives, Terms(seats=9), until=window.ended)
    assert metering.monthly_high_water(done, window) == ((at("2026-01-01"), 2), (at("2026-02-01"), 2))


def test_assessed_counts_a_machine_once_for_ninety_days() -> None:
    lives = [
        life("long gone", "2026-01-01", "2026-01-02"),
        life("ended at the border", "2026-01-01", "2026-01-31"),
        life("an hour", "2026-03-01T00:00", "2026-03-01T01:00"),
        life("still there", "2025-06-01"),
        life("too late", "2026-05-01"),
    ]
    end = at("2026-01-31") + timedelta(days=90) // timedelta(microseconds=1)
    done = replay(lives, Terms(seats=9), until=end)
    assert metering.assessed(done, end) == 2
    assert metering.assessed(done, end, days=91) == 3


def test_who_never_got_a_seat_was_not_assessed() -> None:
    lives = [life("a", "2026-01-01"), life("b", "2026-01-01")]
    end = at("2026-01-02")
    assert metering.assessed(replay(lives, Terms(seats=1), until=end), end) == 1
