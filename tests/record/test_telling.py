"""The past as rows is the past as objects, but for machines that never lived."""

from __future__ import annotations

import pytest

from exuvia.model.told import past
from exuvia.model.told import rows as each
from exuvia.record import histories, importing, lines, telling
from exuvia.record.places import Place
from exuvia.record.reading import reading
from tests.evaluate.risk.telling import at, canonical, frozen, instance, presence

TOLD = (
    instance("B", 0, name="worker-1"), instance("B", 0, 9, learnt=9, name="worker-1", reason="exuvia"),
    presence("B", 0), presence("B", 0, 4, learnt=5, closed="patched"), presence("B", 1, of="CVE-2", withdrawn=True),
    presence("A", 0), frozen("A", 0),
    instance("C", 0, name="worker-2"), instance("D", 0, name="worker-2", withdrawn=True), frozen("D", 1, 2),
    presence("E", 0), presence("C", 3), instance("ä", 2, 3), presence("ä", 2), presence("𐀀", 2), instance("𐀀", 2),
    presence("\uffee", 2), instance("\uffee", 2),
)  # fmt: skip


@pytest.fixture
def ledger(place: Place) -> Place:
    importing.load(place, lines.read(map(canonical, TOLD), recorded=0), cluster="test")
    return place


@pytest.mark.parametrize("until", [0, 3, 5, 20])
def test_rows_say_what_the_objects_say(ledger: Place, until: float) -> None:
    with reading(ledger) as connection:
        told = list(telling.machines(connection, at(until)))
        known = [one for one in histories.pasts(connection, at(until)) if one.lives]

    assert [one.uid for one in told] == [one.uid for one in known]
    for rows, objects in zip(told, known, strict=True):
        found = past(rows, each(rows))
        assert (found.presences, found.freezes) == (objects.presences, objects.freezes)
        assert [(one.recorded, one.born, one.died, one.reason, one.withdrawn) for one in found.lives] == [
            (one.recorded, one.born, one.died, one.reason, one.withdrawn) for one in objects.lives
        ]


def test_machines_are_found_by_a_name(ledger: Place) -> None:
    with reading(ledger) as connection:
        assert telling.named(connection, "worker-1", at(0)) == ("B",)
        assert telling.named(connection, "worker-2", at(0)) == ("C", "D")
        assert telling.named(connection, "worker-1", at(-1)) == telling.named(connection, "nobody", at(9)) == ()
