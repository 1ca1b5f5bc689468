"""The risk report as one HTML file that needs nothing else: for a person who decides, on screen, in mail or printed."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from exuvia.model.risks import HOUR, Band, Closing, Exposures, RiskReport, Stretch
from exuvia.report import risk
from exuvia.report.risk import Scope, hours, share, tiny, written
from exuvia.report.risk_plots import Line, bars, over_time
from exuvia.report.risk_style import STYLE


def page(report: RiskReport, scope: Scope | None = None, *, pruned: int | None = None) -> str:
    """The whole file. The same report makes the same bytes: there is no clock in it.

    `pruned`: as in `risk.document`.
    """
    body = (
        _head(report, scope), _missing(report, pruned), _cards(report), _course(report), _models(report),
        _bands(report), _closings(report),
        _figures(report, scope, pruned), _reading(),
    )  # fmt: skip
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(_title(report))}</title><style>{STYLE}</style></head>\n<body>\n<main>\n"
        + "\n".join(one for one in body if one)
        + "\n</main>\n</body></html>\n"
    )


def _title(report: RiskReport) -> str:
    return f"Risk as it really was, {written(report.window.began)} to {written(report.window.ended)}"


def _head(report: RiskReport, scope: Scope | None) -> str:
    window = report.window
    lines = (
        f"From <b>{written(window.began)}</b> to <b>{written(window.ended)}</b>",
        f"by what was recorded until <b>{written(report.as_of)}</b>",
        f"frozen machines count by <b>{hours(report.quarantine_factor)}</b>",
        *(() if scope is None else (f"machines of <b>{escape(str(scope))}</b>",)),
    )
    return f'<h1>Risk as it really was</h1><p class="dim">{"; ".join(lines)}.</p>{_said_first(report)}'


def _missing(report: RiskReport, pruned: int | None) -> str:
    if pruned is None or not risk.short(report, pruned):
        return ""
    return f"<p><b>Pruned before {written(pruned)}</b>: {escape(risk.MISSING)}.</p>"


def _said_first(report: RiskReport) -> str:
    """What a reader takes away who reads nothing else."""
    if not report.instance_hours:
        return "<p class='first'>No machine is known to have lived in this time.</p>"
    exposures, ratio = report.exposures, report.skew["rescore"].ratio
    off = "" if ratio is None else f" ({share(ratio, signed=True)})"
    said = (
        f"Machines lived {hours(report.instance_hours)} hours, {hours(report.vulnerable_hours)} of them"
        f" ({share(report.vulnerable_fraction)}) with a vulnerability. By the best account the exposure was"
        f" {hours(exposures.now)} score-hours; {hours(exposures.then)} could be known at the time. A report with the"
        f" latest scores would say {hours(exposures.rescore)}{off}."
    )
    return f"<p class='first'>{escape(said)}</p>"


def _cards(report: RiskReport) -> str:
    cards = (
        (hours(report.normalised_now) or "none", "score-hours an hour of a machine: the figure to compare over time"),
        (hours(report.exposures.now), "score-hours of exposure, by the best account (now)"),
        (hours(report.exposures.then), "score-hours that could be known at the time (then)"),
        (hours(report.hindsight_gap), "score-hours of hindsight gap, now - then: learnt too late"),
        (share(report.vulnerable_fraction) or "none", "of all machine hours with anything present"),
        (tiny(report.index), "exploitation index, from 0 to 1: for comparison only"),
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
    real = over_time("Exposure, now and then", _UNIT, bounds, (now, line("then: known at the time", "then", "then")))
    naive = (line("rescore", "rescore", "rescore"), line("undead", "undead", "undead"))
    naive_plot = over_time(
        "Exposure by naive models", _UNIT, bounds, (now, *naive, line("live-only", "liveonly", "live_only"))
    )
    return (
        "<h2>Exposure over time</h2><p class='dim'>In each hour: the scores of all that was present on all machines,"
        f" added up. Where the lines part, something was learnt late.</p>{real}"
        "<h2>What a report with today's scores would draw</h2><p class='dim'>The same time, by the three ways that are"
        f" common and wrong.</p>{naive_plot}"
    )


_UNIT = "score-hours per hour"


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
    drawn = bars("Score-hours by model", ("model", "score-hours"), values)
    return f"<h2>All of it, by each way to count</h2>{drawn}<ul>{said}</ul>"


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
        (one.value, one.value.lower(), float(report.band_hours[one]), hours(report.band_hours[one]))
        for one in reversed(Band)
    ]
    note = f"{hours(report.unscored_hours)} hours had no known score and count as None."
    drawn = bars("Hours of presence by the score that held", ("band", "hours"), values)
    return f"<h2>Hours of presence by band</h2>{drawn}<p class='dim'>{escape(note)}</p>"


def _closings(report: RiskReport) -> str:
    values = [(one.value, "plain", float(report.closures[one]), f"{report.closures[one]}") for one in Closing]
    means = (
        ("of what was patched", report.mttr_patched_hours),
        ("of all that ended", report.mean_exposure_hours),
        ("with what is still open taken into account", report.restricted_mean_hours),
    )
    said = "; ".join(f"{name}: {'none' if value is None else f'{hours(value)} hours'}" for name, value in means)
    note = f"How long a vulnerability stayed, on average: {said}."
    drawn = bars("What ended in this time, by reason", ("reason", "findings"), values)
    return f"<h2>How vulnerabilities ended</h2>{drawn}<p>{escape(note)}</p>"


def _figures(report: RiskReport, scope: Scope | None, pruned: int | None) -> str:
    return f"<h2>All figures</h2>{_table(tuple(risk.figures(report, scope, pruned=pruned)))}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{one}</th>' for one in ("figure", "value", "what it is"))
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value or "none")}</td><td>{escape(words)}</td></tr>'
        for name, value, words in rows
    )
    return f'<table class="figures"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _reading() -> str:
    said = (
        "A score-hour is one hour of one vulnerability with score 1 on one machine. A machine that lived an hour counts"
        " an hour, and one that is gone counts until it went. Frozen machines count by the quarantine factor.",
        "The exploitation index is 1 - exp(-H), where H adds up the EPSS hazard over all hours of presence: 720"
        " machines of one hour weigh like one of 30 days. It is not the probability that a machine was exploited.",
        "The same report can be made again at any time: ask with the same window and the same moment of knowledge.",
    )
    return "<h2>How to read this</h2>" + "".join(f"<p>{escape(one)}</p>" for one in said)
