"""LicenseSeat and RiskScore: what is handed in with the machine. What is not known is never a pass."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exuvia.evaluate import judge
from exuvia.evaluate.rules.base import Answer
from exuvia.model.findings import Result
from exuvia.model.learnt import Doubt, Learnt, RiskFigure, SeatSign, SeatState
from exuvia.model.specs.security_policy import RuleType
from tests.evaluate import world
from tests.evaluate.world import NOW, ask, node


def seat(sign: SeatSign, pool: str = "antivirus") -> Answer:
    machine = node(learnt=Learnt(seats={pool: sign}))
    return ask(RuleType.LICENSE_SEAT, {"pool": "antivirus"}, machine)


def risk(max_: int, found: RiskFigure | Doubt) -> Answer:
    return ask(RuleType.RISK_SCORE, {"max": max_}, node(learnt=Learnt(risk=found)))


def figure(worst: str, *, present: int = 1, unscored: int = 0, scanned: bool = True) -> RiskFigure:
    return RiskFigure(worst=Fraction(worst), present=present, unscored=unscored, scanned=scanned)


def test_who_holds_a_seat_passes() -> None:
    assert seat(SeatSign(state=SeatState.HELD)).result is Result.PASS


def test_who_waits_fails_and_says_since_when() -> None:
    said = seat(SeatSign(state=SeatState.WAITING, since=NOW - timedelta(minutes=3)))
    assert (said.result, said.message) == (
        Result.FAIL, "it waits for a seat of LicensePool antivirus since 2026-11-25T11:57:00Z",
    )  # fmt: skip


def test_who_was_refused_or_never_asked_fails_with_the_reason() -> None:
    denied = seat(SeatSign(state=SeatState.DENIED))
    assert (denied.result, "refused" in denied.message) == (Result.FAIL, True)
    none = seat(SeatSign(state=SeatState.NONE, message="the pool does not select it"))
    assert (none.result, none.message) == (
        Result.FAIL, "it holds no seat of LicensePool antivirus: the pool does not select it",
    )  # fmt: skip


def test_a_seat_that_nobody_knows_of_is_an_error() -> None:
    unknown = seat(SeatSign(state=SeatState.UNKNOWN, message="there is no LicensePool antivirus"))
    assert unknown.result is Result.ERROR and "there is no LicensePool antivirus" in unknown.message
    other = seat(SeatSign(state=SeatState.HELD), pool="vpn")
    assert other.result is Result.ERROR, "a seat of another pool says nothing"
    assert ask(RuleType.LICENSE_SEAT, {"pool": "antivirus"}, node()).result is Result.ERROR


@pytest.mark.parametrize(
    ("worst", "limit", "result"),
    [("7", 70, Result.PASS), ("7.1", 70, Result.FAIL), ("0.1", 0, Result.FAIL), ("0", 0, Result.PASS),
     ("10", 100, Result.PASS), ("9.8", 97, Result.FAIL), ("7.05", 70, Result.FAIL)],
)  # fmt: skip
def test_the_limit_counts_tenths_and_complies_itself(worst: str, limit: int, result: Result) -> None:
    assert risk(limit, figure(worst)).result is result


def test_a_risk_that_is_too_high_says_both_numbers() -> None:
    assert risk(70, figure("9.8")).message == "its risk, a score of 9.8, is above 7.0"
    assert risk(70, figure("7.05")).message == "its risk, a score of 7.05, is above 7.0"


def test_what_is_not_known_is_an_error() -> None:
    assert risk(100, Doubt(message="the ledger cannot be read")).message.endswith("the ledger cannot be read")
    assert risk(100, Doubt(message="x")).result is Result.ERROR
    assert risk(100, figure("0", present=0, scanned=False)).result is Result.ERROR, "never scanned"
    assert risk(100, figure("0", present=0)).result is Result.PASS, "scanned and clean"
    assert risk(100, figure("5", unscored=1)).result is Result.ERROR
    assert ask(RuleType.RISK_SCORE, {"max": 100}, node()).result is Result.ERROR


def test_what_is_known_to_be_too_much_fails_whatever_else_is_not_known() -> None:
    assert risk(70, figure("9.8", unscored=4)).result is Result.FAIL


@given(
    worst=st.fractions(0, 10, max_denominator=10),
    limit=st.integers(0, 100),
    present=st.integers(0, 3),
    unscored=st.integers(0, 3),
    scanned=st.booleans(),
)
def test_a_pass_is_always_known(worst: Fraction, limit: int, present: int, unscored: int, scanned: bool) -> None:
    found = RiskFigure(worst=worst, present=present, unscored=unscored, scanned=scanned)
    if risk(limit, found).result is Result.PASS:
        assert worst * 10 <= limit and not unscored and (present or scanned)


def test_the_machine_as_it_is_stored_is_the_same_with_what_was_learnt_of_it() -> None:
    assert node() == node(learnt=Learnt(risk=figure("9.8")))


def test_the_verdict_of_a_policy_with_both() -> None:
    made = world.compiled(
        world.rule(RuleType.LICENSE_SEAT, {"pool": "antivirus"}), world.rule(RuleType.RISK_SCORE, {"max": 70})
    )
    held = {"antivirus": SeatSign(state=SeatState.HELD)}
    assert world.verdict(made, node()) == "unknown"
    assert world.verdict(made, node(learnt=Learnt(seats=held, risk=figure("5")))) == "compliant"
    found = judge.judge(made, node(learnt=Learnt(seats=held, risk=figure("8"))), {}, NOW)
    assert [one.rule for one in found.failing] == ["riskscore"]
