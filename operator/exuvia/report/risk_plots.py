"""Plots: lines over time as inline SVG with their numbers in a table below, and bars as a table that is drawn.

No scripts, no assets; colours come from the page (`--c1`, ...). What is drawn can be read without seeing it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape

WIDTH, HEIGHT = 920, 260
LEFT, RIGHT, TOP, BOTTOM = 84, 12, 30, 28
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


def over_time(title: str, unit: str, bounds: Sequence[int], series: Sequence[Line]) -> str:
    """Lines that stay level between two bounds, from 0 upwards. On a narrow screen the plot is scrolled."""
    if bounds[0] == bounds[-1]:
        return ""
    top = _nice(max((value for one in series for value in one.values), default=0.0))
    body = [*_levels(top), *_dates(bounds[0], bounds[-1]), *_axes(unit)]
    body += [f'<path class="line {one.style}" d="{_path(bounds, one.values, top)}"/>' for one in series]
    return (
        f'<figure><div class="plot" tabindex="0" role="group" aria-label="{escape(title)}">{_svg(title, unit, body)}'
        f"</div><figcaption>{_legend(series)}</figcaption></figure>{_numbers(title, unit, bounds, series)}"
    )


def bars(title: str, headings: tuple[str, str], values: Sequence[tuple[str, str, float, str]]) -> str:
    """Lying bars: each with its name, its class, its value, and the words for it. A table, so that all can read it."""
    top = max((value for *_, value, _ in values), default=0.0) or 1.0
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="n">{escape(words)}</td>'
        f'<td class="room"><i class="bar {style}" style="width:{max(100 * value / top, 0.0):.2f}%"></i></td></tr>'
        for name, style, value, words in values
    )
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in headings)
    return (
        f'<table class="bars"><caption>{escape(title)}</caption><thead><tr>{head}<td></td></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _numbers(title: str, unit: str, bounds: Sequence[int], series: Sequence[Line]) -> str:
    """What the lines show, in a table that is folded away."""
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in ("from (UTC)", *(one.name for one in series)))
    rows = "".join(
        f'<tr><th scope="row">{_date(began, "%Y-%m-%d %H:%M")}</th>'
        + "".join(f'<td class="n">{_tick(value)}</td>' for value in values)
        + "</tr>"
        for began, *values in zip(bounds, *(one.values for one in series), strict=False)
    )
    return (
        f'<details><summary>{escape(title)}, as numbers</summary><div class="plot" tabindex="0" role="group"'
        f' aria-label="{escape(title)}, as numbers"><table><caption>{escape(unit)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def _svg(title: str, unit: str, body: Iterable[str]) -> str:
    said = escape(f"{title}: {unit}, in UTC. The numbers are in the table below.")
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{said}"><title>{said}</title>'
        + "".join(body)
        + "</svg>"
    )


def _legend(series: Iterable[Line]) -> str:
    keys = "".join(f'<span><i class="{one.style}"></i>{escape(one.name)}</span>' for one in series)
    return f'<span class="legend">{keys}</span>'


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
        yield f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.2f}" text-anchor="end">{_tick(top * part)}</text>'


def _dates(began: int, ended: int) -> Iterable[str]:
    found = marks(began, ended, 7)
    form = "%Y-%m-%d" if not found or (found[-1] - found[0]) >= 2 * 86400 * _SECOND else "%m-%d %H:%M"
    for one in found:
        x = LEFT + (WIDTH - LEFT - RIGHT) * (one - began) / (ended - began)
        yield f'<text class="tick" x="{x:.2f}" y="{HEIGHT - 8}" text-anchor="middle">{_date(one, form)}</text>'


def _axes(unit: str) -> Iterable[str]:
    """What the axes say, beside them."""
    yield f'<text class="axis" x="0" y="14">{escape(unit)}</text>'
    yield f'<text class="axis" x="{WIDTH - RIGHT}" y="{TOP - 16}" text-anchor="end">time in UTC</text>'


def _date(moment: int, form: str) -> str:
    return (_START + timedelta(microseconds=moment)).strftime(form)


def _tick(value: float) -> str:
    """In full, without a power of ten."""
    text = f"{value:,.3f}" if value == 0 or value >= 0.01 else f"{value:.3g}"
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def _nice(value: float) -> float:
    """The next 1, 2, 4, 5 or 8 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(one * power for one in (1, 2, 4, 5, 8, 10, 20) if one * power >= value)
