"""Conditions: no listed condition has its bad status for as long as `sustainedFor`, from lastTransitionTime."""

from __future__ import annotations

from datetime import datetime

from exuvia.evaluate.rules.base import Answer, Check, RuleKind, failed, passed, skipped, unknown
from exuvia.model.cards import Card
from exuvia.model.findings import Result
from exuvia.model.instances import Instance
from exuvia.model.problems import Problem
from exuvia.model.specs.common import format_duration
from exuvia.model.specs.security_policy import BadCondition, ConditionsRule, Rule, RuleType


def compile_(rule: Rule, place: str) -> Check | Problem:
    """A check of the conditions."""
    params = rule.conditions
    if params is None:
        return Problem(place=f"{place}.conditions", message="is not set.", remedy="List at least one bad condition.")

    def check(instance: Instance, now: datetime) -> Answer:
        return _together([_one(bad, params, instance, now) for bad in params.bad])

    return check


def _one(bad: BadCondition, params: ConditionsRule, instance: Instance, now: datetime) -> Answer:
    found = instance.condition(bad.type)
    if found is None and bad.status != "Unknown":
        return skipped(f"no condition {bad.type}")
    status, since = ("Unknown", instance.born) if found is None else (found.status, found.since)
    if status != bad.status:
        return passed()
    if since is None:
        return unknown(f"{bad.type} is {status}, since when is not reported")
    due = since + params.sustained_for
    if now < due:
        return passed(until=due)
    return failed(f"{bad.type} is {status} for {format_duration(params.sustained_for)} or longer")


def _together(answers: list[Answer]) -> Answer:
    """Any fail fails, else any error errs, else what passes passes; all absent: skip."""
    until = min((one.until for one in answers if one.until is not None), default=None)
    for result, make in ((Result.FAIL, failed), (Result.ERROR, unknown)):
        said = [one.message for one in answers if one.result is result]
        if said:
            return make("; ".join(said), until=until)
    if all(one.result is Result.SKIP for one in answers):
        return skipped("; ".join(one.message for one in answers))
    return passed(until=until)


RULE = RuleKind(
    type=RuleType.CONDITIONS,
    compile=compile_,
    card=Card(
        name="Conditions",
        description="No listed condition has its bad status for as long as `sustainedFor`.",
        parameters=(
            ("sustainedFor", "how long the bad status must last (default 0s)"),
            ("bad", "list of {type, status}; an absent condition is skipped unless `status: Unknown` is what is bad"),
        ),
        example="{name: ready, type: Conditions, "
        "conditions: {sustainedFor: 15m, bad: [{type: Ready, status: Unknown}]}}",
    ),
)
