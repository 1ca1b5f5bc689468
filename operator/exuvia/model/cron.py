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
_LOOK_BACK = (timedelta(hours=1), timedelta(days=2), timedelta(days=32), timedelta(days=366), timedelta(days=366 * 5))


def problem(schedule: str, zone: str) -> str:
    """What is wrong with a schedule or its zone, or ""."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f"{zone!r} is no IANA time zone; write one like Europe/Berlin or UTC."
    text = MACROS.get(schedule.strip(), schedule.strip())
    if len(text.split()) != 5:
        return f"{schedule!r} is no schedule; write five cron fields like '0 22 * * mon-fri', or a macro like @daily."
    try:
        next(CronSim(text, datetime(2026, 1, 1, tzinfo=ZoneInfo(zone))))
    except CronSimError as trouble:
        return f"{schedule!r} is no schedule: {trouble}."
    except StopIteration:
        return f"{schedule!r} never fires."
    return ""


def firings(schedule: str, zone: str, after: datetime) -> Iterator[datetime]:
    """Moments in UTC at which it fires, strictly after one. The schedule must have no `problem`."""
    text = MACROS.get(schedule.strip(), schedule.strip())
    for local in CronSim(text, after.astimezone(ZoneInfo(zone))):
        yield local.astimezone(UTC)


def last_firing(schedule: str, zone: str, now: datetime, within: timedelta) -> datetime | None:
    """The latest firing in (now - within, now], or None."""
    minute = now.replace(second=0, microsecond=0)
    return _last(schedule, zone, minute, within)


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
