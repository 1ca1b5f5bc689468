"""The laws of history.md, for histories by chance, against a slow reference that goes from moment to moment."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.evaluate.risk import moment
from exuvia.evaluate.risk.accumulate import accumulate
from exuvia.evaluate.risk.explain import explain
from exuvia.model.risks import Aggregation, Band, RiskReport
from exuvia.model.told import Numbers, Page, page
from tests.evaluate.risk import reference, strategies
from tests.evaluate.risk.telling import Line, at, frozen, instance, presence, report, score, settled, window

MANY = settings(max_examples=250, deadline=None)
FEW = settings(max_examples=100, deadline=None)


def seconds(hours: float | Fraction) -> Fraction:
    return Fraction(at(hours), 1_000_000)


def figures(found: RiskReport) -> dict[str, Any]:
    """By the names that the reference uses."""
    exposures = found.exposures
    return {
        "instanceHours": found.instance_hours,
        "vulnerableHours": found.vulnerable_hours,
        "unscoredHours": found.unscored_hours,
        "now": exposures.now,
        "then": exposures.then,
        "rescore": exposures.rescore,
        "undead": exposures.undead,
        "liveOnly": exposures.live_only,
        **{str(band): found.band_hours[band] for band in Band},
        "closures": {str(reason): number for reason, number in found.closures.items()},
        "mttrPatchedHours": found.mttr_patched_hours,
        "meanExposureHours": found.mean_exposure_hours,
        "restrictedMeanHours": found.restricted_mean_hours,
    }


@MANY
@given(strategies.histories(), strategies.spans(), strategies.hours, strategies.factors)
def test_every_figure_is_that_of_the_reference(
    told: list[Line], span: tuple[int, int], as_of: int, factor: Fraction
) -> None:
    found = report(told, *span, as_of, factor=factor)
    expected = reference.report(told, seconds(span[0]), seconds(span[1]), seconds(as_of), factor)

    assert figures(found) == {name: expected[name] for name in figures(found)}
    assert math.isclose(found.hazard, expected["hazard"], rel_tol=1e-12, abs_tol=1e-15)


@MANY
@given(strategies.told_twice(), st.sampled_from(((-2, 18), (1, 7), (4, 5))), st.sampled_from((18, 9, 5)))
def test_what_is_told_twice_is_that_of_the_reference(told: list[Line], span: tuple[int, int], as_of: int) -> None:
    found = figures(report(told, *span, as_of))
    expected = reference.report(told, seconds(span[0]), seconds(span[1]), seconds(as_of), Fraction(0))
    assert found == {name: expected[name] for name in found}


@MANY
@given(strategies.histories(), strategies.spans(), strategies.hours, strategies.factors)
def test_pages_say_what_all_machines_say_together(
    told: list[Line], span: tuple[int, int], as_of: int, factor: Fraction
) -> None:
    pasts, scores = settled(told)
    numbers = Numbers()
    apart = [_renumbered(page([past]), numbers) for past in reversed(pasts)]
    asked = {"window": window(*span), "as_of": at(as_of), "quarantine_factor": factor, "marks": (at(3), at(6))}
    assert accumulate(apart, scores, **asked) == accumulate([page(pasts)], scores, **asked)


def _renumbered(alone: Page, numbers: Numbers) -> Page:
    """Its vulnerabilities by the numbers that all pages share."""
    names = list(alone.vulnerabilities)
    what = np.array([numbers[names[one]] for one in alone.presences.what], dtype=np.int64)
    return alone._replace(presences=alone.presences._replace(what=what), vulnerabilities=tuple(numbers))


@MANY
@given(
    strategies.histories(), strategies.hours, strategies.hours, strategies.factors, st.sampled_from(list(Aggregation))
)
def test_the_risk_of_a_moment_is_that_of_the_reference(
    told: list[Line], time: int, as_of: int, factor: Fraction, aggregation: Aggregation
) -> None:
    pasts, scores = settled(told)
    expected = reference.point(told, seconds(time), seconds(as_of), factor, aggregation.value)
    found = moment.risk(
        pasts, scores, time=at(time), as_of=at(as_of), aggregation=aggregation, quarantine_factor=factor
    )
    assert found == expected


def additive(found: RiskReport) -> tuple[Any, ...]:
    return (
        found.instance_hours, found.vulnerable_hours, found.unscored_hours, *found.band_hours.values(),
        *(getattr(found.exposures, name) for name in ("now", "then", "rescore", "undead", "live_only")),
        *found.closures.values(),
    )  # fmt: skip


@FEW
@given(strategies.histories(), strategies.spans(), strategies.spans(), strategies.hours, strategies.factors)
def test_windows_add_up(
    told: list[Line], one: tuple[int, int], other: tuple[int, int], as_of: int, factor: Fraction
) -> None:
    first, middle, last = sorted((one[0], one[1], other[0]))
    parts = [report(told, *span, as_of, factor=factor) for span in ((first, middle), (middle, last))]
    whole = report(told, first, last, as_of, factor=factor)

    assert additive(whole) == tuple(a + b for a, b in zip(*map(additive, parts), strict=True))
    assert whole.hazard == parts[0].hazard + parts[1].hazard


@FEW
@given(strategies.histories(), strategies.spans(), st.lists(strategies.hours, max_size=4), strategies.factors)
def test_the_course_is_the_report_of_every_part(
    told: list[Line], span: tuple[int, int], marks: list[int], factor: Fraction
) -> None:
    whole = report(told, *span, 10, factor=factor, marks=tuple(map(at, marks)))
    for part in whole.course:
        alone = report(told, hours(part.window.began), hours(part.window.ended), 10, factor=factor)
        assert (part.exposures, part.instance_hours) == (alone.exposures, alone.instance_hours)
    assert report(told, *span, 10, factor=factor) == without_course(whole)


def hours(moment: int) -> Fraction:
    return Fraction(moment - at(0), 3_600_000_000)


def without_course(found: RiskReport) -> RiskReport:
    return replace(found, course=())


@FEW
@given(strategies.histories(), strategies.spans(), strategies.hours, st.randoms())
def test_the_order_of_ingest_says_nothing(
    told: list[Line], span: tuple[int, int], as_of: int, chance: random.Random
) -> None:
    shuffled = list(told)
    chance.shuffle(shuffled)
    assert report(shuffled, *span, as_of) == report(told, *span, as_of)


@FEW
@given(strategies.histories(), strategies.spans(), strategies.hours)
def test_a_report_as_of_k_is_the_same_whenever_it_is_made(told: list[Line], span: tuple[int, int], as_of: int) -> None:
    """What is recorded after K might as well not be there."""
    early = [one for one in told if one["recordedAt"] <= (instance("A", as_of)["recordedAt"])]
    assert report(told, *span, as_of) == report(early, *span, as_of)


@FEW
@given(strategies.histories(), strategies.spans(), strategies.hours, strategies.factors)
def test_now_is_then_if_nothing_is_learnt_late(
    told: list[Line], span: tuple[int, int], as_of: int, factor: Fraction
) -> None:
    """Every thing is told once and before it begins; an end may be told when it comes."""
    once = list({reference_key(one): one for one in told}.values())
    prompt = [
        version
        for one in once
        if not one.get("withdrawn") and one.get("closed") != "retracted"
        for version in told_in_time(one)
    ]
    found = report(prompt, *span, as_of, factor=factor)
    assert found.exposures.now == found.exposures.then


def reference_key(line: Line) -> tuple[str, ...]:
    return (line["type"], *(str(line[key]) for key in reference.THING[line["type"]]))


def told_in_time(line: Line) -> list[Line]:
    began, ended = {"instance": ("born", "died"), "score": ("validFrom", "")}.get(line["type"], ("from", "to"))
    first = {**line, "recordedAt": line[began]}
    if line.get(ended) is None:
        return [first]
    return [{**first, ended: None}, {**line, "recordedAt": line[ended]}]


@FEW
@given(strategies.histories(), strategies.spans(), strategies.factors, st.integers(-1, 11))
def test_splitting_a_machine_changes_no_hours_and_no_hazard(
    told: list[Line], span: tuple[int, int], factor: Fraction, cut: int
) -> None:
    untied = list({(reference_key(one), one["recordedAt"]): one for one in told}.values())
    split = [part for one in untied for part in _split(one, cut)]
    whole, parts = (report(one, *span, 12, factor=factor) for one in (untied, split))

    def kept(found: RiskReport) -> tuple[Any, ...]:
        exposures = found.exposures
        return (
            found.instance_hours, found.vulnerable_hours, found.unscored_hours, found.band_hours,
            exposures.now, exposures.then, exposures.rescore, found.hazard,
        )  # fmt: skip

    assert kept(parts) == kept(whole)


def _split(line: Line, cut: int) -> list[Line]:
    """A machine until the cut, and another with the same that is born then."""
    if line["type"] == "score":
        return [line]
    if line["type"] != "instance":
        return [line, {**line, "uid": line["uid"] + "'"}]
    moment = instance("A", cut)["born"]
    if moment <= line["born"]:
        return [{**line, "died": line["born"]}, {**line, "uid": line["uid"] + "'"}]
    if line["died"] is not None and line["died"] <= moment:
        return [line, {**line, "uid": line["uid"] + "'", "born": line["died"]}]
    return [{**line, "died": moment}, {**line, "uid": line["uid"] + "'", "born": moment}]


@FEW
@given(strategies.histories(), strategies.hours, strategies.hours)
def test_an_empty_window_holds_nothing(told: list[Line], began: int, as_of: int) -> None:
    found = report(told, began, began, as_of)
    assert set(additive(found)) == {0}
    assert (found.normalised_now, found.vulnerable_fraction, found.mttr_patched_hours) == (None, None, None)
    assert began <= as_of or found.restricted_mean_hours is None
    assert {one.ratio for one in found.skew.values()} == {None}


@FEW
@given(st.integers(0, 400 * 24 * 3600), st.integers(0, 10**9), st.integers(1, 10))
def test_leap_days_and_microseconds_are_time_like_any_other(start: int, length: int, value: int) -> None:
    """2028 has a 29th of February; nothing is rounded to seconds or days."""
    leap = Fraction(24 * (365 + 365))
    began = leap + Fraction(start, 3600)
    ended = began + Fraction(length, 3_600_000_000)
    told = [instance("A", began, ended), presence("A", began, ended), score(value, 0)]
    found = report(told, 0, leap * 2, leap * 2)
    assert found.exposures.now == Fraction(length, 3_600_000_000) * value
    assert found.instance_hours == Fraction(length, 3_600_000_000)


@FEW
@given(strategies.histories(), strategies.spans(), strategies.hours, strategies.factors)
def test_what_is_explained_adds_up_to_the_report(
    told: list[Line], span: tuple[int, int], as_of: int, factor: Fraction
) -> None:
    pasts, scores = settled(told)
    for past in pasts:
        alone = accumulate([page([past])], scores, window=window(*span), as_of=at(as_of), quarantine_factor=factor)
        found = explain(past, scores, window=window(*span), as_of=at(as_of), quarantine_factor=factor)
        assert sum(one.score_hours for one in found.now) == alone.exposures.now
        assert sum(one.score_hours for one in found.then) == alone.exposures.then
        assert sum(one.hours * one.factor for one in found.now if not one.source) == alone.unscored_hours
        assert all(one.window.began < one.window.ended for one in (*found.now, *found.then))


def test_frozen_machines_count_by_the_factor() -> None:
    told = [instance("A", 0, 10), presence("A", 0, 10), score(5, 0), frozen("A", 2, 6)]
    assert report(told, 0, 10, 10).exposures.now == 30
    assert report(told, 0, 10, 10, factor=Fraction(1, 10)).exposures.now == 32
    assert report(told, 0, 10, 10).vulnerable_hours == 10
