"""What vendors count, as functions of a replay, and the calendar periods that figures are told by. All in UTC."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from exuvia.decide.seats.simulating import Figures, Replay, Window, measure
from exuvia.model.facts import microseconds

ASSESSED_DAYS = 90
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 24 * 3_600_000_000
_Thing = TypeVar("_Thing")


class Period(StrEnum):
    """By what history is told."""

    DAY = "day"  # from midnight
    WEEK = "week"  # from Monday
    MONTH = "month"  # from the first


def periods(window: Window, period: Period) -> Iterator[Window]:
    """The calendar periods of a window; the first and the last are cut to it."""
    began = window.began
    while began < window.ended:
        ended = min(microseconds(_next(moment(began), period)), window.ended)
        yield Window(began=began, ended=ended)
        began = ended


def history(done: Replay, window: Window, period: Period) -> tuple[Figures, ...]:
    """The figures of each period of a window, each from what reaches into it alone."""
    windows = tuple(periods(window, period))
    lives = _shares(windows, done.lives, lambda one: (one.born, one.died))
    leases = _shares(windows, done.leases, lambda one: (one.began, one.ended))
    parts = (replace(done, lives=tuple(lives[one]), leases=tuple(leases[one])) for one in range(len(windows)))
    return tuple(measure(part, one) for part, one in zip(parts, windows, strict=True))


def monthly_high_water(done: Replay, window: Window) -> tuple[tuple[int, int], ...]:
    """The meter of vendors that bill the highest count of a calendar month: its begin, and the most seats in use."""
    return tuple((one.window.began, one.high_water.used) for one in history(done, window, Period.MONTH))


def assessed(done: Replay, at: int, *, days: int = ASSESSED_DAYS) -> int:
    """The meter of vendors that bill every machine once if they saw it in the last so many days before a moment: how
    many instances held a seat in that time."""
    window = Window(began=at - days * _DAY, ended=at)
    return len({one.uid for one in done.leases if window.overlap(one.began, one.ended)})


def reach(window: Window) -> int:
    """How far back (microseconds) what is told of a window looks."""
    return min(window.began, window.ended - ASSESSED_DAYS * _DAY)


def moment(at: int) -> datetime:
    """Microseconds since 1970 as a time in UTC."""
    return _EPOCH + timedelta(microseconds=at)


def _shares(
    windows: Sequence[Window], things: Iterable[_Thing], span: Callable[[_Thing], tuple[int, int | None]]
) -> list[list[_Thing]]:
    """For each window what touches it, in the order in which it came."""
    begins = [one.began for one in windows]
    shares: list[list[_Thing]] = [[] for _ in windows]
    for thing in things:
        began, ended = span(thing)
        first = max(0, bisect_right(begins, began) - 1)
        last = len(windows) if ended is None else bisect_right(begins, ended)
        for index in range(first, last):
            shares[index].append(thing)
    return shares


def _next(at: datetime, period: Period) -> datetime:
    """When the period after the one that holds a moment begins."""
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    match period:
        case Period.DAY:
            return midnight + timedelta(days=1)
        case Period.WEEK:
            return midnight + timedelta(days=7 - midnight.weekday())
        case Period.MONTH:
            return (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)
