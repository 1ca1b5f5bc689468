"""What is remembered of leases during a term."""

from __future__ import annotations

from exuvia.app.fleet import LEASES_AHEAD, LEASES_FRESH
from tests.app import stage


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
