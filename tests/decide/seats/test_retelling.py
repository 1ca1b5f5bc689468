"""What a pool did, told again from its entries: to the last digit what the book that wrote them would have said."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from exuvia.decide.seats import advance, closing, entries, metering
from exuvia.decide.seats.metering import Period
from exuvia.decide.seats.retelling import retold
from exuvia.decide.seats.simulating import HighWater, Replay, Window, measure, replay, simulate
from exuvia.model.histories import Life
from exuvia.model.seats import Claim, Claimant, Died, Exhaustion, Heard, SeatEvent, Seats, Terms

from .test_simulating import FIRST_HOUR, FLEETS, HOUR, MINUTE, TERMS, WINDOWS, worked


def asked(lives: list[Life]) -> list[SeatEvent]:
    """The lives as a pool meets them."""
    found: list[SeatEvent] = []
    for life in lives:
        if life.died is None or life.died > life.born:
            found.append(Claim(at=life.born, claimant=Claimant(uid=life.uid, persistent=life.persistent)))
            found += [] if life.died is None else [Died(at=life.died, uid=life.uid)]
    return found


def entered(events: list[SeatEvent], terms: Terms, *, until: int) -> Replay:
    """What the ledger says of it afterwards."""
    told = advance(Seats(at=-1), terms, events, until=until).told
    bodies = [(one.at, entries.body(one, pool="antivirus", uid="P")) for one in told]
    return retold([[entries.read(body, at) for at, body in bodies]])


@given(FLEETS, TERMS, WINDOWS)
def test_the_entries_of_a_simulated_pool_have_the_figures_of_simulate(
    lives: list[Life], terms: Terms, window: Window
) -> None:
    found = measure(entered(asked(lives), terms, until=200), window)
    assert replace(found, seats=terms.seats) == simulate(lives, terms, window)


@given(FLEETS, TERMS)
def test_the_meters_of_vendors_count_what_was_really_held(lives: list[Life], terms: Terms) -> None:
    window = Window(began=0, ended=60)
    found, expected = entered(asked(lives), terms, until=200), replay(lives, terms, until=60)
    assert metering.assessed(found, 60) == metering.assessed(expected, 60)
    assert metering.monthly_high_water(found, window) == metering.monthly_high_water(expected, window)


@pytest.mark.parametrize(
    ("terms", "unmet", "used"),
    [
        (Terms(seats=3), 180, 3),
        (Terms(seats=3, grace=10 * MINUTE), 780, 3),
        (Terms(seats=3, exhaustion=Exhaustion.DENY), 2880, 3),
        (Terms(seats=3, exhaustion=Exhaustion.OVERCOMMIT), 0, 4),
    ],
)
def test_the_worked_case_by_its_entries(terms: Terms, unmet: int, used: int) -> None:
    (found,) = metering.history(entered(asked(worked()), terms, until=2 * HOUR), FIRST_HOUR, Period.DAY)
    assert found.unmet == unmet * 1_000_000
    assert found.high_water == HighWater(used=used, demanded=4)
    assert found.utilisation is None


def test_who_lost_its_seat_by_silence_is_without_one_until_it_dies() -> None:
    events = [Claim(at=0, claimant=Claimant(uid="a")), Heard(at=5, uid="a"), Died(at=40, uid="a")]
    found = measure(entered(events, Terms(seats=1, timeout=10), until=99), Window(began=0, ended=60))
    assert (found.used, found.unmet, found.high_water) == (15, 25, HighWater(used=1, demanded=1))


def test_a_reboot_within_grace_is_one_demand() -> None:
    events = [Claim(at=0, claimant=Claimant(uid="a")), Died(at=10, uid="a"), Claim(at=15, claimant=Claimant(uid="a"))]
    found = measure(entered(events, Terms(seats=1, grace=20), until=99), Window(began=0, ended=60))
    assert (found.used, found.unmet, found.high_water, found.latency) == (60, 0, HighWater(used=1, demanded=1), None)


@given(FLEETS, TERMS)
def test_nobody_wants_a_seat_of_a_pool_that_was_deleted(lives: list[Life], terms: Terms) -> None:
    done = advance(Seats(at=-1), replace(terms, timeout=3), asked(lives), until=20)
    found = retold([[*done.told, *closing.closed(done.state, (), 20)]])
    after = measure(found, Window(began=20, ended=60))
    assert (after.used, after.unmet, after.high_water) == (0, 0, HighWater(used=0, demanded=0))


def test_pools_that_follow_each_other_under_one_name_are_one_history() -> None:
    first, second = (
        [Claim(at=0, claimant=Claimant(uid="a")), Died(at=10, uid="a")],
        [Claim(at=20, claimant=Claimant(uid="b"))],
    )
    told = [advance(Seats(at=-1), Terms(seats=1), events, until=99).told for events in (first, second)]
    found = measure(retold(told), Window(began=0, ended=60))
    assert (found.used, found.high_water.used, [one.uid for one in found.grants]) == (50, 1, ["a", "b"])
