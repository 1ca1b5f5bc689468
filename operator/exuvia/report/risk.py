"""Answers about risk over time for programs (the keys of history.md, unrounded) and for people (tables, rounded)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from exuvia.model.risks import Aggregation, Band, Closing, Explanation, Piece, RiskReport, Window
from exuvia.report.text import Rows

UNKNOWN_BASIS = "threat"
"""A basis that nobody named counts as threat, and is flagged."""

_BASES = ("intrinsic", "threat")
_START = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE = {"rescore": "rescore", "undead": "undead", "liveOnly": "live-only"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose machines are counted, said where one was asked for or the ledger knows several. None: all together."""

    cluster: str | None

    def __str__(self) -> str:
        if self.cluster is None:
            return "all clusters"
        return f"cluster {self.cluster}" if self.cluster else "the cluster without a name"


def document(report: RiskReport, scope: Scope | None = None, *, pruned: int | None = None) -> dict[str, Any]:
    """`exuvia risk report -o json`. Floats are made here, and only here. `pruned`: the moment (microseconds) before
    which machines were taken out of the ledger, said where the window begins before it."""
    exposures = report.exposures
    return {
        **_scoped(scope),
        "window": _window(report.window),
        **({"prunedBefore": written(pruned)} if pruned is not None and short(report, pruned) else {}),
        "asOf": written(report.as_of),
        "quarantineFactor": float(report.quarantine_factor),
        "instanceHours": float(report.instance_hours),
        "vulnerableHours": float(report.vulnerable_hours),
        "vulnerableFraction": _number(report.vulnerable_fraction),
        "exposure": {"now": float(exposures.now), "then": float(exposures.then)},
        "normalised": {"now": _number(report.normalised_now), "then": _number(report.normalised_then)},
        "naive": {
            "rescore": float(exposures.rescore),
            "undead": float(exposures.undead),
            "liveOnly": float(exposures.live_only),
        },
        "skew": {
            name: {"absolute": float(one.absolute), "ratio": _number(one.ratio)} for name, one in report.skew.items()
        },
        "hindsightGap": float(report.hindsight_gap),
        "bandHours": {"now": {one.value: float(report.band_hours[one]) for one in Band}},
        "exploitation": {"hazard": float(report.hazard), "index": report.index},
        "closures": {one.value: report.closures[one] for one in Closing},
        "mttrPatchedHours": _number(report.mttr_patched_hours),
        "meanExposureHours": _number(report.mean_exposure_hours),
        "restrictedMeanHours": _number(report.restricted_mean_hours),
        "unscoredHours": float(report.unscored_hours),
    }


def moment_document(
    *, time: int, as_of: int, aggregation: Aggregation, risk: Fraction, scope: Scope | None = None
) -> dict[str, Any]:
    """`exuvia risk at -o json`."""
    return {
        **_scoped(scope),
        "time": written(time),
        "asOf": written(as_of),
        "agg": aggregation.value,
        "risk": float(risk),
    }


def explanation_document(found: Explanation, scope: Scope | None = None) -> dict[str, Any]:
    """`exuvia risk explain -o json`."""
    return {
        **_scoped(scope),
        "instance": found.uid,
        "window": _window(found.window),
        "asOf": written(found.as_of),
        "exposure": {"now": float(score_hours(found.now)), "then": float(score_hours(found.then))},
        "pieces": {"now": [_piece(one) for one in found.now], "then": [_piece(one) for one in found.then]},
    }


def short(report: RiskReport, pruned: int | None) -> bool:
    """Whether a report is short of machines that were pruned: its window begins before the cut."""
    return pruned is not None and report.window.began < pruned


def sections(report: RiskReport, scope: Scope | None = None, *, pruned: int | None = None) -> list[tuple[str, Rows]]:
    """`exuvia risk report -o table`."""
    return [
        ("", Rows(headings=("FIGURE", "VALUE", "WHAT IT IS"), rows=tuple(figures(report, scope, pruned=pruned)))),
        ("", Rows(headings=("NAIVE MODEL", "SCORE-HOURS", "OFF BY", "RATIO", "WHAT IT DOES"), rows=_models(report))),
        ("", Rows(headings=("BAND", "HOURS"), rows=tuple((one.value, hours(report.band_hours[one])) for one in Band))),
        (
            "",
            Rows(
                headings=("CLOSED BY", "NUMBER"), rows=tuple((one.value, f"{n}") for one, n in report.closures.items())
            ),
        ),
    ]


def figures(
    report: RiskReport, scope: Scope | None = None, *, pruned: int | None = None
) -> Iterable[tuple[str, str, str]]:
    """Every single figure: its name, its value rounded, what it is."""
    exposures = report.exposures
    if scope is not None:
        yield "machines of", str(scope), "no others are counted" if scope.cluster is not None else "counted together"
    yield (
        "window",
        f"{written(report.window.began)} to {written(report.window.ended)}",
        "cut at the moment of knowledge",
    )
    if pruned is not None and short(report, pruned):
        yield "pruned before", written(pruned), MISSING
    yield "as of", written(report.as_of), "nothing that was recorded later is used"
    yield "quarantine factor", hours(report.quarantine_factor), "how much a frozen machine counts"
    yield "instance-hours", hours(report.instance_hours), "hours that machines lived"
    yield "vulnerable hours", hours(report.vulnerable_hours), "hours of machines with anything present"
    yield "vulnerable share", share(report.vulnerable_fraction), "of the instance-hours"
    yield "exposure now", hours(exposures.now), "score-hours, by the best account"
    yield "exposure then", hours(exposures.then), "score-hours that could be known at the time"
    yield "hindsight gap", hours(report.hindsight_gap), "now - then"
    yield "normalised now", hours(report.normalised_now), "score-hours of now for each instance-hour: compare this"
    yield "normalised then", hours(report.normalised_then), "score-hours of then for each instance-hour"
    yield "exploitation index", tiny(report.index), f"for comparison only; hazard {tiny(float(report.hazard))}"
    yield "mean until patched", hours(report.mttr_patched_hours), "hours, of what was patched in the window"
    yield "mean exposure", hours(report.mean_exposure_hours), "hours, of all that was closed in the window"
    yield "restricted mean", hours(report.restricted_mean_hours), "hours, with what is still open taken into account"
    yield "unscored hours", hours(report.unscored_hours), "hours of presence without a known score; they count 0"


MISSING = "who died before was taken out of the ledger, and is counted by undead alone: all else falls short of them"

MODELS = {
    "rescore": "the latest score for all of the past",
    "undead": "rescore, and machines that are gone count on as if they lived",
    "liveOnly": "rescore, and what is gone is forgotten",
}
"""What each naive model does."""


def _models(report: RiskReport) -> tuple[tuple[str, ...], ...]:
    exposures = report.exposures
    values = {"rescore": exposures.rescore, "undead": exposures.undead, "liveOnly": exposures.live_only}
    return tuple(
        (_NAIVE[name], hours(values[name]), hours(one.absolute), share(one.ratio, signed=True), MODELS[name])
        for name, one in report.skew.items()
    )


def explanation_heading(found: Explanation, name: str, scope: Scope | None = None) -> str:
    """Of which machine an explanation is, of when, and as known when."""
    of = found.uid if name in ("", found.uid) else f"{name} ({found.uid})"
    span = f"{written(found.window.began)} to {written(found.window.ended)}"
    return f"{of}, {span}, as known on {written(found.as_of)}{'' if scope is None else f', {scope}'}"


def explanation_sections(found: Explanation) -> list[tuple[str, Rows]]:
    """`exuvia risk explain -o table`: first what adds most. What could be known is shown where it differs."""
    headings = ("VULNERABILITY", "FROM", "TO", "HOURS", "FACTOR", "SCORE", "SOURCE", "BASIS", "SCORE-HOURS")
    now = (_total("NOW", "by the best account", found.now), Rows(headings=headings, rows=_rows(_greatest(found.now))))
    if found.then == found.now:
        return [now]
    title = _total("THEN", "as could be known at the time", found.then)
    return [now, (title, Rows(headings=headings, rows=_rows(_greatest(found.then))))]


def _total(title: str, words: str, pieces: Sequence[Piece]) -> str:
    return f"{title}: {hours(score_hours(pieces))} score-hours, {words}"


def _greatest(pieces: Sequence[Piece]) -> list[Piece]:
    """The vulnerability that adds most first, each in order of time."""
    totals: dict[str, Fraction] = {}
    for one in pieces:
        totals[one.vulnerability] = totals.get(one.vulnerability, Fraction(0)) + one.score_hours
    return sorted(pieces, key=lambda one: (-totals[one.vulnerability], one.vulnerability, one.window.began))


def score_hours(pieces: Sequence[Piece]) -> Fraction:
    """What pieces add up to."""
    return sum((one.score_hours for one in pieces), Fraction(0))


def written(moment: int) -> str:
    """RFC 3339 in UTC; fractions of a second only where there are any."""
    return (_START + timedelta(microseconds=moment)).isoformat().replace("+00:00", "Z")


def hours(value: Fraction | float | None) -> str:
    """For people: up to three digits behind the point; "" where there is no value."""
    if value is None:
        return ""
    text = f"{float(value):,.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def share(value: Fraction | None, *, signed: bool = False) -> str:
    """As percent; "" where there is no value."""
    return "" if value is None else f"{float(value) * 100:{'+' if signed else ''},.1f}%"


def tiny(value: float) -> str:
    """A figure that may be far below 1."""
    return f"{value:.4g}"


def _rows(pieces: Iterable[Piece]) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (
            one.vulnerability,
            written(one.window.began),
            written(one.window.ended),
            hours(one.hours),
            hours(one.factor),
            hours(one.score) if one.source else "unknown",
            one.source,
            f"{_basis(one)} (not named)" if _flagged(one) else _basis(one),
            hours(one.score_hours),
        )
        for one in pieces
    )


def _piece(one: Piece) -> dict[str, Any]:
    return {
        "vulnerability": one.vulnerability,
        **_window(one.window),
        "hours": float(one.hours),
        "factor": float(one.factor),
        "score": float(one.score) if one.source else None,
        "source": one.source or None,
        "basis": _basis(one) or None,
        "basisUnknown": _flagged(one),
        "scoreHours": float(one.score_hours),
    }


def _basis(one: Piece) -> str:
    return "" if not one.source else one.basis if one.basis in _BASES else UNKNOWN_BASIS


def _flagged(one: Piece) -> bool:
    return bool(one.source) and one.basis not in _BASES


def _window(window: Window) -> dict[str, str]:
    return {"from": written(window.began), "to": written(window.ended)}


def _scoped(scope: Scope | None) -> dict[str, Any]:
    return {} if scope is None else {"cluster": scope.cluster}


def _number(value: Fraction | None) -> float | None:
    return None if value is None else float(value)
