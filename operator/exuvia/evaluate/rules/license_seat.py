"""LicenseSeat: the machine holds a seat of a licence pool. One that waits holds none; what is not known is an error."""

from __future__ import annotations

from datetime import datetime

from exuvia.evaluate.rules.base import Answer, Check, RuleKind, failed, passed, unknown
from exuvia.model.cards import Card
from exuvia.model.instances import Instance
from exuvia.model.learnt import SeatSign, SeatState
from exuvia.model.problems import Problem
from exuvia.model.specs.security_policy import Rule, RuleType

NOT_ASKED = SeatSign(state=SeatState.UNKNOWN, message="nobody asked for it")


def compile_(rule: Rule, place: str) -> Check | Problem:
    """A check of the seat."""
    params = rule.license_seat
    if params is None:
        return Problem(place=f"{place}.licenseSeat", message="is not set.", remedy="Set `licenseSeat.pool`.")

    def check(instance: Instance, _: datetime) -> Answer:
        return _judge(params.pool, instance.learnt.seats.get(params.pool, NOT_ASKED))

    return check


def _judge(pool: str, sign: SeatSign) -> Answer:
    if sign.state is SeatState.HELD:
        return passed()
    if sign.state is SeatState.UNKNOWN:
        return unknown(f"whether it holds a seat of LicensePool {pool} is not known: {sign.message}")
    if sign.state is SeatState.WAITING:
        return failed(f"it waits for a seat of LicensePool {pool}{_since(sign.since)}")
    if sign.state is SeatState.DENIED:
        return failed(f"LicensePool {pool} refused it a seat: none was free when it asked")
    return failed(f"it holds no seat of LicensePool {pool}: {sign.message}")


def _since(moment: datetime | None) -> str:
    return "" if moment is None else f" since {moment:%Y-%m-%dT%H:%M:%SZ}"


RULE = RuleKind(
    type=RuleType.LICENSE_SEAT,
    compile=compile_,
    card=Card(
        name="LicenseSeat",
        description="The machine holds a seat of a LicensePool.",
        parameters=(("pool", "the name of the LicensePool"),),
        example="{name: seat, type: LicenseSeat, licenseSeat: {pool: antivirus}}",
    ),
)
