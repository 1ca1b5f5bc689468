"""Schedules: five cron fields or a macro, in an IANA zone. A window opens once around a daylight-saving change, at the
first valid instant (a deliberate difference from CronJob, docs/brakes.md)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_WRITE = "Write minute, hour, day, month and weekday, like `0 22 * * mon-fri`, or @daily."
_LEAP = timedelta(hours=26)  # longer than any zone ever leapt
_LOOK_BACK = (timedelta(hours=1), timedelta(days=2), timedelta(days=32), timedelta(days=366), timedelta(days=366 * 5))


def problem(schedule: str, zone: str) -> str:
    """What is wrong with a schedule or its zone, or ""."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f"{zone!r} is no IANA time zone; write one like Europe/Berlin or UTC."
    text = MACROS.get(schedule.strip(), schedule.strip())
    if len(text.split()) != 5:
        return f"{schedule!r} is no schedule. {_WRITE}"
    try:
        next(CronSim(text, datetime(2026, 1, 1, tzinfo=ZoneInfo(zone))))
    except CronSimError as trouble:
        return f"{schedule!r} is no schedule: {trouble}. {_WRITE}"
    except StopIteration:
        return f"{schedule!r} never fires."
    return ""


def firings(schedule: str, zone: str, after: datetime) -> Iterator[datetime]:
    """Moments in UTC at which it fires, strictly after one, each once. The schedule must have no `problem`.

    A local time that the clocks leap over fires at the first valid instant; one that comes twice fires the first time.
    A schedule of every hour (hour field `*`) goes by elapsed time instead: no hour of it is left out or doubled.
    """
    text, where = MACROS.get(schedule.strip(), schedule.strip()), ZoneInfo(zone)
    found = _elapsed if text.split()[1] == "*" else _by_the_wall
    last = after.astimezone(UTC)
    for moment in found(text, where, last - _LEAP):
        if moment > last:
            last = moment
            yield moment


def _elapsed(text: str, where: ZoneInfo, start: datetime) -> Iterator[datetime]:
    for local in CronSim(text, start.astimezone(where)):
        yield local.astimezone(UTC)


def _by_the_wall(text: str, where: ZoneInfo, start: datetime) -> Iterator[datetime]:
    """Fires by what a clock on the wall shows, which knows no zone."""
    for wall in CronSim(text, start.astimezone(where).replace(tzinfo=None)):
        yield _first_valid(wall.replace(tzinfo=where))


def _first_valid(local: datetime) -> datetime:
    """In UTC; for a local time that does not exist the end of the gap."""
    there = local.astimezone(UTC)
    if there.astimezone(local.tzinfo).replace(tzinfo=None) == local.replace(tzinfo=None):
        return there
    early, late = local.replace(fold=1).astimezone(UTC), there  # offsets after and before the gap; it ends between them
    while late - early > timedelta(minutes=1):
        middle = (early + (late - early) / 2).replace(second=0, microsecond=0)
        if middle.astimezone(local.tzinfo).utcoffset() == late.astimezone(local.tzinfo).utcoffset():
            late = middle
        else:
            early = middle
    return late


def last_firing(schedule: str, zone: str, now: datetime, within: timedelta) -> datetime | None:
    """The latest firing in (now - within, now], or None: a window is open from its firing on, its end not included."""
    minute = now.replace(second=0, microsecond=0)
    found = _last(schedule, zone, minute, within)
    return found if found is not None and found > now - within else None


@lru_cache(maxsize=1024)
def _last(schedule: str, zone: str, minute: datetime, within: timedelta) -> datetime | None:
    for span in (*(one for one in _LOOK_BACK if one < within), within):
        found = None
        for firing in firings(schedule, zone, minute - span):
            if firing > minute:
                break
            found = firing
        if found is not None:
            return found
    return None
