"""Replaying lives as demand: the worked case of history.md, every policy against a slow pool, windows, odd lives."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.decide.seats.simulating import Figures, Grant, HighWater, Window, measure, peak, replay, simulate
from exuvia.model.histories import Life
from exuvia.model.seats import Exhaustion, Terms

from .reference import slow

MINUTE = 60_000_000
HOUR = 60 * MINUTE
FIRST_HOUR = Window(began=0, ended=HOUR)


def life(uid: str, born: int, died: int | None = None, *, persistent: bool = True) -> Life:
    return Life(uid=uid, recorded=0, born=born, died=died, persistent=persistent)


def worked() -> list[Life]:
    """A pool of 3: A at minute 0, B 5, C 10, D asks at 12, A's node dies at 15."""
    return [
        life("A", 0, 15 * MINUTE),
        life("B", 5 * MINUTE),
        life("C", 10 * MINUTE),
        life("D", 12 * MINUTE),
    ]


def test_the_worked_case_to_the_last_digit() -> None:
    found = simulate(worked(), Terms(seats=3), FIRST_HOUR)
    assert found.grants == (
        Grant(uid="A", at=0, waited=0),
        Grant(uid="B", at=5 * MINUTE, waited=0),
        Grant(uid="C", at=10 * MINUTE, waited=0),
        Grant(uid="D", at=15 * MINUTE, waited=3 * MINUTE),
    )
    assert found.unmet == 180_000_000
    assert found.high_water == HighWater(used=3, demanded=4)
    assert found.seat_hours == 2.75
    assert found.utilisation == 2.75 / 3
    assert found.latency == 0
    assert (found.denials, found.overcommitted) == (0, 0)


def test_grace_keeps_the_seat_of_the_dead_and_the_one_who_waits_waits_longer() -> None:
    found = simulate(worked(), Terms(seats=3, grace=10 * MINUTE), FIRST_HOUR)
    assert found.grants[-1] == Grant(uid="D", at=25 * MINUTE, waited=13 * MINUTE)
    assert found.unmet == 13 * MINUTE
    assert found.latency == 10 * MINUTE
    assert found.seat_hours == (25 + 55 + 50 + 35) / 60


def test_a_reclaim_delay_comes_after_grace() -> None:
    found = simulate(worked(), Terms(seats=3, grace=MINUTE, delay=2 * MINUTE), FIRST_HOUR)
    assert found.grants[-1].at == 18 * MINUTE
    assert found.latency == 3 * MINUTE


def test_denied_is_denied_for_life_and_still_wants_a_seat() -> None:
    found = simulate(worked(), Terms(seats=3, exhaustion=Exhaustion.DENY), FIRST_HOUR)
    assert [one.uid for one in found.grants] == ["A", "B", "C"]
    assert found.denials == 1
    assert found.unmet == 48 * MINUTE
    assert found.high_water == HighWater(used=3, demanded=4)


def test_overcommit_seats_all_and_counts_those_beyond() -> None:
    found = simulate(worked(), Terms(seats=3, exhaustion=Exhaustion.OVERCOMMIT), FIRST_HOUR)
    assert found.grants[-1] == Grant(uid="D", at=12 * MINUTE, waited=0)
    assert (found.unmet, found.overcommitted) == (0, 1)
    assert found.high_water == HighWater(used=4, demanded=4)


def test_the_oldest_lease_of_what_does_not_persist_is_reclaimed_and_waits_at_the_end() -> None:
    lives = [
        life("A", 0, 15 * MINUTE),
        life("B", 5 * MINUTE, persistent=False),
        life("C", 10 * MINUTE, persistent=False),
        life("D", 12 * MINUTE),
    ]
    found = simulate(lives, Terms(seats=3, exhaustion=Exhaustion.RECLAIM_OLDEST), FIRST_HOUR)
    assert found.grants[3:] == (
        Grant(uid="D", at=12 * MINUTE, waited=0),
        Grant(uid="B", at=15 * MINUTE, waited=3 * MINUTE),
    )
    assert found.unmet == 3 * MINUTE
    assert found.latency == 0


def test_with_nothing_to_reclaim_the_newcomer_waits() -> None:
    found = simulate(worked(), Terms(seats=3, exhaustion=Exhaustion.RECLAIM_OLDEST), FIRST_HOUR)
    assert found == simulate(worked(), Terms(seats=3), FIRST_HOUR)


def test_who_waits_does_not_reclaim() -> None:
    lives = [life("a", 0, persistent=False), life("b", 1, persistent=False), life("c", 2)]
    found = simulate(lives, Terms(seats=1, exhaustion=Exhaustion.RECLAIM_OLDEST), Window(began=0, ended=10))
    assert [(one.uid, one.at) for one in found.grants] == [("a", 0), ("b", 1), ("c", 2)]


def test_a_seat_that_comes_back_at_a_birth_goes_to_the_queue_first() -> None:
    lives = [life("a", 0, 10), life("z", 5), life("b", 10)]
    found = simulate(lives, Terms(seats=1), Window(began=0, ended=20))
    assert [(one.uid, one.at, one.waited) for one in found.grants] == [("a", 0, 0), ("z", 10, 5)]
    assert found.high_water == HighWater(used=1, demanded=2)


def test_high_water_is_read_after_an_instant() -> None:
    handed_over = [life("a", 0, 10), life("b", 10, 20)]
    assert simulate(handed_over, Terms(seats=5), Window(began=0, ended=20)).high_water == HighWater(used=1, demanded=1)


def test_state_is_carried_into_a_window_and_its_ends_are_half_open() -> None:
    lives = [life("a", 0, 10), life("b", 1, 12), life("c", 2)]
    found = simulate(lives, Terms(seats=1), Window(began=5, ended=12))
    assert found.grants == (Grant(uid="b", at=10, waited=9),)
    assert found.high_water == HighWater(used=1, demanded=3)
    assert found.unmet == 7 + 5
    assert found.utilisation == 1.0
    at_its_end = simulate(lives, Terms(seats=1), Window(began=11, ended=12))
    assert at_its_end.grants == ()
    assert at_its_end.latency is None


def test_a_life_of_no_length_asks_for_nothing() -> None:
    assert simulate([life("a", 3, 3)], Terms(seats=0), Window(began=0, ended=10)).unmet == 0
    assert simulate([life("a", 3, 3)], Terms(seats=1), Window(began=0, ended=10)).grants == ()


def test_no_seats_and_no_time_divide_nothing() -> None:
    assert simulate(worked(), Terms(seats=0), FIRST_HOUR).utilisation is None
    assert simulate(worked(), Terms(seats=3), Window(began=5, ended=5)).utilisation is None
    assert simulate([], Terms(seats=3), FIRST_HOUR).utilisation == 0.0


@pytest.mark.parametrize("policy", list(Exhaustion))
def test_same_uid_order_at_one_birth(policy: Exhaustion) -> None:
    lives = [life(uid, 5) for uid in ("c", "a", "b")]
    found = simulate(lives, Terms(seats=2, exhaustion=policy), Window(began=0, ended=10))
    assert [one.uid for one in found.grants][:2] == ["a", "b"]


SPANS = st.tuples(st.integers(0, 24), st.one_of(st.none(), st.integers(0, 12)), st.booleans())
FLEETS = st.lists(SPANS, max_size=14).map(
    lambda spans: [
        life(f"{index * 7 % 16:x}", born, None if length is None else born + length, persistent=persistent)
        for index, (born, length, persistent) in enumerate(spans)
    ]
)
WINDOWS = st.tuples(st.integers(-2, 30), st.integers(0, 30)).map(lambda it: Window(began=it[0], ended=it[0] + it[1]))
TERMS = st.builds(
    Terms,
    seats=st.integers(0, 5),
    exhaustion=st.sampled_from(Exhaustion),
    grace=st.integers(0, 5),
    delay=st.integers(0, 3),
)


def _plain(found: Figures) -> dict[str, object]:
    return {
        "grants": [(one.uid, one.at, one.waited) for one in found.grants],
        "denials": found.denials,
        "unmet": found.unmet,
        "used": found.high_water.used,
        "demanded": found.high_water.demanded,
        "sum": found.used,
        "latency": found.latency,
        "overcommitted": found.overcommitted,
    }


@settings(max_examples=600)
@given(FLEETS, TERMS, WINDOWS)
def test_it_agrees_with_the_slow_pool(lives: list[Life], terms: Terms, window: Window) -> None:
    keeps = terms.grace + terms.delay
    expected = slow(
        lives, seats=terms.seats, policy=terms.exhaustion, keeps=keeps, began=window.began, ended=window.ended
    )
    assert _plain(simulate(lives, terms, window)) == expected


@given(FLEETS, TERMS, WINDOWS)
def test_the_order_of_the_lines_says_nothing(lives: list[Life], terms: Terms, window: Window) -> None:
    assert simulate(lives, terms, window) == simulate(reversed(lives), terms, window)


@given(FLEETS, TERMS, WINDOWS, st.integers(0, 30))
def test_windows_add_up(lives: list[Life], terms: Terms, window: Window, cut: int) -> None:
    middle = min(window.began + cut, window.ended)
    whole = simulate(lives, terms, window)
    parts = [
        simulate(lives, terms, Window(began=window.began, ended=middle)),
        simulate(lives, terms, Window(began=middle, ended=window.ended)),
    ]
    assert whole.unmet == sum(one.unmet for one in parts)
    assert whole.used == sum(one.used for one in parts)
    assert whole.denials == sum(one.denials for one in parts)
    assert whole.overcommitted == sum(one.overcommitted for one in parts)
    assert whole.grants == parts[0].grants + parts[1].grants
    assert whole.high_water.used == max(one.high_water.used for one in parts)


@given(FLEETS, TERMS, WINDOWS)
def test_one_replay_measured_is_a_replay_of_that_window(lives: list[Life], terms: Terms, window: Window) -> None:
    assert measure(replay(lives, terms, until=60), window) == simulate(lives, terms, window)


@given(FLEETS, TERMS, WINDOWS)
def test_more_seats_never_leave_more_unmet_in_a_queue(lives: list[Life], terms: Terms, window: Window) -> None:
    queue = replace(terms, exhaustion=Exhaustion.QUEUE)
    more = simulate(lives, replace(queue, seats=queue.seats + 1), window)
    assert more.unmet <= simulate(lives, queue, window).unmet


def test_a_peak_counts_spans_that_reach_into_the_window() -> None:
    window = Window(began=10, ended=20)
    assert peak([(0, None), (5, 10), (5, 11), (19, 30), (20, 30)], window) == 2
