"""The risk of one moment (`exuvia risk at`, the rule RiskScore): asked of the uncut intervals, by the account of K."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from functools import lru_cache

from exuvia.evaluate.risk import known, scores
from exuvia.evaluate.risk.intervals import Intervals
from exuvia.evaluate.risk.scores import History
from exuvia.evaluate.risk.summing import band
from exuvia.model.histories import Past, Score
from exuvia.model.learnt import RiskFigure
from exuvia.model.risks import Aggregation, Band


def risk(
    pasts: Iterable[Past],
    facts: Iterable[Score],
    *,
    time: int,
    as_of: int,
    aggregation: Aggregation = Aggregation.MAX,
    quarantine_factor: Fraction = Fraction(0),
) -> Fraction:
    """The risk at a moment over every machine and vulnerability. 0 where nothing is present, and after `as_of`."""
    if time > as_of:
        return Fraction(0)
    histories = scores.histories(facts, as_of)
    found = (
        one
        for past in pasts
        for one in of_machine(past, histories, time=time, as_of=as_of, quarantine_factor=quarantine_factor)
    )
    return max(found, default=Fraction(0)) if aggregation is Aggregation.MAX else sum(found, Fraction(0))


def of_machine(
    past: Past, histories: dict[str, History], *, time: int, as_of: int, quarantine_factor: Fraction
) -> Iterator[Fraction]:
    """The weighed score of each vulnerability that was on one machine then."""
    factor = _factor(past, time, as_of, quarantine_factor)
    for vulnerability in present(past, time=time, as_of=as_of):
        yield factor * scores.value(histories.get(vulnerability, History()).now.at(time))


def figure(
    past: Past, histories: Mapping[str, History], *, time: int, as_of: int, quarantine_factor: Fraction = Fraction(0)
) -> RiskFigure:
    """The risk of one machine at a moment as one figure, and what is not known of it."""
    there = present(past, time=time, as_of=as_of)
    factor = _factor(past, time, as_of, quarantine_factor)
    found = Counter(_written(histories.get(one), time) for one in there) if factor else Counter[str]()
    unscored = found.pop("", 0)
    worst, bands = Fraction(0), dict[Band, Fraction]()
    for text, count in found.items():
        value, name = _rated(text)
        worst = max(worst, value)
        if name is not Band.NONE:
            bands[name] = bands.get(name, Fraction(0)) + factor * value * count
    return RiskFigure(
        worst=factor * worst,
        total=sum(bands.values(), Fraction(0)),
        present=len(there),
        unscored=unscored,
        scanned=bool(past.presences),
        bands=bands,
    )


@lru_cache(maxsize=4096)
def _rated(text: str) -> tuple[Fraction, Band]:
    score = scores.number(text)
    return score, band(score)


def _written(history: History | None, time: int) -> str:
    """The score that holds then, as its source wrote it; "" where none is known."""
    row = history.now.at(time) if history is not None else None
    return "" if row is None else row.value


def present(past: Past, *, time: int, as_of: int) -> set[str]:
    """The vulnerabilities that were on one machine then; none outside of its life."""
    if not _holds(known.now(past.lives, as_of), time):
        return set()
    return {one.vulnerability for one in known.current(past.presences, as_of) if _holds((known.span(one),), time)}


def _factor(past: Past, time: int, as_of: int, quarantine_factor: Fraction) -> Fraction:
    return quarantine_factor if _holds(known.now(past.freezes, as_of), time) else Fraction(1)


def _holds(some: Intervals, time: int) -> bool:
    return any(began <= time < ended for began, ended in some)
