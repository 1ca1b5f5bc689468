"""`exuvia license status` where nobody counts seats any more: it says so, and ends with 1."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from exuvia.app.leading import Leader
from exuvia.cli import license_status
from exuvia.cli.asking import Standing
from exuvia.model.specs.fleet_guard import FleetGuard
from exuvia.model.specs.license_pool import LicensePool
from tests.cli.calling import call

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
SINCE = {"lastTransitionTime": "2026-11-25T07:00:00Z"}
READY = {"type": "Ready", "status": "True", "reason": "Served", **SINCE}
FREE = {"type": "Exhausted", "status": "False", "reason": "SeatsFree", "message": "a newcomer finds a seat", **SINCE}
POOL = LicensePool.parse(
    {
        "metadata": {"name": "antivirus"},
        "spec": {"seats": 2, "target": {"selector": {}}},
        "status": {"conditions": [READY, FREE], "seats": {"total": 2, "free": 2}},
    }
)


def standing(*, renewed: int = 1, ledger: str = "") -> Standing:
    """An operator that renewed its Lease so many seconds ago, and what it says of its ledger."""
    brake = {"name": "ledger", "state": "Engaged" if ledger else "Released", "reason": ledger}
    guard = FleetGuard.parse({"metadata": {"name": "default"}, "spec": {}, "status": {"brakes": [brake]}})
    leader = Leader(holder="exuvia-1", epoch=3, renewed=NOW - timedelta(seconds=renewed))
    return Standing(guard=guard, leader=leader, now=NOW)


def asked(monkeypatch: pytest.MonkeyPatch, found: Standing, *pools: LicensePool) -> Any:
    monkeypatch.setattr(license_status.cluster, "run", lambda *_: (list(pools), found))

    def go(*options: str, code: int) -> Any:
        return call("license", "status", *options, code=code)

    return go


def test_a_pool_that_is_served_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    said = asked(monkeypatch, standing(), POOL)(code=0).stdout
    assert "antivirus" in said and "operator" not in said


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (standing(renewed=28), "No operator works: nobody leads: exuvia-1 was the last, epoch 3"),
        (standing(ledger="the ledger is not trusted: entries are missing"), "the ledger is not trusted: entries are"),
        (standing(ledger="the ledger cannot be written: disk full"), "No seat is granted or returned"),
    ],
)
def test_where_nobody_counts_it_says_so_and_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, found: Standing, why: str
) -> None:
    ask = asked(monkeypatch, found, POOL)
    assert why in ask(code=1).stdout
    document = ask("-o", "json", code=1)
    assert why in document.stderr
    assert [one["ready"] for one in json.loads(document.stdout)] == ["True"]


def test_an_agent_that_was_never_seen_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = {"type": "AgentFound", "status": "False", "reason": "AgentNotFound", "message": "no pod of it", **SINCE}
    status = {"conditions": [READY, FREE, missing], "seats": {"total": 2, "free": 2}}
    pool = LicensePool.parse({"metadata": {"name": "antivirus"}, "spec": POOL.spec.wire(), "status": status})
    assert "a newcomer finds a seat; no pod of it" in asked(monkeypatch, standing(), pool)(code=1).stdout


def test_without_a_pool_nothing_is_counted_anyway(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "No licence pool." in asked(monkeypatch, standing(renewed=28))(code=0).stdout


def test_what_may_not_be_read_is_no_finding() -> None:
    assert license_status.halt(Standing(guard=None, leader=None, now=NOW)) == ""
