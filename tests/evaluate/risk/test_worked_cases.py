"""The worked cases of history.md, to the last digit, and the sentences of its contract one by one."""

from __future__ import annotations

from fractions import Fraction

import pytest

from exuvia.evaluate.risk import moment
from exuvia.model.risks import Aggregation, Band, Closing, Exposures
from tests.evaluate.risk.telling import Line, at, frozen, instance, presence, report, score, settled

ONE = [
    instance("A", 0, 1),
    presence("A", 0, 1, closed="rotated"),
    score(5.0, -1, basis="intrinsic"),
]
FLEET = [
    instance("A", 0, 24), presence("A", 0, 10, closed="patched"),
    instance("B", 2, 3), presence("B", 2, 3),
    instance("C", 8, 24),
    score(4.0, -1), score(9.0, 6, learnt=6.5, basis="threat"),
]  # fmt: skip


def exposures(now: str, then: str, rescore: str, undead: str, live_only: str) -> Exposures:
    return Exposures(
        now=Fraction(now), then=Fraction(then), rescore=Fraction(rescore), undead=Fraction(undead),
        live_only=Fraction(live_only),
    )  # fmt: skip


def test_a_threat_that_grew_after_the_machine_died() -> None:
    found = report([*ONE, score(9.8, 3, basis="threat")], 0, 6, 6)
    assert found.exposures == exposures(now="5", then="5", rescore="9.8", undead="58.8", live_only="0")


def test_a_score_that_always_was_higher_than_it_was_known_to_be() -> None:
    found = report([*ONE, score(9.8, -1, learnt=3, basis="intrinsic")], 0, 6, 6)
    assert found.exposures == exposures(now="9.8", then="5", rescore="9.8", undead="58.8", live_only="0")
    assert found.hindsight_gap == Fraction("4.8")


def test_the_fleet() -> None:
    found = report(FLEET, 0, 24, 24)
    assert (found.instance_hours, found.vulnerable_hours) == (41, 11)
    assert found.exposures == exposures(now="64", then="61.5", rescore="99", undead=str(24 * 9 + 22 * 9), live_only="0")
    assert found.normalised_now == Fraction(64, 41)
    assert round(float(found.normalised_now or 0), 6) == 1.560976
    assert found.skew["rescore"].absolute == 35
    assert found.skew["rescore"].ratio == Fraction(35, 64)
    assert found.band_hours[Band.MEDIUM] == 7 and found.band_hours[Band.CRITICAL] == 4
    assert found.closures == {Closing.PATCHED: 1, Closing.ROTATED: 0, Closing.DIED: 0, Closing.UNKNOWN: 1}
    assert (found.mttr_patched_hours, found.mean_exposure_hours, found.restricted_mean_hours) == (10, 5.5, 5.5)


def test_the_fleet_as_it_was_known_before_the_score_was_raised() -> None:
    found = report(FLEET, 0, 24, 6.25)
    assert (found.window.began, found.window.ended) == (at(0), at(6.25))
    assert found.exposures.now == 29
    assert found.exposures == report(FLEET, 0, 6.25, 6.25).exposures


def test_a_finding_recorded_two_hours_late_adds_nothing_to_then() -> None:
    told = [instance("A", 0, 10), presence("A", 0, 10, learnt=2), score(5, 0)]
    assert report(told, 0, 10, 10).exposures.now == 50
    assert report(told, 0, 10, 10).exposures.then == 40
    assert report(told, 0, 1, 10).exposures.then == 0


def test_what_nobody_closed_ends_at_k() -> None:
    told = [instance("A", 0), presence("A", 0), score(5, 0)]
    found = report(told, 0, 100, 10)
    assert found.exposures == exposures(now="50", then="50", rescore="50", undead="50", live_only="50")
    assert found.instance_hours == 10


def test_a_presence_without_a_life_counts_nothing_and_is_cut_to_one() -> None:
    told = [presence("A", 0, 10), score(5, 0)]
    assert report(told, 0, 10, 10).exposures == Exposures()
    assert report([*told, instance("A", 4, 6)], 0, 10, 10).exposures.now == 10


def test_a_retracted_finding_never_was_from_then_on() -> None:
    told = [
        instance("A", 0, 10), presence("A", 0, 10), score(5, 0), presence("A", 0, 10, learnt=6, closed="retracted"),
    ]  # fmt: skip
    assert report(told, 0, 5, 5).exposures.now == 25
    assert report(told, 0, 10, 10).exposures.now == 0
    assert report(told, 0, 10, 10).exposures.then == 30


def test_a_withdrawn_score_gives_way_to_the_one_before() -> None:
    told = [instance("A", 0, 10), presence("A", 0, 10), score(5, 0), score(9, 4), score(9, 4, learnt=6, withdrawn=True)]
    found = report(told, 0, 10, 10)
    assert found.exposures.now == 50
    assert found.exposures.then == 4 * 5 + 2 * 9 + 4 * 5


def test_overlapping_rows_count_once() -> None:
    told = [instance("A", 0, 10), presence("A", 0, 6), presence("A", 4, 10), presence("A", 5, 5), score(5, 0)]
    found = report(told, 0, 10, 10)
    assert found.exposures.now == 50
    assert sum(found.closures.values()) == 0, "it ends with the window, not in it"
    assert sum(report(told, 0, 11, 11).closures.values()) == 1


def test_between_sources_vex_wins_then_the_last_recorded_then_the_higher() -> None:
    told = [instance("A", 0, 10), presence("A", 0, 10)]
    both = [score(9, 0, source="nvd", learnt=1), score(4, 5, source="ghsa", learnt=2)]
    assert report([*told, *both], 0, 10, 10).exposures.now == 5 * 9 + 5 * 4
    assert report([*told, *both, score(0, 0, source="vex")], 0, 10, 10).exposures.now == 0
    equal = [score(9, 0, source="a"), score(4, 0, source="b")]
    assert report([*told, *equal], 0, 10, 10).exposures.now == 90


def test_epss_and_kev_are_no_scores() -> None:
    told = [instance("A", 0, 10), presence("A", 0, 10), score(1, 0, source="kev"), score(0.5, 0, source="epss")]
    found = report(told, 0, 10, 10)
    assert (found.exposures.now, found.unscored_hours, found.band_hours[Band.NONE]) == (0, 10, 10)
    assert 0 < found.hazard < 0.01


def test_720_machines_of_an_hour_are_one_of_30_days() -> None:
    short = [line for n in range(720) for line in (instance(f"{n}", n, n + 1), presence(f"{n}", n, n + 1))]
    long = [instance("A", 0, 720), presence("A", 0, 720)]
    epss = score(0.3, 0, source="epss")
    assert report([*short, epss], 0, 720, 720).index == report([*long, epss], 0, 720, 720).index
    assert report([*long, epss], 0, 720, 720).index == pytest.approx(0.3, rel=1e-12)


def test_live_only_forgets_the_dead() -> None:
    told = [
        instance("A", 0), presence("A", 0), presence("A", 1, 3, of="CVE-2"), instance("B", 0, 5), presence("B", 0),
        score(5, 0), score(2, 0, of="CVE-2"),
    ]  # fmt: skip
    assert report(told, 0, 10, 10).exposures == exposures(
        now=str(50 + 4 + 25), then=str(50 + 4 + 25), rescore="79", undead=str(50 + 18 + 50), live_only="50"
    )


@pytest.mark.parametrize(
    ("death", "row", "reason"),
    [
        ({"reason": "exuvia"}, {"ended": None}, Closing.ROTATED),
        ({"reason": "spot"}, {"ended": None}, Closing.DIED),
        ({}, {"ended": 9}, Closing.DIED),
        ({"reason": "spot"}, {"ended": 5, "closed": "patched"}, Closing.PATCHED),
        ({}, {"ended": 4, "closed": "patched"}, Closing.PATCHED),
        ({}, {"ended": 4, "closed": "elsewhere"}, Closing.UNKNOWN),
        ({}, {"ended": 4}, Closing.UNKNOWN),
    ],
)
def test_why_it_ended(death: Line, row: Line, reason: Closing) -> None:
    ended = row.pop("ended")
    found = report([instance("A", 0, 5, **death), presence("A", 0, ended, **row)], 0, 10, 10)
    assert {one for one, number in found.closures.items() if number} == {reason}


def test_the_row_that_ends_last_names_the_reason() -> None:
    told = [instance("A", 0), presence("A", 0, 3, closed="patched"), presence("A", 2, 5, closed="rotated")]
    assert report(told, 0, 10, 10).closures[Closing.ROTATED] == 1
    tied = [*told, presence("A", 1, 5, learnt=6, closed="patched")]
    assert report(tied, 0, 10, 10).closures[Closing.PATCHED] == 1


def test_what_is_still_there_at_the_end_is_censored() -> None:
    told = [line for n, ended in enumerate((2, 4, None)) for line in (instance(f"{n}", 0), presence(f"{n}", 0, ended))]
    found = report(told, 0, 8, 8)
    assert found.mean_exposure_hours == 3
    assert found.restricted_mean_hours == pytest.approx(2 * 1 + 2 * 2 / 3 + 4 * 1 / 3, rel=1e-15)


def test_one_moment_is_asked_of_uncut_intervals_until_k() -> None:
    told = [
        instance("A", 0), presence("A", 0), presence("A", 0, of="CVE-2"), instance("B", 0), presence("B", 0),
        frozen("B", 4, 6), score(5, 0), score(3, 0, of="CVE-2"),
    ]  # fmt: skip
    pasts, scores = settled(told)

    def risk(time: float, aggregation: Aggregation, factor: str = "0") -> Fraction:
        return moment.risk(
            pasts, scores, time=at(time), as_of=at(10), aggregation=aggregation, quarantine_factor=Fraction(factor)
        )

    assert risk(10, Aggregation.MAX) == 5, "also at K itself"
    assert risk(10, Aggregation.SUM) == 13
    assert risk(5, Aggregation.SUM) == 8
    assert risk(5, Aggregation.SUM, factor="0.5") == Fraction("10.5")
    assert risk(10.5, Aggregation.MAX) == 0, "after K nothing is known"
    assert risk(-1, Aggregation.MAX) == 0


def test_a_clock_that_goes_backwards_changes_what_was_known_not_what_was() -> None:
    """The correction is recorded before the row it corrects: by recorded time that one came first."""
    told = [instance("A", 0, 10), score(5, 0), presence("A", 0, 8, learnt=4), presence("A", 0, 2, learnt=3)]
    found = report(told, 0, 10, 10)
    assert found.exposures.now == 40
    assert found.exposures.then == 20
