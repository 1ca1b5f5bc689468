"""Changes of seats go into the ledger and come back: of one pool, of one cluster, oldest first; and of one machine."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exuvia.decide.seats import advance, entries, recall
from exuvia.model import facts
from exuvia.model.seats import Claim, Claimant, Died, Granted, Reported, ReturnCause, Returned, SeatChange, Seats, Terms
from exuvia.record import pruning, seat_entries
from tests.record import lives, world

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TERMS = Terms(seats=1, grace=5)
EVENTS = (
    Claim(at=1, claimant=Claimant(uid="a")),
    Claim(at=2, claimant=Claimant(uid="b")),
    Died(at=3, uid="a"),
    Claim(at=9, claimant=Claimant(uid="c", persistent=False, priority=0)),
)
DONE = advance(Seats(at=0), TERMS, EVENTS, until=20)


def entered(change: SeatChange, uid: str) -> facts.Fact:
    return facts.seat(entries.body(change, pool="antivirus", uid=uid), EPOCH + timedelta(microseconds=change.at))


def test_the_state_is_recalled_from_the_ledger(tmp_path: Path) -> None:
    mine = [entered(one, "pool-1") for one in DONE.told]
    others = [entered(one, "pool-2") for one in DONE.told[:1]]
    with world.written(tmp_path / "ledger.db", *mine, *others) as connection:
        found = [entries.read(body, at) for at, body in seat_entries.of_pool(connection, "pool-1", "c")]
        assert tuple(found) == DONE.told
        assert recall(found, at=0).leases == DONE.state.leases
        assert len(list(seat_entries.of_pool(connection, "pool-2", "c"))) == 1
        assert list(seat_entries.of_pool(connection, "pool-1", "elsewhere")) == []
        kinds = [one["body"]["event"] for one in lives.life(connection, "b")]
        assert kinds == ["queued", "granted"]


def test_pools_are_found_by_what_was_entered_of_them(tmp_path: Path) -> None:
    told = [entered(one, uid) for uid in ("pool-1", "pool-2", "pool-1", "pool-3", "pool-2") for one in DONE.told[:2]]
    with world.written(tmp_path / "ledger.db", world.birth("a"), *told) as connection:
        assert seat_entries.others(connection, ["pool-2", "pool-9"], "c") == {
            "pool-1": "antivirus",
            "pool-3": "antivirus",
        }
        assert seat_entries.others(connection, ["pool-1", "pool-2", "pool-3"], "c") == {}
        assert seat_entries.others(connection, [], "elsewhere") == {}


def test_a_seat_that_was_given_back_and_reported_keeps_nothing_from_pruning(tmp_path: Path) -> None:
    """Nor one whose return nobody entered, since its pool is gone; a machine that lives on keeps its own."""
    terms = Terms(seats=2, owes=True)
    events = (Claim(at=1, claimant=Claimant(uid="a")), Claim(at=2, claimant=Claimant(uid="b")), Died(at=3, uid="a"))
    told = list(advance(Seats(at=0), terms, events, until=20).told)
    told.append(Reported(at=9, uid="a", order=1, outcome="done"))
    lives = [world.birth("a"), world.birth("b"), world.death("a", 1), world.birth("last", 2)]
    history = [*lives[:3], *(entered(one, "pool-1") for one in told), lives[3]]
    with world.written(tmp_path / "ledger.db", *history) as connection:
        far = facts.microseconds(datetime.now(UTC)) + 1
        found = pruning.plan(connection, "c", far)
    assert found.uids == {"a"}
    assert found.kept[pruning.Kept.LIVING] >= 2


@pytest.mark.parametrize("grace", [0, 5, 5 * 10**15])
def test_a_seat_of_the_dead_that_nobody_gave_back_is_kept_for_its_grace_alone(tmp_path: Path, grace: int) -> None:
    events = (Claim(at=1, claimant=Claimant(uid="a")), Died(at=3, uid="a"))
    changes = advance(Seats(at=0), Terms(seats=1, grace=grace), events, until=20).told
    told = [entered(one, "pool-1") for one in changes if not isinstance(one, Returned)]
    with world.written(
        tmp_path / "ledger.db", world.birth("a"), world.death("a", 1), *told, world.birth("last", 2)
    ) as connection:
        found = pruning.plan(connection, "c", facts.microseconds(datetime.now(UTC)) + 1)
    assert found.uids == (frozenset({"a"}) if grace < 10 else frozenset())


def test_what_the_vendor_is_still_to_be_told_is_not_pruned(tmp_path: Path) -> None:
    """Also where an earlier return of the same machine was reported."""
    terms = Terms(seats=2, owes=True)
    events = (Claim(at=1, claimant=Claimant(uid="a")), Claim(at=2, claimant=Claimant(uid="b")), Died(at=3, uid="a"))
    told = list(advance(Seats(at=0), terms, events, until=20).told)
    granted = next(one for one in told if isinstance(one, Granted) and one.lease.uid == "b")
    told.append(Returned(at=4, lease=granted.lease, cause=ReturnCause.RELEASE, owed=True))
    again = replace(granted.lease, since=5, order=3)
    told.append(replace(granted, at=5, lease=again))
    told.append(Returned(at=6, lease=again, cause=ReturnCause.RELEASE, owed=True))
    told.append(Reported(at=9, uid="b", order=2, outcome="done"))
    lives = [world.birth("a"), world.birth("b"), world.death("a", 1), world.death("b", 1), world.birth("last", 2)]
    history = [*lives[:4], *(entered(one, "pool-1") for one in told), lives[4]]
    with world.written(tmp_path / "ledger.db", *history) as connection:
        found = pruning.plan(connection, "c", facts.microseconds(datetime.now(UTC)) + 1)
    assert found.uids == frozenset()
