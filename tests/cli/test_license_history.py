"""`exuvia license history --license`: what a LicensePool really did, from the entries of its seats in the ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exuvia.cli import pool_history
from exuvia.decide.seats import advance, entries
from exuvia.model import facts
from exuvia.model.facts import microseconds
from exuvia.model.seats import Claim, Claimant, Died, SeatEvent, Seats, Terms
from tests.cli.calling import answer, call
from tests.record import world

START = datetime(2026, 1, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = 60_000_000
DAY = "2026-01-01"
FIRST_HOUR = ("--from", f"{DAY}T00:00:00Z", "--to", f"{DAY}T01:00:00Z")


def at(minute: int) -> int:
    return microseconds(START) + minute * MINUTE


def claim(uid: str, minute: int) -> SeatEvent:
    return Claim(at=at(minute), claimant=Claimant(uid=uid))


def seats(*events: SeatEvent, pool: str = "antivirus", uid: str = "P", number: int = 3) -> list[facts.Fact]:
    """What an operator entered of a pool with so many seats."""
    told = advance(Seats(at=at(0) - 1), Terms(seats=number), events, until=at(600)).told
    return [facts.seat(entries.body(one, pool=pool, uid=uid), EPOCH + timedelta(microseconds=one.at)) for one in told]


WORKED = (claim("A", 0), claim("B", 5), claim("C", 10), claim("D", 12), Died(at=at(15), uid="A"))
BIRTHS = tuple(world.birth(uid, minute) for uid, minute in (("A", 0), ("B", 5), ("C", 10), ("D", 12), ("E", 0)))


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """The worked case as it really was, and a fifth machine that never wanted a seat."""
    file = tmp_path / "ledger.db"
    with world.written(
        file, *BIRTHS, *seats(*WORKED), world.death("A", 15), *seats(claim("x", 0), pool="scanner", uid="S")
    ):
        return file


def history(ledger: Path, *options: object) -> Any:
    return answer("license", "history", "--ledger", ledger, *FIRST_HOUR, *options)


def test_the_worked_case_is_told_from_its_entries(ledger: Path) -> None:
    found = history(ledger, "--license", "antivirus")
    assert found["periods"] == [
        {
            "from": f"{DAY}T00:00:00Z",
            "to": f"{DAY}T01:00:00Z",
            "denials": 0,
            "unmetSeatSeconds": 180,
            "highWater": {"used": 3, "demanded": 4},
            "seatHours": 2.75,
            "utilisation": None,
            "overcommitted": 0,
        }
    ]
    assert (found["license"], found["seats"]) == ("antivirus", None)
    assert "prunedBefore" not in found
    assert found["meters"] == {"monthlyHighWater": [{"month": "2026-01", "seats": 3}], "assessedIn90Days": 4}
    said = call("license", "history", "--ledger", ledger, *FIRST_HOUR, "--license", "antivirus")
    assert "machines that held a seat in the last 90 days  4" in said.stdout
    assert said.stderr == ""


def test_what_was_pruned_is_said_where_the_answer_looks_so_far_back(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts = {"c": at(-1)}
    monkeypatch.setattr(pool_history.checkpoints, "cut", lambda _, chains: cuts[chains[0]])
    assert history(ledger, "--license", "antivirus")["prunedBefore"] == "2025-12-31T23:59:00Z"
    said = call("license", "history", "--ledger", ledger, *FIRST_HOUR, "--license", "antivirus").stderr
    assert "machines that died before 2025-12-31T23:59:00Z were pruned: their seats are not in this" in said
    cuts["c"] = at(-90 * 24 * 60)  # before all that the meters count
    assert "prunedBefore" not in history(ledger, "--license", "antivirus")


def test_a_pool_that_was_made_anew_is_one_history(tmp_path: Path) -> None:
    again = seats(claim("N", 30), uid="Q")
    with world.written(tmp_path / "l.db", *seats(claim("A", 0), Died(at=at(15), uid="A")), *again):
        pass
    found = history(tmp_path / "l.db", "--license", "antivirus")
    assert (found["periods"][0]["seatHours"], found["meters"]["assessedIn90Days"]) == (0.75, 2)


def test_a_replay_of_all_machines_says_that_it_is_one(ledger: Path) -> None:
    ask = ("license", "history", "--ledger", ledger, *FIRST_HOUR)
    plain = call(*ask)
    assert plain.stderr.count("\n") == 1
    assert "replays all machines that lived" in plain.stderr
    assert "--license, with one of antivirus, scanner" in plain.stderr
    for supposed in (("--seats", 3), ("--grace", "1m"), ("--reclaim-delay", "1m"), ("--exhaustion", "Deny")):
        assert call(*ask, *supposed).stderr == ""


def test_where_no_pool_was_ever_told_of_a_replay_says_nothing(tmp_path: Path) -> None:
    with world.written(tmp_path / "l.db", *BIRTHS):
        pass
    ask = ("license", "history", "--ledger", tmp_path / "l.db", *FIRST_HOUR)
    assert call(*ask).stderr == ""
    assert "It tells of none: `exuvia license status`" in call(*ask, "--license", "antivirus", code=2).stderr


@pytest.mark.parametrize(
    "option",
    [
        ("--seats", 3), ("--exhaustion", "Deny"), ("--grace", "1m"), ("--reclaim-delay", "1m"), ("--pool", "p"),
        ("--facts", "-"),
    ],
)  # fmt: skip
def test_nothing_can_be_supposed_of_what_was(ledger: Path, option: tuple[object, ...]) -> None:
    ask = ("license", "history", "--ledger", ledger, *FIRST_HOUR, "--license", "antivirus", *option)
    assert f"--license tells what was: {option[0]} does not go with it." in call(*ask, code=2).stderr


def test_a_pool_that_is_not_known_names_those_that_are(ledger: Path) -> None:
    ask = ("license", "history", "--ledger", ledger, *FIRST_HOUR, "--license", "viruses")
    said = call(*ask, code=2).stderr
    assert "The ledger tells of no LicensePool 'viruses'." in said and "It tells of antivirus, scanner." in said


@pytest.mark.parametrize("command", [("history",), ("simulate", "--seats", 3), ("forecast",)])
def test_a_license_pool_is_no_pool_of_machines(ledger: Path, command: tuple[object, ...]) -> None:
    ask = ("license", *command, "--ledger", ledger, *FIRST_HOUR, "--pool")
    said = call(*ask, "antivirus", code=2).stderr
    assert "'antivirus' is a LicensePool, and --pool names a pool of machines" in said
    assert "exuvia license history --license antivirus" in said
    assert "No machine of the pool 'viruses' is known." in call(*ask, "viruses", code=2).stderr
    assert "(a node pool, not a LicensePool)" in " ".join(call("license", command[0], "--help").stdout.split())
