"""Judging one instance by one policy, and by all that select it. Pure: the same facts and moment, the same verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from exuvia.evaluate.expressions import Outcome
from exuvia.evaluate.policies import CompiledPolicy, CompiledRule
from exuvia.evaluate.rules.base import Answer, failed, passed, unknown
from exuvia.model.findings import Assessment, Finding, Judgement, Result, Verdict
from exuvia.model.instances import Instance
from exuvia.model.specs.security_policy import FailurePolicy, RuleType

Outcomes = Mapping[str, Mapping[str, Outcome]]
"""Policy UID -> rule name -> what the expression said of this instance."""


def judge(policy: CompiledPolicy, instance: Instance, outcomes: Mapping[str, Outcome], now: datetime) -> Assessment:
    """All findings of one policy. Unknown is `error`, never `pass`."""
    findings = tuple(_finding(rule, instance, outcomes.get(rule.name), now) for rule in policy.rules)
    return Assessment(
        policy=policy.name,
        policy_uid=policy.uid,
        generation=policy.generation,
        verdict=verdict(findings),
        findings=findings,
        until=min((one.until for one in findings if one.until is not None), default=None),
    )


def judge_all(policies: Iterable[CompiledPolicy], instance: Instance, outcomes: Outcomes, now: datetime) -> Judgement:
    """By every policy that selects it."""
    said = {
        policy.name: judge(policy, instance, outcomes.get(policy.uid, {}), now)
        for policy in policies
        if policy.selects(instance)
    }
    until = min((one.until for one in said.values() if one.until is not None), default=None)
    return Judgement(uid=instance.uid, assessments=said, until=until)


def verdict(findings: Iterable[Finding]) -> Verdict:
    """Any fail = violating; else any error = unknown; else compliant (api.md, Results)."""
    results = {one.result for one in findings}
    if Result.FAIL in results:
        return Verdict.VIOLATING
    return Verdict.UNKNOWN if Result.ERROR in results else Verdict.COMPLIANT


def _finding(rule: CompiledRule, instance: Instance, outcome: Outcome | None, now: datetime) -> Finding:
    if rule.type is RuleType.EXPRESSION and outcome is not None:
        answer = _from_outcome(rule, outcome)
    else:
        answer = rule.check(instance, now)
    return Finding(
        rule=rule.name,
        result=answer.result,
        message=answer.message,
        severity=rule.severity,
        action=rule.action,
        hard=answer.hard,
        until=answer.until,
    )


def _from_outcome(rule: CompiledRule, outcome: Outcome) -> Answer:
    if outcome.compliant is None:
        # A stopped expression and an evaluation error differ: only the latter may be told to count as a fail.
        if rule.source.failure_policy is FailurePolicy.FAIL and not outcome.message.startswith(STOPPED):
            return failed(f"evaluation failed: {outcome.message}")
        return unknown(outcome.message)
    return passed() if outcome.compliant else failed(outcome.message)


STOPPED = "stopped: "
"""How the message of an expression begins that had to be stopped from outside."""
