"""Little's law: the worked figures of history.md, a steady fleet, growth, and when seats run out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exuvia.decide.seats import forecasting
from exuvia.decide.seats.simulating import HOUR, Window, simulate
from exuvia.model.histories import Life
from exuvia.model.seats import Terms

MINUTE = HOUR // 60
SECOND = MINUTE // 60


def life(uid: str, born: int, died: int | None = None) -> Life:
    return Life(uid=uid, recorded=0, born=born, died=died)


def steady(delay: int, hours: int) -> list[Life]:
    """120 births an hour, each living 30 minutes, since long ago."""
    return [life(str(n), n * 30 * SECOND, n * 30 * SECOND + 30 * MINUTE) for n in range(120 * hours)]


@pytest.mark.parametrize(("delay", "seats"), [(0, 60), (30 * SECOND, 61), (72 * HOUR, 8700)])
def test_why_delay_matters(delay: int, seats: int) -> None:
    assert forecasting.needed(120, 30 * MINUTE, delay) == seats


@pytest.mark.parametrize(("delay", "seats"), [(0, 60), (30 * SECOND, 61)])
def test_a_steady_fleet_needs_what_the_law_says(delay: int, seats: int) -> None:
    window = Window(began=10 * HOUR, ended=20 * HOUR)
    found = forecasting.forecast(steady(delay, 30), window, seats=100, delay=delay)
    assert (found.arrivals, found.life, found.average) == (120, 30 * MINUTE, seats)
    assert found.growth_per_hour == 0
    assert (found.average_exhausted, found.peak_exhausted) == (None, None)
    replayed = simulate(steady(delay, 30), Terms(seats=9999, delay=delay), window)
    assert replayed.seat_hours / 10 == seats == replayed.high_water.used == found.peak


def test_a_fleet_that_grows_runs_out_when_its_line_meets_the_seats() -> None:
    """One more machine each hour, none ever dies."""
    lives = [life(str(hour), hour * HOUR) for hour in range(10)]
    found = forecasting.forecast(lives, Window(began=0, ended=10 * HOUR), seats=20, delay=0)
    assert found.average == 5.5
    assert found.growth_per_hour == 1
    assert found.average_exhausted == 10 * HOUR + round((20 - 10.5) * HOUR)
    assert found.peak_exhausted is not None and found.peak_exhausted < found.average_exhausted


def test_what_is_over_already_runs_out_at_the_end_of_the_window() -> None:
    found = forecasting.forecast([life("a", 0), life("b", 0)], Window(began=0, ended=HOUR), seats=1, delay=0)
    assert (found.average_exhausted, found.peak_exhausted) == (HOUR, HOUR)
    enough = forecasting.forecast([life("a", 0), life("b", 0)], Window(began=0, ended=HOUR), seats=2, delay=0)
    assert (enough.average_exhausted, enough.peak_exhausted) == (None, None)


def test_a_shrinking_or_an_empty_fleet_never_runs_out() -> None:
    lives = [life(str(hour), 0, hour * HOUR) for hour in range(1, 10)]
    assert forecasting.forecast(lives, Window(began=0, ended=10 * HOUR), seats=9, delay=0).average_exhausted is None
    empty = forecasting.forecast([], Window(began=0, ended=HOUR), seats=0, delay=0)
    assert (empty.arrivals, empty.life, empty.average, empty.peak) == (0, None, 0, 0)
    assert (empty.average_exhausted, empty.peak_exhausted) == (None, None)


def test_growth_that_takes_a_century_is_none() -> None:
    window = Window(began=0, ended=10_000 * HOUR)
    lives = [life("a", 0), life("b", window.ended - 1)]
    assert forecasting.forecast(lives, window, seats=1_000_000, delay=0).average_exhausted is None


SPANS = st.lists(st.tuples(st.integers(0, 50), st.one_of(st.none(), st.integers(0, 30))), max_size=12)


@given(SPANS, st.integers(1, 60), st.integers(0, 20))
def test_without_delay_the_average_is_what_was_really_used(
    spans: list[tuple[int, int | None]], length: int, began: int
) -> None:
    lives = [life(str(n), born, None if more is None else born + more) for n, (born, more) in enumerate(spans)]
    window = Window(began=began, ended=began + length)
    found = forecasting.forecast(lives, window, seats=0, delay=0)
    assert found.average == simulate(lives, Terms(seats=99), window).used / length
