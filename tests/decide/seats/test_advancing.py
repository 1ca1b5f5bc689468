"""The state machine: what each event does, and what never happens whatever the events are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.decide.seats import advance, look, recall
from exuvia.model.seats import (
    Claim,
    Claimant,
    Denied,
    Died,
    Ending,
    Exhaustion,
    Frozen,
    Ghost,
    Granted,
    Heard,
    Kept,
    Lease,
    Left,
    QuarantinedSeat,
    Queued,
    ReturnCause,
    Returned,
    SeatChange,
    SeatEvent,
    Seats,
    Silent,
    Terms,
    Thawed,
    Unserved,
)

START = Seats(at=-1)


def claim(uid: str, at: int, *, persistent: bool = True, priority: int = 100) -> Claim:
    return Claim(at=at, claimant=Claimant(uid=uid, persistent=persistent, priority=priority))


def run(terms: Terms, *events: SeatEvent, until: int = 100) -> tuple[Seats, list[SeatChange]]:
    done = advance(START, terms, events, until=until)
    return done.state, list(done.told)


def holders(state: Seats) -> list[str]:
    return [one.uid for one in state.leases]


def waiting(state: Seats) -> list[str]:
    return [one.uid for one in state.waiting]


def returns(told: Iterable[SeatChange]) -> list[tuple[str, int, str]]:
    return [(one.lease.uid, one.at, str(one.cause)) for one in told if isinstance(one, Returned)]


def test_a_death_is_told_with_its_cause() -> None:
    _, told = run(Terms(seats=1), claim("a", 1), Died(at=5, uid="a"))
    assert returns(told) == [("a", 5, "death")]
    _, told = run(Terms(seats=1, grace=3), claim("a", 1), Died(at=5, uid="a", cause=ReturnCause.RECONCILE))
    assert returns(told) == [("a", 8, "reconcile")]


def test_a_dead_instances_seat_counts_until_its_grace_is_over() -> None:
    terms = Terms(seats=1, grace=10)
    events = (claim("a", 1), Died(at=5, uid="a"), claim("b", 6))
    before, told = run(terms, *events, until=14)
    assert (holders(before), waiting(before)) == (["a"], ["b"])
    assert Ending(at=5, uid="a", due=15, cause=ReturnCause.DEATH) in told
    after, _ = run(terms, *events, until=15)
    assert (holders(after), waiting(after)) == (["b"], [])


def test_a_reboot_inside_grace_keeps_the_seat() -> None:
    events = (claim("a", 1), Died(at=5, uid="a"), claim("b", 6), claim("a", 9))
    state, told = run(Terms(seats=1, grace=10), *events)
    assert (holders(state), waiting(state)) == (["a"], ["b"])
    assert Kept(at=9, uid="a") in told
    assert returns(told) == []


def test_a_reboot_after_grace_is_a_new_claim() -> None:
    events = (claim("a", 1), Died(at=5, uid="a"), claim("b", 6), claim("a", 16))
    state, _ = run(Terms(seats=1, grace=10), *events)
    assert (holders(state), waiting(state)) == (["b"], ["a"])


def test_a_new_uid_is_a_new_seat_whatever_its_name() -> None:
    state, told = run(Terms(seats=2, grace=10), claim("old", 1), Died(at=5, uid="old"), claim("new", 5), until=6)
    assert holders(state) == ["old", "new"]
    assert [one.lease.uid for one in told if isinstance(one, Granted)] == ["old", "new"]


def test_the_queue_goes_by_priority_then_time_then_uid() -> None:
    events = (
        claim("holder", 0),
        claim("low", 1, priority=0),
        claim("b", 2),
        claim("a", 2),
        claim("high", 3, priority=200),
    )
    state, _ = run(Terms(seats=1), *events)
    assert waiting(state) == ["high", "a", "b", "low"]


def test_of_those_that_claim_at_one_instant_the_higher_priority_is_asked_first() -> None:
    state, _ = run(Terms(seats=1), claim("a", 1, priority=0), claim("b", 1))
    assert (holders(state), waiting(state)) == (["b"], ["a"])


def test_one_that_waits_and_dies_leaves_the_queue() -> None:
    state, told = run(Terms(seats=0), claim("a", 1), Died(at=2, uid="a"))
    assert state == Seats(at=100, order=1)
    assert told[-1] == Left(at=2, uid="a")


def test_denied_is_told_once_and_stays_denied() -> None:
    state, told = run(Terms(seats=1, exhaustion=Exhaustion.DENY), claim("a", 1), claim("b", 2), Died(at=3, uid="a"))
    assert told.count(Denied(at=2, claimant=Claimant(uid="b"))) == 1
    assert (holders(state), [one.uid for one in state.denied]) == ([], ["b"])


def test_silence_ends_a_lease_and_a_heartbeat_puts_that_off() -> None:
    terms = Terms(seats=1, timeout=10)
    _, told = run(terms, claim("a", 1), Heard(at=8, uid="a"))
    assert returns(told) == [("a", 18, "expiry")]
    _, told = run(terms, claim("a", 1), Heard(at=11, uid="a"), until=20)
    assert returns(told) == []


def test_a_late_heartbeat_is_a_ghost_and_never_seated_for_that() -> None:
    events = (claim("a", 1), Heard(at=30, uid="a"), Heard(at=31, uid="a"))
    state, told = run(Terms(seats=5, timeout=10), *events)
    assert told.count(Ghost(at=30, uid="a")) == 1
    assert (holders(state), state.ghosts) == ([], frozenset({"a"}))
    gone, _ = run(Terms(seats=5, timeout=10), *events, Silent(at=40, uid="a"))
    assert gone.ghosts == frozenset()


def test_a_ghost_of_the_dead() -> None:
    state, told = run(Terms(seats=5), claim("a", 1), Died(at=5, uid="a"), Heard(at=7, uid="a"))
    assert Ghost(at=7, uid="a") in told
    assert holders(state) == []


def test_who_waits_or_was_denied_is_no_ghost() -> None:
    for exhaustion in (Exhaustion.QUEUE, Exhaustion.DENY):
        state, _ = run(Terms(seats=0, exhaustion=exhaustion), claim("a", 1), Heard(at=2, uid="a"))
        assert state.ghosts == frozenset()


def test_an_expired_one_may_ask_anew() -> None:
    state, told = run(Terms(seats=1, timeout=10), claim("a", 1), claim("a", 50), until=55)
    assert returns(told) == [("a", 11, "expiry")]
    assert (holders(state), state.lapsed) == (["a"], ())


@pytest.mark.parametrize(
    ("way", "held", "cause"),
    [
        (QuarantinedSeat.KEEP, ["a"], []),
        (QuarantinedSeat.FORENSIC_SEAT, ["a"], []),
        (QuarantinedSeat.RELEASE, [], [("a", 5, "release")]),
    ],
)
def test_what_a_quarantined_instance_does_with_its_seat(
    way: QuarantinedSeat, held: list[str], cause: list[tuple[str, int, str]]
) -> None:
    state, told = run(Terms(seats=1, quarantined=way, timeout=10), claim("a", 1), Frozen(at=5, uid="a"))
    assert holders(state) == held
    assert returns(told) == cause


def test_silence_counts_again_when_a_quarantine_ends() -> None:
    _, told = run(Terms(seats=1, timeout=10), claim("a", 1), Frozen(at=5, uid="a"), Thawed(at=40, uid="a"))
    assert returns(told) == [("a", 50, "expiry")]


def test_a_released_seat_is_asked_for_anew_after_the_quarantine_only() -> None:
    terms = Terms(seats=1, quarantined=QuarantinedSeat.RELEASE)
    events = (claim("a", 1), Frozen(at=5, uid="a"), claim("a", 6), claim("b", 7))
    state, _ = run(terms, *events)
    assert (holders(state), waiting(state)) == (["b"], [])
    state, _ = run(terms, *events, Thawed(at=8, uid="a"), claim("a", 8))
    assert waiting(state) == ["a"]


@pytest.mark.parametrize(("way", "loser"), [(QuarantinedSeat.KEEP, "a"), (QuarantinedSeat.FORENSIC_SEAT, "b")])
def test_only_a_forensic_seat_is_safe_from_reclaim(way: QuarantinedSeat, loser: str) -> None:
    terms = Terms(seats=2, exhaustion=Exhaustion.RECLAIM_OLDEST, quarantined=way)
    events = (claim("a", 1, persistent=False), claim("b", 2, persistent=False), Frozen(at=3, uid="a"), claim("c", 4))
    state, told = run(terms, *events)
    assert returns(told) == [(loser, 4, "reclaimed")]
    assert waiting(state) == [loser]


def test_a_seat_in_grace_is_not_reclaimed() -> None:
    terms = Terms(seats=1, exhaustion=Exhaustion.RECLAIM_OLDEST, grace=50)
    state, _ = run(terms, claim("a", 1, persistent=False), Died(at=3, uid="a"), claim("b", 4), until=10)
    assert (holders(state), waiting(state)) == (["a"], ["b"])


def test_what_is_no_longer_selected_gives_its_seat_back_without_grace() -> None:
    state, told = run(Terms(seats=1, grace=50), claim("a", 1), Unserved(at=3, uid="a"), until=10)
    assert returns(told) == [("a", 3, "release")]
    assert holders(state) == []


def test_fewer_seats_take_none_away_and_give_none() -> None:
    full, _ = run(Terms(seats=3), *(claim(uid, 1) for uid in "abc"))
    fewer = advance(full, Terms(seats=1), (claim("d", 101), Died(at=102, uid="a")), until=110)
    assert holders(fewer.state) == ["b", "c"]
    assert waiting(fewer.state) == ["d"]
    more = advance(fewer.state, Terms(seats=3), (), until=111)
    assert holders(more.state) == ["b", "c", "d"]


def test_next_is_when_time_alone_changes_something() -> None:
    terms = Terms(seats=2, grace=7, timeout=20)
    events = (claim("a", 1), claim("b", 1), Died(at=5, uid="a"))
    assert advance(START, terms, events, until=6).next == 12
    assert advance(START, terms, events, until=12).next == 21
    assert advance(START, Terms(seats=2), events, until=12).next is None


def test_a_look_hears_the_signs_of_life_before_silence_counts() -> None:
    terms = Terms(seats=1, timeout=10)
    held = advance(START, terms, [claim("a", 1)], until=2).state
    assert returns(look(held, terms, [Heard(at=50, uid="a")], now=50).told) == []
    assert returns(look(held, terms, [Heard(at=12, uid="a")], now=50).told) == [("a", 50, "expiry")]


def test_a_look_tells_when_a_seat_really_came_back() -> None:
    held = advance(START, Terms(seats=1), [claim("a", 1)], until=2).state
    done = look(held, Terms(seats=1, grace=5), [Died(at=10, uid="a")], now=30)
    (back,) = [one for one in done.told if isinstance(one, Returned)]
    assert (back.at, back.died) == (30, 10)


# --- what never happens -----------------------------------------------------------------------------------------------

UIDS = st.sampled_from("abcdefgh")
MOMENTS = st.integers(0, 40)
CLAIMS = st.builds(claim, UIDS, MOMENTS, persistent=st.booleans(), priority=st.sampled_from([0, 100]))
CAUSES = st.sampled_from([ReturnCause.DEATH, ReturnCause.RECONCILE])
OTHERS = st.one_of(
    st.builds(Died, at=MOMENTS, uid=UIDS, cause=CAUSES),
    st.builds(Heard, at=MOMENTS, uid=UIDS),
    st.builds(Silent, at=MOMENTS, uid=UIDS),
    st.builds(Frozen, at=MOMENTS, uid=UIDS),
    st.builds(Thawed, at=MOMENTS, uid=UIDS),
    st.builds(Unserved, at=MOMENTS, uid=UIDS),
)
EVENTS = st.lists(st.one_of(CLAIMS, CLAIMS, OTHERS), max_size=40)
TERMS = st.builds(
    Terms,
    seats=st.integers(0, 4),
    exhaustion=st.sampled_from(Exhaustion),
    grace=st.integers(0, 6),
    delay=st.integers(0, 3),
    timeout=st.one_of(st.none(), st.integers(1, 12)),
    quarantined=st.sampled_from(QuarantinedSeat),
)


def _check(told: Sequence[SeatChange], terms: Terms) -> None:
    """Walk what was told: leases never exceed seats unless Overcommit says and counts so; one seat a UID."""
    leases: dict[str, Lease] = {}
    for change in told:
        match change:
            case Granted(lease=lease, over=over):
                assert lease.uid not in leases
                assert over == (len(leases) >= terms.seats)
                assert not over or terms.exhaustion is Exhaustion.OVERCOMMIT
                leases[lease.uid] = lease
            case Returned(lease=lease):
                assert leases.pop(lease.uid).order == lease.order
            case Queued(place=place):
                assert place.uid not in leases
            case _:
                continue


@settings(max_examples=400)
@given(EVENTS, TERMS)
def test_never_more_leases_than_seats_and_never_two_for_one(events: list[SeatEvent], terms: Terms) -> None:
    done = advance(START, terms, events, until=60)
    _check(done.told, terms)
    uids = [one.uid for one in (*done.state.leases, *done.state.waiting, *done.state.denied, *done.state.lapsed)]
    assert len(uids) == len(set(uids))


@given(EVENTS, TERMS)
def test_nobody_waits_while_a_seat_is_free(events: list[SeatEvent], terms: Terms) -> None:
    state = advance(START, terms, events, until=60).state
    assert not state.waiting or len(state.leases) >= terms.seats


@settings(max_examples=400)
@given(EVENTS, TERMS, st.integers(-1, 60))
def test_a_stop_at_any_moment_and_all_events_again_give_the_same_end(
    events: list[SeatEvent], terms: Terms, stop: int
) -> None:
    whole = advance(START, terms, events, until=60)
    before = advance(START, terms, events, until=stop)
    again = advance(before.state, terms, events, until=60)
    assert again.state == whole.state
    assert before.told + again.told == whole.told
    assert advance(whole.state, terms, events, until=60).told == ()


@settings(max_examples=400)
@given(EVENTS, TERMS)
def test_the_state_can_be_told_from_what_was_told(events: list[SeatEvent], terms: Terms) -> None:
    done = advance(START, terms, events, until=60)
    silent = tuple(replace(one, heard=60) for one in done.state.leases)
    assert recall(done.told, at=60) == replace(done.state, leases=silent, frozen=frozenset(), ghosts=frozenset())


@given(EVENTS, TERMS, st.randoms(use_true_random=False))
def test_the_order_of_events_at_one_instant_says_nothing(events: list[SeatEvent], terms: Terms, chance: object) -> None:
    """Of one instance one event of a kind at a moment: two of them contradict each other."""
    once = list({(type(one), one.at, _who(one)): one for one in events}.values())
    shuffled = list(once)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert advance(START, terms, once, until=60).state == advance(START, terms, shuffled, until=60).state


def _who(event: SeatEvent) -> str:
    return event.claimant.uid if isinstance(event, Claim) else event.uid
