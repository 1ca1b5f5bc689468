"""Who deleted a machine: who asked for it next to the moment at which it went, or nobody."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from exuvia.app.askers import KEPT, WITHIN, Askers
from exuvia.app.chronicle import Chronicle
from exuvia.decide.brakes.times import LARGEST_SKEW
from exuvia.model.facts import DeathReason, Fact
from exuvia.record.recall import Life
from tests.app.stage import NOW

SECONDS = st.integers(-4000, 4000)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@given(SECONDS, SECONDS, st.integers(0, 4000))
def test_who_asked_long_before_or_afterwards_is_never_named(asked: int, first: int, lasting: int) -> None:
    askers = Askers()
    askers.note("u", "alice", after(asked))
    named = askers.of("u", after(first), after(first + lasting))
    in_time = -WITHIN.total_seconds() <= asked - first and asked - first - lasting <= LARGEST_SKEW.total_seconds()
    assert named == ("alice" if in_time else "")
    assert askers.of("another", after(first), after(first + lasting)) == ""


def test_who_is_known_to_have_deleted_it_stays_the_one() -> None:
    askers = Askers()
    askers.know([("u", "alice")])
    askers.know([("u", "bob")])
    askers.note("u", "carol", NOW)
    assert askers.of("u", NOW, NOW) == "alice"


def test_no_more_is_remembered_than_some() -> None:
    askers = Askers()
    for number in range(KEPT + 1):
        askers.note(f"u-{number}", "alice", NOW)
        askers.know([(f"c-{number}", "alice")])
    assert [askers.of(uid, NOW, NOW) for uid in ("u-0", "c-0", "u-1", "c-1")] == ["", "", "alice", "alice"]


def test_a_death_that_nobody_watched_is_whose_request_fell_into_its_interval() -> None:
    for asked, by in ((-3000, ""), (-1000, "alice")):
        told: list[Fact] = []
        chronicle = Chronicle(lambda *some, told=told: told.extend(some), lambda: NOW)
        life = Life(kind="Node", pool="", born=after(-4000))
        chronicle.load({"u": life}, {}, (), {})
        chronicle.asked("u", "alice", after(asked))
        reason = DeathReason.PERSON if by else DeathReason.UNKNOWN
        assert chronicle.settle({}, set(), after(-2000), {}) == [(life, reason)]
        assert [one.body["by"] for one in told] == [by]
