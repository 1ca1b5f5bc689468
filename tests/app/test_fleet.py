"""What is remembered of leases during a term, and who was born in a pool since."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.app import stage
from tests.app.stage import NOW
from tests.evaluate.world import node


def test_a_start_goes_by_leases_whose_list_began_twenty_seconds_ago_at_most() -> None:
    services = stage.services()
    fleet = stage.fleet(services)
    assert fleet._fresh_leases() is None
    services.clock.seconds = 6.0
    fleet.note_leases((1, 9), 1.0)  # it took five of them
    for seconds, fresh in ((6.0, True), (21.0, True), (21.1, False)):
        services.clock.seconds = seconds
        assert (fleet._fresh_leases() == (1, 9)) is fresh
    assert fleet._leases_problem() == ""


def test_a_list_that_took_too_long_to_go_by_says_so() -> None:
    services = stage.services()
    fleet = stage.fleet(services)
    services.clock.seconds = 30.0
    fleet.note_leases((1, 9), 1.0)
    assert fleet._fresh_leases() is None
    assert "more than 20 s" in fleet._leases_problem()


CHANGES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5), st.sampled_from("pq"), st.booleans()), max_size=40)


@given(changes=CHANGES, since=st.integers(-1, 6))
def test_newcomers_of_a_pool_are_those_that_were_born_since(
    changes: list[tuple[int, int, str, bool]], since: int
) -> None:
    """Whatever came, moved to another pool and went: never one too many, never one too few, oldest first."""
    services = stage.services()
    fleet, store = stage.fleet(services), services.view.nodes.store
    for version, (number, minute, pool, goes) in enumerate(changes, start=1):
        uid = f"uid-{number}-{minute}"
        if goes:
            store.drop(uid, str(version))
        else:
            born = NOW + timedelta(minutes=minute)
            store.put(replace(node(), uid=uid, name=uid, born=born, pool=pool), str(version))
    moment = NOW + timedelta(minutes=since)
    for pool in "pq":
        wanted = sorted((one.born, one.uid) for one in fleet.in_pool(pool) if one.born >= moment)
        assert [(one.born, one.uid) for one in fleet.born_in(pool, moment)] == wanted
