"""Schedules as doors: open or closed now, and when that changes. Windows are half-open, durations are elapsed time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from exuvia.model import cron


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Whether a window is open. `until`: when it closes, or opens next (None: never, as far as can be seen).
    `problem`: why the schedule says nothing; then it is not open."""

    open: bool
    until: datetime | None = None
    problem: str = ""


def door(schedule: str, duration: timedelta, zone: str, now: datetime) -> Door:
    """How the window [firing, firing + duration) stands at `now`."""
    problem = _problem(schedule, zone)
    if problem:
        return Door(open=False, problem=problem)
    last = cron.last_firing(schedule, zone, now, duration) if duration else None
    if last is not None and now < last + duration:
        return Door(open=True, until=last + duration)
    return Door(open=False, until=_next(schedule, zone, now.replace(second=0, microsecond=0)))


@lru_cache(maxsize=1024)
def _problem(schedule: str, zone: str) -> str:
    return cron.problem(schedule, zone)


@lru_cache(maxsize=1024)
def _next(schedule: str, zone: str, minute: datetime) -> datetime | None:
    return next(iter(cron.firings(schedule, zone, minute)), None)
