"""Figures about seats as documents (the keys of history.md) and as tables for people.

In documents times are RFC 3339 with Z, and numbers unrounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from exuvia.cli import printing, remembering
from exuvia.cli.instance_facts import Origin
from exuvia.decide.seats import metering
from exuvia.decide.seats.forecasting import Forecast
from exuvia.decide.seats.metering import Period
from exuvia.decide.seats.simulating import Figures, Grant, Replay, Window
from exuvia.report.text import Rows

SECOND = 1_000_000
Document = dict[str, Any]
Sections = list[tuple[str, Rows]]


def document(figures: Figures, origin: Origin | None = None) -> Document:
    """What `license simulate -o json` says; where the ledger holds several clusters, with that of each grant."""
    return {
        "grants": [_grant(one) | _of(one.uid, origin) for one in figures.grants],
        "reclaimLatencySeconds": {"max": None if figures.latency is None else _seconds(figures.latency)},
        **_sums(figures),
        **asked(origin),
    }


def asked(origin: Origin | None) -> Document:
    """Of which cluster a figure is, null for all; nothing where there are not several."""
    return {} if origin is None else {"cluster": origin.asked}


def sections(figures: Figures, origin: Origin | None = None) -> Sections:
    """The same for people."""
    headings = (*(() if origin is None else ("CLUSTER",)), "UID", "AT", "WAITED")
    grants = tuple(
        (*_of(one.uid, origin).values(), one.uid, _time(one.at), _span(one.waited)) for one in figures.grants
    )
    return [("", _pairs(_told(figures))), ("Grants", Rows(headings=headings, rows=grants))]


def _of(uid: str, origin: Origin | None) -> dict[str, str]:
    return {} if origin is None else {"cluster": origin.clusters[uid]}


def forecast(found: Forecast, window: Window, delay: int, seats: int | None) -> Document:
    """What `license forecast --facts` says."""
    data = plain_forecast(found.arrivals, found.life, delay, found.average, seats)
    spent = {"average": found.average_exhausted, "peak": found.peak_exhausted}
    return data | {
        "window": _window(window),
        "peakSeats": found.peak,
        "growthSeatsPerDay": found.growth_per_hour * 24,
        "exhaustion": None if seats is None else {key: _maybe_time(at) for key, at in spent.items()},
    }


def plain_forecast(arrivals: float, life: float | None, delay: int, average: float, seats: int | None) -> Document:
    """Little's law in five numbers."""
    return {
        "arrivalsPerHour": arrivals,
        "lifeSeconds": None if life is None else _seconds(life),
        "reclaimDelaySeconds": _seconds(delay),
        "averageSeats": average,
        "seats": seats,
    }


def forecast_sections(data: Document) -> Sections:
    """A forecast for people."""
    rows = [
        ("arrivals an hour", _number(data["arrivalsPerHour"])),
        ("life", "" if data["lifeSeconds"] is None else _span(data["lifeSeconds"] * SECOND)),
        ("reclaim delay", _span(data["reclaimDelaySeconds"] * SECOND)),
        ("seats needed on average", _number(data["averageSeats"])),
    ]
    if "peakSeats" in data:
        rows.append(("seats needed at the peak", str(data["peakSeats"])))
        rows.append(("growth in seats a day", _number(data["growthSeatsPerDay"])))
    if data["seats"] is not None:
        rows.append(("seats there are", str(data["seats"])))
    for key, at in (data.get("exhaustion") or {}).items():
        rows.append((f"run out by the {key}", at or "never, as it goes now"))
    return [("", _pairs(rows))]


def history(done: Replay, window: Window, period: Period, by_period: Sequence[Figures], seats: int | None) -> Document:
    """What `license history -o json` says. Without a number of seats there is no utilisation."""
    monthly = metering.monthly_high_water(done, window)
    return {
        "window": _window(window),
        "seats": seats,
        "period": period.value,
        "periods": [_period(one, seats) for one in by_period],
        "meters": {
            "monthlyHighWater": [{"month": _time(at)[:7], "seats": used} for at, used in monthly],
            "assessedIn90Days": metering.assessed(done, window.ended),
        },
    }


def history_sections(data: Document) -> Sections:
    """A history for people."""
    headings = ("FROM", "TO", "USED", "DEMANDED", "SEAT-HOURS", "UNMET SEAT-SECONDS", "DENIED")
    rows = tuple(_history_row(one) for one in data["periods"])
    months = tuple((one["month"], str(one["seats"])) for one in data["meters"]["monthlyHighWater"])
    seen = (("machines that held a seat in the last 90 days", str(data["meters"]["assessedIn90Days"])),)
    return [
        (f"High water and seat-hours by {data['period']}", Rows(headings=headings, rows=rows)),
        ("Vendor meter: monthly high water", Rows(headings=("MONTH", "SEATS"), rows=months)),
        ("Vendor meter: assessed in 90 days", _pairs(seen)),
    ]


def _history_row(one: Document) -> tuple[str, ...]:
    water = one["highWater"]
    return (
        one["from"],
        one["to"],
        str(water["used"]),
        str(water["demanded"]),
        _number(one["seatHours"]),
        _number(one["unmetSeatSeconds"]),
        str(one["denials"]),
    )


def _period(figures: Figures, seats: int | None) -> Document:
    sums = _sums(figures)
    return {**_window(figures.window), **sums, "utilisation": None if seats is None else sums["utilisation"]}


def _sums(figures: Figures) -> Document:
    return {
        "denials": figures.denials,
        "unmetSeatSeconds": _seconds(figures.unmet),
        "highWater": {"used": figures.high_water.used, "demanded": figures.high_water.demanded},
        "seatHours": figures.seat_hours,
        "utilisation": figures.utilisation,
        "overcommitted": figures.overcommitted,
    }


def _told(figures: Figures) -> list[tuple[str, str]]:
    return [
        ("seats", str(figures.seats)),
        ("high water used", str(figures.high_water.used)),
        ("high water demanded", str(figures.high_water.demanded)),
        ("grants", str(len(figures.grants))),
        ("denials", str(figures.denials)),
        ("overcommitted", str(figures.overcommitted)),
        ("unmet seat-seconds", _number(_seconds(figures.unmet))),
        ("seat-hours", _number(figures.seat_hours)),
        ("utilisation", "" if figures.utilisation is None else f"{figures.utilisation:.1%}"),
        ("longest return after death", "" if figures.latency is None else _span(figures.latency)),
    ]


def _grant(one: Grant) -> Document:
    return {"uid": one.uid, "at": _time(one.at), "waitedSeconds": _seconds(one.waited)}


def _window(window: Window) -> Document:
    return {"from": _time(window.began), "to": _time(window.ended)}


def _time(at: int) -> str:
    return remembering.written(metering.moment(at))


def _maybe_time(at: int | None) -> str | None:
    return None if at is None else _time(at)


def _seconds(span: float) -> int | float:
    """Whole where it is whole."""
    return int(span) // SECOND if span % SECOND == 0 else span / SECOND


def _span(span: float) -> str:
    return printing.span(timedelta(microseconds=span))


def _number(value: float) -> str:
    """For people: at most three places."""
    said = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if said == "-0" else said


def _pairs(rows: Sequence[tuple[str, str]]) -> Rows:
    return Rows(headings=("WHAT", "VALUE"), rows=tuple(rows))
