"""How long seats were held and wanted in vain: as looking at every moment says, and pruning loses none of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from exuvia.decide.seats import advance, entries
from exuvia.model import facts
from exuvia.model.seats import Claim, Claimant, Died, Exhaustion, ReturnCause, SeatEvent, Seats, Terms
from exuvia.record import removal, seat_entries, seat_spans
from exuvia.record.places import Place
from exuvia.record.reading import reading
from exuvia.record.seat_spans import Spans, Spent
from tests.record import world

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
LAST = 30

moments = st.integers(1, LAST)
machines = st.sampled_from("abcd")
events = st.one_of(
    st.builds(
        lambda at, uid, kept: Claim(at=at, claimant=Claimant(uid=uid, persistent=kept)),
        moments,
        machines,
        st.booleans(),
    ),
    st.builds(lambda at, uid: Died(at=at, uid=uid), moments, machines),
)
terms = st.builds(
    Terms,
    seats=st.integers(0, 2),
    exhaustion=st.sampled_from(Exhaustion),
    grace=st.integers(0, 4),
    timeout=st.one_of(st.none(), st.integers(1, 8)),
)


@given(given_terms=terms, told=st.lists(events, max_size=10))
def test_it_is_what_looking_at_every_moment_says(given_terms: Terms, told: list[SeatEvent]) -> None:
    spans, done = Spans(), advance(Seats(at=0), given_terms, told, until=LAST)
    for change in done.told:
        spans.note(change.at, entries.body(change, pool="antivirus", uid="P"))
    states = [advance(Seats(at=0), given_terms, told, until=at).state for at in range(LAST)]
    held = sum(len(one.leases) for one in states)
    unmet = sum(
        len(one.waiting) + len(one.denied) + sum(gone.cause is ReturnCause.EXPIRY for gone in one.lapsed)
        for one in states
    )
    assert spans.spent("P", until=LAST) == Spent(held=held, unmet=unmet)
    assert spans.spent("other", until=LAST) == Spent()


def _history() -> list[facts.Fact]:
    """A holds the one seat from 1 to 5 s, B waits for it from 2 s and holds it from then on."""
    told = [Claim(at=SECOND, claimant=Claimant(uid="A")), Claim(at=2 * SECOND, claimant=Claimant(uid="B"))]
    done = advance(Seats(at=0), Terms(seats=1), [*told, Died(at=5 * SECOND, uid="A")], until=9 * SECOND)
    seats = [
        facts.seat(entries.body(one, pool="antivirus", uid="P"), EPOCH + timedelta(microseconds=one.at))
        for one in done.told
    ]
    return [world.birth("A", 0), world.birth("B", 0), *seats, world.death("A", 1), world.birth("C", 2)]


def _spent(place: Place, until: int) -> Spent:
    with reading(place) as connection:
        spans = Spans()
        for _ in spans.through(seat_entries.of_pool(connection, "P", "c")):
            pass
        left, pruned = spans.spent("P", until=until), seat_spans.carried(connection, "P", "c")
    return Spent(held=left.held + pruned.held, unmet=left.unmet + pruned.unmet)


def test_pruning_loses_none_of_it(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    with world.written(path, *_history()):
        pass
    whole = Spent(held=9 * SECOND, unmet=3 * SECOND)
    assert _spent(path, 10 * SECOND) == whole
    later = datetime.now(UTC) + timedelta(days=2)
    done = removal.prune(path, cut=later - timedelta(days=1), keep="1d", by="alice", at=later, cluster="c")
    assert done.entries > 0
    with reading(path) as connection:
        assert seat_spans.carried(connection, "P", "c") == Spent(held=4 * SECOND), "of A, which is gone"
        assert seat_spans.carried(connection, "other", "c") == Spent()
    assert _spent(path, 10 * SECOND) == whole
    again = removal.prune(path, cut=later - timedelta(hours=1), keep="1d", by="alice", at=later, cluster="c")
    assert again.cluster == "c" and _spent(path, 10 * SECOND) == whole
