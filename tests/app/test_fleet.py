"""What is remembered of leases during a term, and who was born in a pool since."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from exuvia.app.fleet import LEASES_AHEAD, LEASES_FRESH
from tests.app import stage
from tests.app.stage import NOW
from tests.evaluate.world import node


def test_leases_are_listed_anew_before_they_are_too_old_to_start_by() -> None:
    """At 20 s it is time; until 25 s a start may still go by them; what was never listed is listed by the sweep."""
    services = stage.services()
    fleet = stage.fleet(services)
    assert not fleet.leases_grow_old()
    fleet.note_leases((1, 9))
    for seconds, old, fresh in ((0.0, False, True), (LEASES_AHEAD, True, True), (LEASES_FRESH + 1, True, False)):
        services.clock.seconds = seconds
        assert fleet.leases_grow_old() is old
        assert (fleet._fresh_leases() == (1, 9)) is fresh


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
