"""`exuvia explain` says of seats and risk what the operator's ledger holds; what it does not hold is not known."""

from __future__ import annotations

import json
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from exuvia import errors
from exuvia.app import relearning
from exuvia.app.policies import Policies
from exuvia.decide.seats import entries
from exuvia.model import facts
from exuvia.model.facts import microseconds
from exuvia.model.learnt import Doubt, Learnt, RiskFigure, SeatState
from exuvia.model.seats import Claimant, Granted, Lease, Queued, Waiting
from exuvia.model.specs.security_policy import RuleType
from exuvia.record import importing, lines
from tests.app.stage import NOW, Objects
from tests.app.test_risks import life, presence, score
from tests.evaluate import world as judging
from tests.evaluate.world import node
from tests.record import world

AT = microseconds(NOW - timedelta(minutes=5))
SEATED, WAITS = node("w"), node("x")


@pytest.fixture
def policies() -> Policies:
    made = Policies()
    rules = (
        judging.rule(RuleType.LICENSE_SEAT, {"pool": "antivirus"}),
        judging.rule(RuleType.RISK_SCORE, {"max": 70}),
    )
    made.refresh([judging.policy(*rules)])
    return made


@pytest.fixture
def cluster() -> Objects:
    made = Objects()
    made.kept["antivirus"] = {"metadata": {"name": "antivirus", "uid": "P"}}
    return made


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    path = tmp_path / "ledger.db"
    told = (life("w"), life("x"), presence("w", "CVE-1"), score("CVE-1", 9.8))
    importing.load(path, lines.read((json.dumps(one) for one in told), recorded=AT), cluster="c")
    granted = Granted(at=AT, lease=Lease(holder=Claimant(uid="uid-w"), since=AT, order=1, heard=AT))
    queued = Queued(at=AT, place=Waiting(claimant=Claimant(uid="uid-x"), since=AT, order=2))
    seats = [facts.seat(entries.body(one, pool="antivirus", uid="P"), NOW) for one in (granted, queued)]
    with world.written(path, *seats):
        return str(path)


async def learnt(cluster: Any, ledger: str, policies: Policies, machine: Any) -> Learnt:
    found = await relearning.learnt(cluster, ledger, policies, machine, NOW)
    assert (found.uid, found.name) == (machine.uid, machine.name)
    return found.learnt


def doubt(found: Learnt) -> str:
    assert isinstance(found.risk, Doubt)
    return found.risk.message


async def test_what_the_ledger_holds_is_said(cluster: Objects, ledger: str, policies: Policies) -> None:
    found = await learnt(cluster, ledger, policies, SEATED)
    assert found.seats["antivirus"].state is SeatState.HELD
    assert isinstance(found.risk, RiskFigure) and found.risk.worst == Fraction("9.8")
    other = await learnt(cluster, ledger, policies, WAITS)
    assert (other.seats["antivirus"].state, other.seats["antivirus"].since) == (
        SeatState.WAITING, NOW - timedelta(minutes=5),
    )  # fmt: skip
    assert "only the operator knows" in doubt(other)


async def test_without_a_ledger_nothing_is_known_and_the_option_is_named(cluster: Objects, policies: Policies) -> None:
    found = await learnt(cluster, "", policies, SEATED)
    assert "--ledger" in doubt(found) and "--ledger" in found.seats["antivirus"].message
    assert judging.verdict(policies.compiled["workers"], SEATED) == "unknown"


async def test_a_ledger_that_is_not_there_is_said(cluster: Objects, tmp_path: Path, policies: Policies) -> None:
    found = await learnt(cluster, str(tmp_path / "none.db"), policies, SEATED)
    assert "the ledger cannot be read" in doubt(found)
    assert found.seats["antivirus"].state is SeatState.UNKNOWN


async def test_a_pool_that_is_not_there_or_may_not_be_read_is_said(
    cluster: Objects, ledger: str, policies: Policies
) -> None:
    cluster.kept.clear()
    assert (await learnt(cluster, ledger, policies, SEATED)).seats["antivirus"].message == (
        "there is no LicensePool antivirus"
    )
    cluster.trouble = errors.Forbidden("you may not")
    found = (await learnt(cluster, ledger, policies, SEATED)).seats["antivirus"]
    assert found.state is SeatState.UNKNOWN and "you may not" in found.message


async def test_a_machine_that_the_ledger_does_not_know(cluster: Objects, ledger: str, policies: Policies) -> None:
    found = (await learnt(cluster, ledger, policies, node("stranger"))).seats["antivirus"]
    assert (found.state, found.message) == (SeatState.UNKNOWN, "the ledger does not know the machine")


async def test_where_no_rule_asks_the_ledger_is_not_opened(cluster: Objects) -> None:
    assert await relearning.learnt(cluster, "nowhere", Policies(), SEATED, NOW) is SEATED
