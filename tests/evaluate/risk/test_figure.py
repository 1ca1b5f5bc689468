"""The figure of one machine, for histories by chance: what `risk at` says of it alone; and score-hours by band."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings

from exuvia.evaluate.risk import moment, scores
from exuvia.model.histories import Past
from exuvia.model.learnt import RiskFigure
from exuvia.model.risks import Aggregation, Band
from tests.evaluate.risk import strategies
from tests.evaluate.risk.telling import Line, at, frozen, instance, presence, report, score, settled

MANY = settings(max_examples=250, deadline=None)
LATE = 20


def figure(told: list[Line], uid: str, hour: int) -> RiskFigure:
    pasts, facts = settled(told)
    past = next((one for one in pasts if one.uid == uid), Past(uid=uid))
    return moment.figure(past, scores.histories(facts, at(LATE)), time=at(hour), as_of=at(LATE))


@MANY
@given(strategies.histories(), strategies.hours)
def test_it_is_the_risk_of_that_moment_and_machine(told: list[Line], hour: int) -> None:
    pasts, facts = settled(told)
    for past in pasts:
        found = figure(told, past.uid, hour)
        for aggregation, value in ((Aggregation.MAX, found.worst), (Aggregation.SUM, found.total)):
            said = moment.risk([past], facts, time=at(hour), as_of=at(LATE), aggregation=aggregation)
            assert said == value
        assert sum(found.bands.values(), Fraction(0)) == found.total
        assert found.unscored <= found.present and Band.NONE not in found.bands


@MANY
@given(strategies.histories(), strategies.spans(), strategies.hours, strategies.factors)
def test_score_hours_by_band_add_up_to_the_exposure(
    told: list[Line], span: tuple[int, int], as_of: int, factor: Fraction
) -> None:
    found = report(told, *span, as_of, factor=factor)
    assert sum(found.band_exposures.values(), Fraction(0)) == found.exposures.now
    for band, least, most in ((Band.LOW, 0, 4), (Band.MEDIUM, 4, 7), (Band.HIGH, 7, 9), (Band.CRITICAL, 9, 10)):
        assert least * found.band_hours[band] <= found.band_exposures[band] <= most * found.band_hours[band]


def test_what_is_frozen_counts_nothing_and_nothing_of_it_is_unknown() -> None:
    told = [instance("A", 0), presence("A", 0), presence("A", 0, of="CVE-2"), score(9.8, 0)]
    assert (figure(told, "A", 1).worst, figure(told, "A", 1).unscored) == (Fraction("9.8"), 1)
    cold = figure([*told, frozen("A", 0)], "A", 1)
    assert (cold.worst, cold.total, cold.unscored, cold.present, cold.scanned) == (0, 0, 0, 2, True)


def test_outside_of_the_life_nothing_is_present() -> None:
    told = [instance("A", 0, 2), presence("A", 0), score(9.8, 0)]
    assert figure(told, "A", 1).present == 1
    assert figure(told, "A", 2) == RiskFigure(scanned=True)
