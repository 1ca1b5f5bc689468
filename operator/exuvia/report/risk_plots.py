"""Plots as inline SVG: lines over time, and bars. No scripts, no assets; colours come from the page (`--c1`, ...)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape

WIDTH, HEIGHT = 920, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 12, 28
_START = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000
_STEPS = tuple(one * _SECOND for one in (1, 5, 15, 60, 300, 900, 3600, 10800, 21600, 43200, 86400, 604800, 2592000))


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A series: its name, the class that colours it, and its value between each two moments."""

    name: str
    style: str
    values: Sequence[float]


def marks(began: int, ended: int, most: int = 96) -> tuple[int, ...]:
    """Where to cut a window for a plot: at whole minutes, hours or days, into not many more than `most` parts."""
    length = ended - began
    step = next((one for one in _STEPS if length <= one * most), _STEPS[-1] * math.ceil(length / _STEPS[-1] / most))
    return tuple(range(began - began % step + step, ended, step))


def over_time(title: str, bounds: Sequence[int], series: Sequence[Line]) -> str:
    """Lines that stay level between two bounds, from 0 upwards."""
    top = _nice(max((value for one in series for value in one.values), default=0.0))
    if bounds[0] == bounds[-1]:
        return ""
    body = [*_levels(top), *_dates(bounds[0], bounds[-1])]
    body += [f'<path class="line {one.style}" d="{_path(bounds, one.values, top)}"/>' for one in series]
    return _svg(title, HEIGHT, body) + _legend(series)


def bars(title: str, values: Sequence[tuple[str, str, float, str]]) -> str:
    """Lying bars: each with its name, its class, its value, and the words behind it."""
    top = max((value for *_, value, _ in values), default=0.0) or 1.0
    room = WIDTH - 120 - 200
    body = []
    for place, (name, style, value, words) in enumerate(values):
        y, wide = place * 30 + 6, max(room * value / top, 0.0)
        body.append(f'<text class="name" x="112" y="{y + 15}" text-anchor="end">{escape(name)}</text>')
        body.append(f'<rect class="bar {style}" x="120" y="{y}" width="{wide:.2f}" height="20" rx="2"/>')
        body.append(f'<text class="value" x="{128 + wide:.2f}" y="{y + 15}">{escape(words)}</text>')
    return _svg(title, len(values) * 30 + 8, body)


def _svg(title: str, height: int, body: Iterable[str]) -> str:
    head = f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}"><title>{escape(title)}</title>'
    return head + "".join(body) + "</svg>"


def _legend(series: Iterable[Line]) -> str:
    keys = "".join(f'<span><i class="{one.style}"></i>{escape(one.name)}</span>' for one in series)
    return f'<p class="legend">{keys}</p>'


def _path(bounds: Sequence[int], values: Sequence[float], top: float) -> str:
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    points = []
    for value, began, ended in zip(values, bounds, bounds[1:], strict=False):
        y = TOP + high * (1 - value / top)
        points += [f"{LEFT + wide * _part(bounds, one):.2f} {y:.2f}" for one in (began, ended)]
    return "M" + "L".join(points)


def _part(bounds: Sequence[int], moment: int) -> float:
    return (moment - bounds[0]) / (bounds[-1] - bounds[0])


def _levels(top: float) -> Iterable[str]:
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = TOP + (HEIGHT - TOP - BOTTOM) * (1 - part)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.2f}" y2="{y:.2f}"/>'
        yield f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.2f}" text-anchor="end">{top * part:,.4g}</text>'


def _dates(began: int, ended: int) -> Iterable[str]:
    found = marks(began, ended, 7)
    form = "%Y-%m-%d" if not found or (found[-1] - found[0]) >= 2 * 86400 * _SECOND else "%m-%d %H:%M"
    for one in found:
        x = LEFT + (WIDTH - LEFT - RIGHT) * (one - began) / (ended - began)
        text = (_START + timedelta(microseconds=one)).strftime(form)
        yield f'<text class="tick" x="{x:.2f}" y="{HEIGHT - 8}" text-anchor="middle">{text}</text>'


def _nice(value: float) -> float:
    """The next 1, 2, 4, 5 or 8 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(one * power for one in (1, 2, 4, 5, 8, 10, 20) if one * power >= value)
