"""An import reads what the chain says once, however many of its lines it has to ask for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection

from exuvia.record import appending, importing, opening, settling
from exuvia.record.places import Place
from tests.record.test_importing import parsed, rfc, said

WRITER = appending.Writer(cluster="c", epoch=1)
STEPS = 1000


def scores(number: int, value: int) -> list[str]:
    """Scores of as many vulnerabilities, all learnt at one moment."""
    return [score(f"V{one}", value) for one in range(number)]


def score(vulnerability: str, value: int, **more: str) -> str:
    thing = {"vulnerability": vulnerability, "source": "cvss", "validFrom": rfc(0), "recordedAt": rfc(5)}
    return said("score", value=value, **thing, **more)


def presences(number: int, value: int) -> list[str]:
    """As many vulnerabilities of one machine."""
    thing = {"uid": "A", "from_": rfc(0), "recordedAt": rfc(5)}
    return [said("presence", vulnerability=f"V{one}", to=rfc(value), **thing) for one in range(number)]


def load(place: Place, texts: list[str], cluster: str = "c") -> tuple[int, int]:
    """(entered, known)."""
    found = importing.load(place, parsed(*texts), cluster=cluster)
    return found.entered, found.known


def work(place: Place, number: int, told: Callable[[int, int], list[str]]) -> int:
    """What it costs a chain to be told something else of all that another chain tells otherwise, too: steps of SQLite's
    machine, in thousands."""
    load(place, told(number, 5))
    load(place, told(number, 6), cluster="d")
    engine = opening.open_for_writing(place)
    try:
        with engine.begin() as connection:
            counted = counting(connection)
            found = importing.enter(connection, parsed(*told(number, 7)), WRITER)
            assert (found.entered, found.known) == (number, 0)
            return counted()
    finally:
        engine.dispose()


def counting(connection: Connection) -> Callable[[], int]:
    steps = list[int]()

    def step() -> int:
        steps.append(1)
        return 0

    connection.connection.dbapi_connection.set_progress_handler(step, STEPS)  # type: ignore[union-attr]
    return lambda: len(steps)


@pytest.mark.parametrize("told", [scores, presences])
def test_four_times_as_many_lines_cost_four_times_as_much(
    tmp_path: Path, told: Callable[[int, int], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On SQLite, whose steps can be counted. What a server reads depends on what it guesses of tables this small."""
    monkeypatch.setattr(settling, "PAGE", 50)
    few, many = (work(tmp_path / f"{number}.db", number, told) for number in (100, 400))
    assert many < 5 * few, f"{few} for 100 lines, {many} for 400"


def test_what_an_earlier_page_said_is_known(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the chain was asked, and since: in whatever words, and of whatever kind."""
    monkeypatch.setattr(settling, "PAGE", 2)
    for told in (scores, presences):
        load(place, told(1, 9), cluster="d")
        lines = [one for value in (3, 4, 3, 5, 4, 3) for one in told(1, value)]
        assert load(place, lines) == (3, 3)
        assert load(place, [*lines, *told(1, 9), *told(2, 9)]) == (2, 7)


def test_a_score_is_known_whatever_else_it_says(place: Place) -> None:
    """Also what looks like the name of a machine, or like what follows on the body of an entry."""
    odd = [score("V", 3, uid="A", cluster="d"), score("V", 4, note='","cluster":"d'), score("W", 3)]
    load(place, scores(1, 9), cluster="d")
    load(place, [score("V", 9)])
    assert [load(place, odd), load(place, odd)] == [(3, 0), (0, 3)]


def test_what_another_chain_says_word_for_word_is_told_to_this_one(place: Place) -> None:
    for told in (scores, presences):
        for value in (3, 9):
            load(place, told(1, value), cluster="d")
        assert [load(place, told(1, 3)), load(place, told(1, 3))] == [(1, 0), (0, 1)]
