"""The risk of the past, reckoned from the whole ledger of one cluster: seconds of work, so never on the event loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from exuvia.evaluate.risk.accumulate import accumulate
from exuvia.model.risks import HOUR, Band, RiskReport, Window
from exuvia.record import exposed, telling
from exuvia.record.places import Place
from exuvia.record.reading import reading

SKEW_DAYS = 30
HOUR_SECONDS = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which ledger, whose machines in it, and as of when (microseconds)."""

    place: Place
    cluster: str
    now: int


def exposure(asked: Asked) -> Mapping[Band, Fraction]:
    """Score-seconds by band since the first machine, as known now. Raises `errors.LedgerError`."""
    found = _report(asked, began=0).band_exposures
    return {band: hours * HOUR_SECONDS for band, hours in found.items()}


def skew(asked: Asked) -> Mapping[str, float]:
    """How far each naive model was off in the last 30 days, as a share of what was so; without those that have nothing
    to be a share of. Raises `errors.LedgerError`."""
    found = _report(asked, began=asked.now - SKEW_DAYS * 24 * HOUR).skew
    return {model: float(one.ratio) for model, one in found.items() if one.ratio is not None}


def _report(asked: Asked, *, began: int) -> RiskReport:
    with reading(asked.place) as connection:
        return accumulate(
            telling.pages(connection, asked.now, cluster=asked.cluster),
            tuple(exposed.scores_of_all(connection)),
            window=Window(began=began, ended=asked.now),
            as_of=asked.now,
        )
