"""Machines and policies for the tests of judgement."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from exuvia.evaluate import judge
from exuvia.evaluate.policies import CompiledPolicy, compile_policy
from exuvia.evaluate.rules import BY_TYPE
from exuvia.evaluate.rules.base import Answer
from exuvia.model.instances import Condition, Instance, Taint, Versions
from exuvia.model.problems import Problem
from exuvia.model.specs.security_policy import MEMBERS, Rule, RuleType, SecurityPolicy

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def node(name: str = "worker-7", **facts: Any) -> Instance:
    """A machine, born an hour ago."""
    given = {"uid": f"uid-{name}", "born": NOW - timedelta(hours=1)} | facts
    return Instance(name=name, **given)


def taint(text: str) -> Taint:
    """`key=value:Effect`."""
    rest, _, effect = text.partition(":")
    key, _, value = rest.partition("=")
    return Taint(key=key, value=value, effect=effect)


def condition(type_: str, status: str, ago: timedelta | None = timedelta(0)) -> Condition:
    return Condition(type=type_, status=status, since=None if ago is None else NOW - ago)


def versions(**facts: str) -> Versions:
    return Versions(**facts)


def rule(type_: RuleType, member: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A rule as it stands in a manifest."""
    return {"name": str(type_).lower(), "type": str(type_), MEMBERS[type_]: member, **more}


def policy(*rules: dict[str, Any], name: str = "workers", generation: int = 1, **spec: Any) -> SecurityPolicy:
    """A SecurityPolicy that selects every machine, enforced, action Rotate."""
    whole = {"mode": "Enforce", "action": "Rotate", "target": {"selector": {}}, "rules": list(rules), **spec}
    return SecurityPolicy.parse(
        {"metadata": {"name": name, "uid": f"uid-{name}", "generation": generation}, "spec": whole}
    )


def compiled(*rules: dict[str, Any], **spec: Any) -> CompiledPolicy:
    """The same, ready for use."""
    made = compile_policy(policy(*rules, **spec))
    assert isinstance(made, CompiledPolicy), made
    return made


def problems(*rules: dict[str, Any], **spec: Any) -> tuple[Problem, ...]:
    """What is wrong with a policy."""
    made = compile_policy(policy(*rules, **spec))
    assert not isinstance(made, CompiledPolicy), "there is nothing wrong with it"
    return made


def ask(type_: RuleType, member: dict[str, Any], instance: Instance, now: datetime = NOW) -> Answer:
    """What one rule says of one machine."""
    check = BY_TYPE[type_].compile(Rule.model_validate(rule(type_, member)), "spec.rules[0]")
    assert not isinstance(check, Problem), check
    return check(instance, now)


def verdict(made: CompiledPolicy, instance: Instance, now: datetime = NOW) -> str:
    return str(judge.judge(made, instance, {}, now).verdict)
