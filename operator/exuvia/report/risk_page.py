"""The risk report as one HTML file that needs nothing else: for a person who decides, on screen, in mail or printed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from exuvia.model.risks import HOUR, Band, Closing, Exposures, RiskReport, Stretch
from exuvia.report import risk
from exuvia.report.risk import Scope, hours, share, tiny, written
from exuvia.report.risk_plots import Line, bars, over_time
from exuvia.report.risk_style import STYLE


def page(report: RiskReport, scope: Scope | None = None) -> str:
    """The whole file. The same report makes the same bytes: there is no clock in it."""
    body = (
        _head(report, scope), _cards(report), _course(report), _models(report), _bands(report), _closings(report),
        _figures(report, scope), _reading(),
    )  # fmt: skip
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Risk as it really was</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(one for one in body if one)
        + "\n</body></html>\n"
    )


def _head(report: RiskReport, scope: Scope | None) -> str:
    window, exposures = report.window, report.exposures
    said = (
        f"Machines lived {hours(report.instance_hours)} hours in this time; in {hours(report.vulnerable_hours)} of"
        f" them ({share(report.vulnerable_fraction) or 'none'}) a vulnerability was present. By the best account the"
        f" exposure was {hours(exposures.now)} score-hours; {hours(exposures.then)} could be known at the time."
    )
    span = f"{written(window.began)} to {written(window.ended)}, as known on {written(report.as_of)}"
    return f'<h1>Risk as it really was</h1><p class="dim">{escape(span)}</p><p>{escape(said)}</p>'


def _cards(report: RiskReport) -> str:
    cards = (
        (hours(report.normalised_now) or "none", "mean score of a machine: the figure to compare over time"),
        (hours(report.exposures.now), "score-hours of exposure, best account (now)"),
        (hours(report.exposures.then), "score-hours that could be known then"),
        (hours(report.hindsight_gap), "hindsight gap, now - then: learnt too late"),
        (share(report.vulnerable_fraction) or "none", "of all machine hours with anything present"),
        (tiny(report.index), "exploitation index, for comparison only"),
    )
    inner = "".join(f'<div class="card"><b>{escape(a)}</b><span>{escape(b)}</span></div>' for a, b in cards)
    return f'<div class="cards">{inner}</div>'


def _course(report: RiskReport) -> str:
    if not report.course:
        return ""
    bounds = [one.window.began for one in report.course] + [report.window.ended]

    def line(name: str, style: str, of: str) -> Line:
        return Line(name=name, style=style, values=[_rate(one, of) for one in report.course])

    now = line("now: the best account", "now", "now")
    real = over_time("Exposure by hour, now and then", bounds, (now, line("then: known at the time", "then", "then")))
    naive = (line("rescore", "rescore", "rescore"), line("undead", "undead", "undead"))
    naive_plot = over_time(
        "Exposure by hour, naive models", bounds, (now, *naive, line("live-only", "liveonly", "live_only"))
    )
    return (
        "<h2>Exposure over time</h2><p class='dim'>Score-hours by hour: the scores of all that was present, added up."
        f" Where the lines part, something was learnt late.</p>{real}"
        "<h2>What a report with today's scores would draw</h2><p class='dim'>The same time, by the three ways that are"
        f" common and wrong.</p>{naive_plot}"
    )


def _rate(one: Stretch, of: str) -> float:
    value = getattr(one.exposures, of)
    return float(value * HOUR / (one.window.ended - one.window.began))


def _models(report: RiskReport) -> str:
    skew = report.skew
    rows = (
        ("now", "now", "now", ""),
        ("then", "then", "then", ""),
        ("rescore", "rescore", "rescore", share(skew["rescore"].ratio, signed=True)),
        ("undead", "undead", "undead", share(skew["undead"].ratio, signed=True)),
        ("live-only", "liveonly", "live_only", share(skew["liveOnly"].ratio, signed=True)),
    )
    values = [(name, style, *_total(report.exposures, of, off)) for name, style, of, off in rows]
    said = "".join(f"<li><b>{name}</b>: {escape(words)}</li>" for name, words in _said().items())
    return f"<h2>All of it, by each way to count</h2>{bars('Score-hours by model', values)}<ul>{said}</ul>"


def _total(exposures: Exposures, of: str, off: str) -> tuple[float, str]:
    value = getattr(exposures, of)
    return float(value), f"{hours(value)}{f' ({off})' if off else ''}"


def _said() -> dict[str, str]:
    return {
        "now": "the best account of what was so",
        "then": "what could be known at the time",
        **{"live-only" if name == "liveOnly" else name: words for name, words in risk.MODELS.items()},
    }


def _bands(report: RiskReport) -> str:
    values = [
        (one.value, one.value.lower(), float(report.band_hours[one]), f"{hours(report.band_hours[one])} h")
        for one in reversed(Band)
    ]
    note = f"{hours(report.unscored_hours)} hours had no known score and count as None."
    return f"<h2>Hours of presence by band</h2>{bars('Hours by band', values)}<p class='dim'>{escape(note)}</p>"


def _closings(report: RiskReport) -> str:
    values = [(one.value, "plain", float(report.closures[one]), f"{report.closures[one]}") for one in Closing]
    means = (
        ("until patched", report.mttr_patched_hours),
        ("all that was closed", report.mean_exposure_hours),
        ("with what is still open", report.restricted_mean_hours),
    )
    said = "; ".join(f"{name} {hours(value) or 'none'}" for name, value in means)
    note = f"Mean hours that a vulnerability stayed: {said}."
    return f"<h2>How vulnerabilities ended</h2>{bars('Closings by reason', values)}<p>{escape(note)}</p>"


def _figures(report: RiskReport, scope: Scope | None) -> str:
    return f"<h2>All figures</h2>{_table(tuple(risk.figures(report, scope)))}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    return "<table>" + "".join(f"<tr>{''.join(_cells(row))}</tr>" for row in rows) + "</table>"


def _cells(row: Sequence[str]) -> Iterable[str]:
    for place, cell in enumerate(row):
        yield f'<td class="n">{escape(cell or "-")}</td>' if place == 1 else f"<td>{escape(cell)}</td>"


def _reading() -> str:
    said = (
        "A score-hour is one hour of one vulnerability with score 1 on one machine. A machine that lived an hour counts"
        " an hour, and one that is gone counts until it went. Frozen machines count by the quarantine factor.",
        "The exploitation index is 1 - exp(-H), where H adds up the EPSS hazard over all hours of presence: 720"
        " machines of one hour weigh like one of 30 days. It is not the probability that a machine was exploited.",
        "The same report can be made again at any time: ask with the same window and the same moment of knowledge.",
    )
    return "<h2>How to read this</h2>" + "".join(f"<p>{escape(one)}</p>" for one in said)
