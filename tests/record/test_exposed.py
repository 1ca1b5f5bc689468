"""What makes the risk of this moment, read from either kind of ledger: what holds says the same as everything told."""

from __future__ import annotations

from typing import Any

import pytest

from exuvia.app.risks import AHEAD, figures
from exuvia.evaluate.risk import moment, scores
from exuvia.record import appending, exposed, histories, importing, lines, removal
from exuvia.record.places import Place
from exuvia.record.reading import reading
from tests.evaluate.risk.telling import at, canonical, frozen, instance, presence, score
from tests.record.conftest import Owner
from tests.record.test_pruning import LATER
from tests.record.world import at as minutes

TOLD = (
    instance("A", 0), presence("A", 0), presence("A", 0, of="CVE-2"), presence("A", 1, 2, of="CVE-3"),
    presence("A", 0, 5, learnt=5, closed="patched"), frozen("A", 3, 4),
    instance("B", 0), instance("B", 0, 4, learnt=4), presence("B", 0),
    instance("C", 0), presence("C", 0), presence("C", 0, learnt=6, withdrawn=True), presence("C", 2, of="CVE-4"),
    instance("D", 0), presence("D", 0, of="CVE-2"), frozen("D", 1),
    score(5.0, 0), score(9.8, 3), score(7.5, 0, of="CVE-2"), score(1.0, 0, of="CVE-2", source="vex", learnt=6),
    score(0.9, 0, of="CVE-2", source="epss"), score(1, 0, of="CVE-4", source="kev"),
)  # fmt: skip
UIDS = ("A", "B", "C", "D", "nobody")


def load(place: Place, *told: Any, cluster: str = "c") -> None:
    importing.load(place, lines.read(map(canonical, told), recorded=0), cluster=cluster)


@pytest.fixture
def ledger(place: Place) -> Place:
    load(place, *TOLD)
    return place


@pytest.mark.parametrize("hour", [1, 3, 4, 7])
def test_figures_of_what_holds_are_those_of_everything_told(ledger: Place, hour: int) -> None:
    until = at(hour) + AHEAD
    with reading(ledger) as connection:
        known = scores.histories(histories.scores(connection, until), until)
        expected = {
            one.uid: moment.figure(one, known, time=at(hour), as_of=until)
            for one in histories.pasts(connection, until)
            if one.presences
        }
        assert figures(connection, UIDS, at(hour)) == expected


def test_scores_leave_out_what_is_none(ledger: Place) -> None:
    with reading(ledger) as connection:
        assert {one.source for one in exposed.scores_of_all(connection)} == {"cvss", "vex"}
        assert {one.vulnerability for one in exposed.scores(connection, ["CVE-2", "CVE-4"])} == {"CVE-2"}


@pytest.mark.parametrize("few", [0, 100])
def test_a_report_reads_the_scores_of_what_was_on_machines_where_there_are_many(
    ledger: Place, owner: Owner, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """Those that were pruned among them, which `undead` counts."""
    load(ledger, score(7, 0, of="elsewhere"), score(0.5, 0, of="elsewhere", source="epss"), score(7, 0, of="gone"))
    load(ledger, instance("gone", 0, 1, learnt=1), presence("gone", 0, of="gone"), score(0.3, 9, source="epss"))
    load(ledger, instance("last", 50))
    removal.prune(owner(ledger), cut=minutes(600), keep="1h", by="me", at=LATER, cluster="c")
    monkeypatch.setattr(exposed, "FEW", few)
    with reading(ledger) as connection:
        found = list(exposed.facts(connection, at(8)))
        everything = list(histories.scores(connection, at(8)))
        current = {one.vulnerability for one in exposed.scores_of_all(connection)}
    machines = {"CVE-1", "CVE-2", "CVE-4", "gone"}
    assert {one.vulnerability for one in found} == machines | ({"elsewhere"} if few else set())
    assert found == [one for one in everything if few or one.vulnerability in machines]
    assert {one.source for one in found} == {"cvss", "vex", "epss", "kev"}
    assert current == {"CVE-1", "CVE-2", "gone"}


def test_news_are_of_who_is_asked_about_after_an_entry(ledger: Place) -> None:
    with reading(ledger) as connection:
        head = appending.head(connection, "c").seq
        everything = exposed.news(connection, "c", 0, UIDS)
    assert (everything.uids, everything.scores, everything.head) == (frozenset("ABCD"), True, head)
    load(ledger, presence("A", 7), presence("B", 1), score(0.1, 1, source="epss"))
    with reading(ledger) as connection:
        found = exposed.news(connection, "c", head, {"A"})
        assert (found.uids, found.scores) == (frozenset("A"), False)
        assert exposed.news(connection, "c", found.head, {"A"}).uids == frozenset()
    load(ledger, score(3.0, 1))
    with reading(ledger) as connection:
        assert exposed.news(connection, "c", found.head, {"A"}).scores
