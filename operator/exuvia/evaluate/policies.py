"""Compiling a policy: everything the schema cannot check, then checks that can be run over thousands of machines."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from exuvia.evaluate import cel
from exuvia.evaluate.rules import BY_TYPE
from exuvia.evaluate.rules.base import Check
from exuvia.model import cron
from exuvia.model.instances import Instance
from exuvia.model.problems import Problem
from exuvia.model.specs.security_policy import (
    Action,
    Rule,
    RuleType,
    SecurityPolicy,
    SecurityPolicySpec,
    Severity,
    not_supported,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledRule:
    """A rule with what it inherits from its policy, and its check."""

    name: str
    type: RuleType
    severity: Severity
    action: Action
    check: Check
    source: Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledPolicy:
    """A policy that can be used. `expressions` says that it needs whole objects; `uses_now` that time changes them."""

    name: str
    uid: str
    generation: int
    spec: SecurityPolicySpec
    rules: tuple[CompiledRule, ...]
    expressions: bool
    uses_now: bool

    def selects(self, instance: Instance) -> bool:
        """Whether the policy is about this machine."""
        return selects(self.spec, instance)


def selects(spec: SecurityPolicySpec, instance: Instance) -> bool:
    """`target.selector` minus `target.exclude`; `{}` selects all, an `exclude` of `{}` therefore leaves none."""
    target = spec.target
    if target.kind.value != instance.kind.value or not target.selector.matches(instance.labels):
        return False
    return target.exclude is None or not target.exclude.matches(instance.labels)


def compile_policy(policy: SecurityPolicy) -> CompiledPolicy | tuple[Problem, ...]:
    """All problems at once, or the policy ready for use."""
    spec = policy.spec
    problems = [*_unserved(spec), *_schedules(spec), *_variables(spec)]
    rules: list[CompiledRule] = []
    for index, rule in enumerate(spec.rules):
        kind = BY_TYPE.get(rule.type)
        if kind is None:
            continue  # named by _unserved
        made = kind.compile(rule, f"spec.rules[{index}]")
        if isinstance(made, Problem):
            problems.append(made)
        else:
            rules.append(_rule(spec, rule, made))
    problems += _mistyped(spec, {one.place for one in problems})
    if problems:
        return tuple(problems)
    return CompiledPolicy(
        name=policy.name,
        uid=policy.uid,
        generation=policy.metadata.generation,
        spec=spec,
        rules=tuple(rules),
        expressions=any(one.type is RuleType.EXPRESSION for one in rules),
        uses_now=any("now" in text for text in _texts(spec)),
    )


def _rule(spec: SecurityPolicySpec, rule: Rule, check: Check) -> CompiledRule:
    return CompiledRule(
        name=rule.name,
        type=rule.type,
        severity=rule.severity or spec.severity,
        action=rule.action or spec.action,
        check=check,
        source=rule,
    )


def _unserved(spec: SecurityPolicySpec) -> Iterator[Problem]:
    for place, remedy in not_supported(spec):
        yield Problem(
            place=place,
            message="is not supported by this version of exuvia.",
            remedy=f"{remedy[0].upper()}{remedy[1:]}.",
            reason="NotSupported",
        )


def _schedules(spec: SecurityPolicySpec) -> Iterator[Problem]:
    for index, budget in enumerate(spec.disruption.budgets):
        if budget.schedule is not None:
            said = cron.problem(budget.schedule, budget.time_zone or "UTC")
            if said:
                yield Problem(place=f"spec.disruption.budgets[{index}]", message=said)
    for index, window in enumerate(spec.disruption.windows.allow if spec.disruption.windows else ()):
        said = cron.problem(window.schedule, window.time_zone)
        if said:
            yield Problem(place=f"spec.disruption.windows.allow[{index}]", message=said)


def _variables(spec: SecurityPolicySpec) -> Iterator[Problem]:
    seen: set[str] = set()
    times = _times(spec)
    for index, variable in enumerate(spec.variables):
        place = f"spec.variables[{index}].expression"
        said = cel.compile_(variable.expression, "any", times)
        if isinstance(said, str):
            yield Problem(place=place, message=said)
        if variable.name in seen:
            yield Problem(place=place, message=f"the name {variable.name} is there twice.")
        seen.add(variable.name)


def _mistyped(spec: SecurityPolicySpec, known: Collection[str]) -> Iterator[Problem]:
    """Rules that do not compile once it is known which variables hold a time; what is said already is not repeated."""
    times = _times(spec)
    for index, rule in enumerate(spec.rules if times else ()):
        expression = rule.expression
        texts = ((expression.expression, "bool"), (expression.message_expression, "string")) if expression else ()
        for (text, wanted), field in zip(texts, ("expression", "messageExpression"), strict=False):
            place = f"spec.rules[{index}].expression.{field}"
            said = cel.compile_(text, wanted, times) if text is not None and place not in known else None
            if isinstance(said, str):
                yield Problem(place=place, message=said)


def _times(spec: SecurityPolicySpec) -> cel.Times:
    return cel.times_of((one.name, one.expression) for one in spec.variables)


def _texts(spec: SecurityPolicySpec) -> Iterator[str]:
    for variable in spec.variables:
        yield variable.expression
    for rule in spec.rules:
        if rule.expression is not None:
            yield rule.expression.expression
            yield rule.expression.message_expression or ""
