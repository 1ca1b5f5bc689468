"""What was pruned is a number for each vulnerability, whatever the number of machines, and weighs as it did."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from sqlalchemy import Connection

from exuvia.evaluate.risk.accumulate import accumulate
from exuvia.model.risks import RiskReport
from exuvia.record import checkpoints, histories, importing, lines, removal, telling
from exuvia.record.places import Place
from exuvia.record.reading import reading
from tests.evaluate.risk.telling import ZERO, Line, at, canonical, frozen, instance, presence, score, window
from tests.record.conftest import Owner
from tests.record.test_pruning import LATER
from tests.record.world import at as minutes

FACTORS = (Fraction(0), Fraction(1, 2), Fraction(1))


def told() -> Iterator[Line]:
    """Five machines that died at 5: one is frozen since 3 and for ever, one was frozen for an hour."""
    yield from (score(5.5, -9), score(2, -9, of="CVE-2"))
    for name in "ABCDE":
        yield from (instance(name, 0, 5, learnt=5), presence(name, 0), presence(name, 1, 2, of="CVE-2"))
    yield from (frozen("A", 3), frozen("A", 1, 2), frozen("B", 3, 4), presence("A", 0, of="CVE-3"))
    yield instance("living", 0)


def load(place: Place, *some: Line) -> None:
    importing.load(place, lines.read(map(canonical, some), recorded=0), cluster="c")


def reports(place: Place) -> list[RiskReport]:
    with reading(place) as connection:
        return [_report(connection, factor) for factor in FACTORS]


def _report(connection: Connection, factor: Fraction) -> RiskReport:
    pages, facts = telling.pages(connection, at(90)), histories.scores(connection, at(90))
    return accumulate(pages, facts, window=window(60, 80), as_of=at(90), quarantine_factor=factor)


def prune(place: Place, hours: float) -> None:
    done = removal.prune(place, cut=minutes(hours * 60), keep="1h", by="me", at=LATER, cluster="c")
    assert done.entries > 0


def test_the_answer_after_the_cut_is_the_same_by_any_factor(place: Place, owner: Owner) -> None:
    assert minutes(0) == ZERO
    load(place, *told())
    before = reports(place)
    assert [one.exposures.undead for one in before] == [20 * (5.5 + 2) * (4 + factor) for factor in FACTORS]
    prune(owner(place), 20)
    assert reports(place) == before
    load(place, instance("F", 21, 22, learnt=22), presence("F", 21), frozen("F", 21))
    load(place, instance("last", 50))
    again = reports(place)
    prune(owner(place), 40)
    assert reports(place) == again
    assert [one.exposures.undead for one in again] == [
        one.exposures.undead + 20 * factor * Fraction(11, 2) for one, factor in zip(before, FACTORS, strict=True)
    ]


def test_a_checkpoint_carries_apart_who_died_frozen(place: Place, owner: Owner) -> None:
    load(place, *told())
    prune(owner(place), 20)
    with reading(place) as connection:
        carried = checkpoints.carried(connection, "c")
    assert carried["presences"] == [["CVE-1", 4], ["CVE-2", 4]]
    assert carried["frozenPresences"] == [["CVE-1", 1], ["CVE-2", 1], ["CVE-3", 1]]


def test_many_pruned_machines_are_one_page_of_as_many_rows_as_vulnerabilities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3,000 vulnerabilities on 10,000 machines were 30,000,000 rows."""
    body = {"cut": at(5), "carried": {"presences": [[f"CVE-{number}", 10_000] for number in range(3000)]}}
    load(tmp_path / "l.db", instance("living", 0), score(5.5, -9))
    monkeypatch.setattr(checkpoints, "last", lambda connection, cluster: [(1, body)])
    with reading(tmp_path / "l.db") as connection:
        pages = list(telling.pages(connection, at(90)))
        asked = telling.pages(connection, at(90))
        found = accumulate(asked, histories.scores(connection, at(90)), window=window(60, 80), as_of=at(90))
    assert sum(len(one.presences.what) for one in pages) == 0
    assert [len(one.gone.what) for one in pages if one.gone is not None] == [3000, 0]
    assert found.exposures.undead == 10_000 * 20 * Fraction(11, 2)
