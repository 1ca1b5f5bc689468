"""What the vendor is still to be told, and how."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from exuvia.decide.seats import advance, owing
from exuvia.decide.seats.owing import Owing
from exuvia.model.seats import Claim, Claimant, Died, Reported, Returned, SeatEvent, Seats, Terms

SECOND = 1_000_000
EVENTS: tuple[SeatEvent, ...] = (
    Claim(at=1 * SECOND, claimant=Claimant(uid="a")),
    Claim(at=2 * SECOND, claimant=Claimant(uid="b")),
    Died(at=3 * SECOND, uid="a"),
    Died(at=4 * SECOND, uid="b"),
)


def returns(*, owes: bool) -> list[Returned]:
    told = advance(Seats(), Terms(seats=2, owes=owes), EVENTS, until=9 * SECOND).told
    return [one for one in told if isinstance(one, Returned)]


def test_returns_under_a_hook_are_owed_until_they_were_reported() -> None:
    owed, found = Owing(), returns(owes=True)
    assert list(owed.through(found)) == found
    assert list(owed.left.values()) == found
    owed.note(Reported(at=5, uid="a", order=found[0].lease.order, outcome="done"))
    assert list(owed.left.values()) == found[1:]


def test_without_a_hook_nothing_is_owed() -> None:
    owed = Owing()
    assert list(owed.through(returns(owes=False))) == returns(owes=False)
    assert owed.left == {}


def test_a_call_says_what_came_back_and_has_one_key() -> None:
    first, second = returns(owes=True)
    call = owing.reclaim("antivirus", "pool-uid", first, dry_run=False)
    assert call.body == {
        "type": "reclaim",
        "pool": "antivirus",
        "instance": "a",
        "cause": "death",
        "grantedAt": "1970-01-01T00:00:01Z",
        "diedAt": "1970-01-01T00:00:03Z",
        "returnedAt": "1970-01-01T00:00:03Z",
        "dryRun": False,
    }
    assert call.key == owing.reclaim("antivirus", "pool-uid", first, dry_run=False).key
    assert call.key != owing.reclaim("antivirus", "pool-uid", second, dry_run=False).key
    assert call.key != owing.reclaim("antivirus", "made-anew", first, dry_run=False).key
    assert owing.reclaim("antivirus", "pool-uid", first, dry_run=True).dry_run


def test_a_number_that_is_used_again_makes_no_old_key() -> None:
    """After a pruning the numbers of leases begin anew."""
    first, second = returns(owes=True)
    again = replace(second, lease=replace(second.lease, order=first.lease.order))
    later = replace(first, lease=replace(first.lease, since=first.lease.since + 1))
    keys = {owing.reclaim("antivirus", "pool-uid", one, dry_run=False).key for one in (first, again, later)}
    assert len(keys) == 3


@given(st.integers(1, 10_000))
def test_waits_double_up_to_five_minutes(failures: int) -> None:
    found = owing.wait_after(failures)
    assert timedelta(seconds=1) <= found <= timedelta(minutes=5)
    assert found == min(2 * owing.wait_after(failures - 1), timedelta(minutes=5)) or failures == 1
