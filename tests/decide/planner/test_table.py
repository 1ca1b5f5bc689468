"""The table of brakes (operations.md), row by row: what holds a Rotation, what a Quarantine, what hardLimit and bypass
lift. `world_for` makes a fleet of which one machine is wanted, and everything else lets it go."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from exuvia.decide.brakes.knowledge import ledger_for_rotation
from exuvia.model.facts import LedgerHealth, LedgerState
from exuvia.model.specs.security_policy import Action, Severity
from tests.decide.planner.rows import ROWS, SUSPECT, Row, engaged, world_for
from tests.decide.planner.world import (
    DAY,
    NOW,
    quarantine,
    rotation,
    wish,
)


@pytest.mark.parametrize("action", [Action.ROTATE, Action.QUARANTINE])
def test_with_no_brake_engaged_it_starts(action: Action) -> None:
    world = world_for(wish(SUSPECT, action))
    assert [one.instance for one in world.plan().openings] == [SUSPECT.uid]


@ROWS
def test_what_holds_a_rotation(row: Row) -> None:
    world = engaged(row, wish(SUSPECT))
    assert world.reason(SUSPECT) == row.rotation
    assert len(world.started()) == (0 if row.rotation else 1)


@ROWS
def test_what_holds_a_quarantine(row: Row) -> None:
    world = engaged(row, wish(SUSPECT, Action.QUARANTINE))
    assert world.reason(SUSPECT) == row.quarantine
    assert len(world.started("Quarantine")) == (0 if row.quarantine else 1)


@ROWS
def test_what_a_hard_limit_lifts(row: Row) -> None:
    world = engaged(row, wish(SUSPECT, hard=True))
    assert world.reason(SUSPECT) == ("" if row.lifted_when_hard else row.rotation)


@ROWS
def test_what_a_bypass_may_lift(row: Row) -> None:
    world = engaged(row, wish(SUSPECT, severity=Severity.HIGH))
    assert world.reason(SUSPECT) == ("" if row.lifted_by_bypass else row.rotation)


@ROWS
def test_a_finding_that_is_not_severe_enough_passes_nothing(row: Row) -> None:
    world = engaged(row, wish(SUSPECT, severity=Severity.MEDIUM))
    assert world.reason(SUSPECT) == row.rotation


MANUAL_IS_NOT_CONCERNED = ("pool halted", "back-off", "called off", "returned")
A_PERSONS_QUARANTINE_MAY = (*MANUAL_IS_NOT_CONCERNED, "guard unreadable")


@ROWS
def test_what_holds_a_manual_rotation(row: Row) -> None:
    world = engaged(row, wish(SUSPECT))
    world.subjects[0] = replace(world.subjects[0], wish=None)
    world.rotations.append(rotation(SUSPECT, by_policy=False, number=9))
    expected = "" if row.name in MANUAL_IS_NOT_CONCERNED else row.rotation
    assert world.reason(SUSPECT) == expected
    assert len(world.started()) == (0 if expected else 1)


@ROWS
def test_what_holds_a_persons_quarantine(row: Row) -> None:
    world = engaged(row, wish(SUSPECT))
    world.subjects[0] = replace(world.subjects[0], wish=None)
    world.quarantines.append(quarantine(SUSPECT, by_policy=False, number=9))
    expected = "" if row.name in A_PERSONS_QUARANTINE_MAY else row.quarantine
    assert world.reason(SUSPECT) == expected


RELEASES_ARE_HELD_BY = (
    "pause",
    "guard deleted",
    "guard unreadable",
    "uninstall",
    "read-only",
    "view unsynced",
    "view old",
    "view never heard of",
    "ledger locked",
    "ledger locked too long",
    "ledger down",
    "ledger not trusted",
    "own machine, pinned",
)


@ROWS
def test_what_holds_the_rotation_of_a_released_machine(row: Row) -> None:
    world = engaged(row, wish(SUSPECT))
    world.subjects[0] = replace(world.subjects[0], wish=None)
    release = {"by": "alice", "verdict": "Rotate"}
    held = quarantine(SUSPECT, "Held", created=NOW - 2 * DAY, number=8, release_accepted=release)
    world.quarantines.append(held)
    world.rotations.append(rotation(SUSPECT, by_policy=False, number=9, spec={"releasedFrom": held.name}))
    expected = row.rotation if row.name in RELEASES_ARE_HELD_BY else ""
    assert world.reason(SUSPECT) == expected
    assert len(world.started()) == (0 if expected else 1)


def test_a_sentence_about_the_ledger_ends_once() -> None:
    """Its way out ends with a full stop, and the brake adds what follows from it."""
    message = "it misses entry 3. Run `accept --reason TEXT`."
    health = LedgerHealth(state=LedgerState.NOT_TRUSTED, message=message, since=NOW)
    picture: Any = SimpleNamespace(moment=SimpleNamespace(ledger=health), now=NOW)
    candidate: Any = None
    held = ledger_for_rotation(candidate, picture)
    assert held is not None
    assert held.message.endswith("Run `accept --reason TEXT`; no Rotation starts without it")
