"""What the operator says of itself in the FleetGuard: whoever asks for something must know that nothing comes of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from exuvia.app import posture, uninstalling
from exuvia.decide.brakes import acting
from exuvia.model.specs.fleet_guard import FleetGuard
from exuvia.report.conditions import Said

ASKED = {"uninstall": {"by": "alice", "at": "2026-11-24T12:00:00Z"}}


def guard(**parts: Any) -> FleetGuard:
    return FleetGuard.parse({"metadata": {"name": "default"}, **parts})


def reasons(said: list[Said]) -> dict[str, str]:
    return {one.type: one.reason for one in said}


def as_served(said: list[Said]) -> dict[str, Any]:
    return {"conditions": [{"type": one.type, "status": str(one.status), "reason": one.reason} for one in said]}


def test_read_only_is_said_and_read_again() -> None:
    said = posture.said(guard(), read_only=True)
    assert reasons(said) == {"Ready": "ReadOnly"}
    assert posture.only_watches(guard(status=as_served(said)))
    assert not posture.only_watches(guard(status=as_served(posture.said(guard(), read_only=False))))
    assert not posture.only_watches(None)


def test_an_uninstall_is_said_with_the_way_back_and_taken_back_too() -> None:
    (ready,) = posture.said(guard(spec=ASKED), read_only=False)
    assert ready.reason == "Uninstalling"
    assert "alice" in ready.message and "`exuvia resume` takes that back" in ready.message
    done = {"conditions": [{"type": "Uninstalled", "status": "True", "reason": "NothingLeft"}]}
    assert reasons(posture.said(guard(spec=ASKED, status=done), read_only=False)) == {"Ready": "Uninstalling"}
    after = posture.said(guard(status=done), read_only=False)
    assert reasons(after) == {"Ready": "Watching", "Uninstalled": "TakenBack"}
    assert [one.status for one in after] == [True, False]


def test_the_way_out_and_its_sentence_are_the_same_wherever_they_are_said() -> None:
    (ready,) = posture.said(guard(), read_only=True)
    moment: Any = SimpleNamespace(read_only=True, guard=guard(spec=ASKED))
    held, left = acting.only_watching(moment), acting.leaving(moment)
    assert held is not None and left is not None
    assert held.message == f"{ready.message}; {acting.WAY_OUT}"
    assert uninstalling.READ_ONLY.startswith(f"{held.message}, or run `exuvia uninstall --force`")
    (leaving,) = posture.said(guard(spec=ASKED), read_only=False)
    assert left.message == f"exuvia is {leaving.message}"
