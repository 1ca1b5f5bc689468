"""Births, deaths and placements as facts; and that no clock of ours makes a life end before it began."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from exuvia.app.chronicle import Chronicle
from exuvia.model import facts
from exuvia.model.facts import DeathReason, Fact, FactKind
from exuvia.record import tables
from exuvia.record.recall import Life
from tests.app.stage import NOW
from tests.decide.quarantine.world import pod
from tests.evaluate.world import node
from tests.record import world


def chronicle(now: datetime) -> tuple[Chronicle, list[Fact]]:
    told: list[Fact] = []
    made = Chronicle(lambda *some: told.extend(some), lambda: now)
    made.load({}, {}, (), {})
    return made, told


def ends(told: list[Fact]) -> list[tuple[datetime, Any]]:
    found = [one for one in told if one.kind is FactKind.DEATH or one.body.get("event") == "to"]
    return [(one.at, one.body.get("notBefore")) for one in found]


BORN = NOW + timedelta(seconds=20)  # by the server's clock; ours is behind


@pytest.mark.parametrize("behind", [True, False])
def test_what_ends_while_our_clock_is_behind_ends_when_it_began_and_is_marked_as_uncertain(behind: bool) -> None:
    now = NOW if behind else NOW + timedelta(minutes=1)
    made, told = chronicle(now)
    machine, running = node("w", born=BORN), replace(pod("cart"), created=BORN, started=None)
    made.seen(machine)
    made.placed(running, machine.uid)
    made.unplaced(running.uid)
    made.gone(machine, DeathReason.UNKNOWN, "")
    expected = (BORN, facts.microseconds(NOW)) if behind else (now, None)
    assert ends(told) == [expected, expected]


def test_a_life_shorter_than_our_clock_lags_is_no_dead_letter(tmp_path: Path) -> None:
    made, told = chronicle(NOW)
    machine = node("w", born=BORN)
    made.seen(machine)
    made.gone(machine, DeathReason.UNKNOWN, "")
    with world.written(tmp_path / "ledger.db", *told) as connection:
        assert connection.scalar(select(func.count()).select_from(tables.dead_letters)) == 0
        died = set(connection.scalars(select(tables.lives.c.died).where(tables.lives.c.died.is_not(None))))
        assert died == {facts.microseconds(BORN)}


def test_deaths_that_nobody_saw_are_told_with_their_interval_and_given_back_for_the_counters() -> None:
    made, told = chronicle(NOW)
    life = Life(kind="Node", pool="p", born=NOW - timedelta(hours=1))
    made.load({"gone": life, "ours": life}, {"u1": NOW + timedelta(seconds=5)}, (), {})
    last = NOW - timedelta(minutes=5)
    found = made.settle(set(), set(), last, {"ours": "rotation-1"})
    assert found == [(life, DeathReason.UNKNOWN), (life, DeathReason.EXUVIA)]
    assert ends(told) == [(NOW, facts.microseconds(last))] * 2 + [(NOW + timedelta(seconds=5), facts.microseconds(NOW))]
    assert made.settle(set(), set(), last, {}) == []
