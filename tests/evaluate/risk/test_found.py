"""What was on a machine at a moment: the same as a slow walk through the text of history.md says."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from exuvia.evaluate.risk import found, scores
from exuvia.model.histories import Past
from tests.evaluate.risk import reference
from tests.evaluate.risk.strategies import UIDS, histories, hours
from tests.evaluate.risk.telling import Line, at, frozen, instance, presence, score, settled

SECOND = 1_000_000


def _asked(told: list[Line], uid: str, time: float, known: float) -> tuple[found.Found, ...]:
    pasts, facts = settled(told)
    past = next((one for one in pasts if one.uid == uid), Past(uid=uid))
    there = found.present(past, time=at(time), as_of=at(known))
    return found.found(there, facts, time=at(time), as_of=at(known))


@given(told=histories(), uid=st.sampled_from(UIDS), time=hours, known=hours)
def test_it_is_what_a_slow_walk_finds(told: list[Line], uid: str, time: int, known: int) -> None:
    world, t, k = reference.World(told), Fraction(at(time), SECOND), Fraction(at(known), SECOND)
    expected = {
        (v, reference._union(world, uid, v, t, k)[0] * SECOND, world.score(v, t, k))
        for v in world.vulnerabilities
        if world.present(uid, v, t, k)
    }
    said = {
        (one.vulnerability, Fraction(one.since), None if one.score is None else scores.value(one.score))
        for one in _asked(told, uid, time, known)
    }
    assert said == expected
    (past,) = [one for one in (*settled(told)[0], Past(uid=uid)) if one.uid == uid][:1]
    held = world.factor(uid, t, k, Fraction(0)) == 0 and world.alive(uid, t, k)
    assert (found.frozen_since(past, time=at(time), as_of=at(known)) is not None) == held


@given(told=histories(), time=hours, known=hours)
def test_a_score_is_the_one_that_the_steps_say(told: list[Line], time: int, known: int) -> None:
    _, facts = settled(told)
    steps = scores.histories(facts, at(known))
    for name in {one.vulnerability for one in facts}:
        mine = [one for one in facts if one.vulnerability == name]
        expected = steps[name].now.at(at(time)) if name in steps else None
        assert scores.at(mine, time=at(time), as_of=at(known)) == expected


def test_the_worst_comes_first_and_what_is_not_rated_last() -> None:
    told = [
        *(instance("A", 0), frozen("A", 2, 4)),
        *(presence("A", 0, of=name) for name in ("CVE-1", "CVE-2", "CVE-3", "CVE-4")),
        *(score(5, 0, of="CVE-2"), score(9, 0, of="CVE-3"), score(0, 0, of="CVE-4", source="vex")),
    ]
    assert [one.vulnerability for one in _asked(told, "A", 1, 9)] == ["CVE-3", "CVE-2", "CVE-4", "CVE-1"]


def test_what_overlaps_is_one_since_its_first_moment_in_the_life() -> None:
    told = [instance("A", 1, 9), presence("A", 0, 3), presence("A", 3, 6), presence("A", 7, 8)]
    assert [one.since for one in _asked(told, "A", 5, 9)] == [at(1)]
    assert [one.since for one in _asked(told, "A", 7, 9)] == [at(7)]
    assert _asked(told, "A", 6, 9) == ()
