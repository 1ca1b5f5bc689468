"""The past as columns is the past as objects, but for machines that never lived."""

from __future__ import annotations

from pathlib import Path

import pytest

from exuvia.model.told import Page, Rows, page
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
    presence("\uffee", 2), instance("\uffee", 2), instance("a\x1fb", 1), presence("a\x1fb", 2, of="\x1f,"),
)  # fmt: skip


@pytest.fixture
def ledger(place: Place) -> Place:
    importing.load(place, lines.read(map(canonical, TOLD), recorded=0), cluster="test")
    return place


def columns(rows: Rows) -> list[list[int]]:
    return [column.tolist() for column in rows]


def same(one: Page, other: Page) -> None:
    """With the numbers of vulnerabilities that each has."""
    assert one.machines == other.machines
    assert columns(one.lives) == columns(other.lives)
    assert columns(one.freezes) == columns(other.freezes)
    assert named(one) == named(other)


def named(page: Page) -> list[tuple[object, ...]]:
    names = list(page.vulnerabilities)
    return [(machine, names[what], *others) for machine, what, *others in zip(*columns(page.presences), strict=True)]


@pytest.mark.parametrize("until", [0, 3, 5, 20])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_pages_say_what_the_objects_say(
    ledger: Place, until: float, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "PAGE", size)
    with reading(ledger) as connection:
        pages = list(telling.pages(connection, at(until)))
        known = [one for one in histories.pasts(connection, at(until)) if one.lives]

    assert (len(pages) > 1) == (size < 1000)
    assert sum(one.machines for one in pages) == len(known)
    for one in pages:
        same(one, page(known[: one.machines]))
        del known[: one.machines]


def test_machines_are_those_of_one_cluster(ledger: Place) -> None:
    told = [instance("B2", 0, learnt=1), presence("B2", 0), instance("C2", 3)]
    importing.load(ledger, lines.read(map(canonical, told), recorded=0), cluster="d")
    with reading(ledger) as connection:
        (ours,) = telling.pages(connection, at(20), cluster="d")
        same(ours, page([one for one in histories.pasts(connection, at(20)) if one.uid in ("B2", "C2")]))
        (none,) = telling.pages(connection, at(20), cluster="")
        assert (none.machines, len(none.presences.what)) == (0, 0)


def test_one_cluster_costs_as_many_steps_as_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the number of machines for each page: the operator asks so every hour, and pages are many."""
    told = [one for number in range(600) for one in (instance(f"{number:04}", 0), presence(f"{number:04}", 0))]
    path = tmp_path / "l.db"
    importing.load(path, lines.read(map(canonical, told), recorded=0), cluster="c")
    monkeypatch.setattr(telling, "PAGE", 10)
    assert steps(path, "c") < 3 * steps(path, None)


def steps(path: Path, cluster: str | None) -> int:
    """What SQLite did to read all pages, in hundreds of its instructions."""
    done = list[None]()
    with reading(path) as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.set_progress_handler(lambda: done.append(None), 100)
        pages = list(telling.pages(connection, at(1), cluster=cluster))
        driver.set_progress_handler(None, 0)
    assert sum(one.machines for one in pages) == 600
    return len(done)


def test_machines_are_found_by_a_name(ledger: Place) -> None:
    with reading(ledger) as connection:
        assert telling.named(connection, "worker-1", at(0)) == ("B",)
        assert telling.named(connection, "worker-2", at(0)) == ("C", "D")
        assert telling.named(connection, "worker-1", at(-1)) == telling.named(connection, "nobody", at(9)) == ()
