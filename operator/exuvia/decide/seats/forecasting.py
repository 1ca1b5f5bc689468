"""How many seats a fleet will need: Little's law over the machines that really lived (`exuvia license forecast`).

On average, seats in use = arrivals x (life + reclaim delay). Life is the time lived in the window for each arrival in
it, so machines that still live count with what they lived, and the law is exact over the window.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from exuvia.decide.seats.simulating import HOUR, Window, peak
from exuvia.model.histories import Life

HORIZON = 100 * 365 * 24 * HOUR
"""What runs out later than this, in microseconds, is said never to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Arrivals an hour, microseconds of life for each (None: nothing arrived), seats on average and at the peak, how
    fast the average grows, and when that many seats run out: None means never, as it goes now."""

    arrivals: float
    life: float | None
    average: float
    peak: int
    growth_per_hour: float
    average_exhausted: int | None
    peak_exhausted: int | None


def needed(arrivals: float, life: float, delay: float) -> float:
    """Seats in use on average: arrivals an hour that live so long, with a seat that comes back so late (both
    microseconds)."""
    return arrivals * (life + delay) / HOUR


def forecast(lives: Iterable[Life], window: Window, *, seats: int, delay: int) -> Forecast:
    """From what lived in a window of some length; `delay` (microseconds) is what a seat takes to come back.

    The average of the first half against that of the second tells how it grows; the peak is taken to grow with it.
    """
    known = tuple(one for one in lives if one.died is None or one.died > one.born)
    arrived = _arrivals(known, window)
    lived = sum(window.overlap(one.born, one.died) for one in known)
    average = _load(known, window, delay)
    highest = peak(((one.born, None if one.died is None else one.died + delay) for one in known), window)
    growth, last = _trend(known, window, delay)
    ratio = highest / average if average else 1.0
    return Forecast(
        arrivals=arrived * HOUR / window.length,
        life=lived / arrived if arrived else None,
        average=average,
        peak=highest,
        growth_per_hour=growth * HOUR,
        average_exhausted=_reached(seats, last, growth, window),
        peak_exhausted=_reached(seats, last * ratio, growth * ratio, window),
    )


def _arrivals(lives: Sequence[Life], window: Window) -> int:
    return sum(window.holds(one.born) for one in lives)


def _load(lives: Sequence[Life], window: Window, delay: int) -> float:
    """Arrivals x (life + delay), also where nothing arrived."""
    lived = sum(window.overlap(one.born, one.died) for one in lives)
    return (lived + _arrivals(lives, window) * delay) / window.length


def _trend(lives: Sequence[Life], window: Window, delay: int) -> tuple[float, float]:
    """Seats by which the average grows in a microsecond, and the level at the end of the window."""
    middle = window.began + window.length // 2
    early, late = Window(began=window.began, ended=middle), Window(began=middle, ended=window.ended)
    if not (early.length and late.length):
        return 0.0, _load(lives, window, delay)
    before, after = _load(lives, early, delay), _load(lives, late, delay)
    growth = (after - before) / (window.length / 2)
    return growth, after + growth * late.length / 2


def _reached(seats: int, last: float, growth: float, window: Window) -> int | None:
    """When a level that grows steadily needs more than there are; the end of the window if it does so already."""
    if last > seats:
        return window.ended
    if growth <= 0 or (seats - last) / growth > HORIZON:
        return None
    return window.ended + round((seats - last) / growth)
