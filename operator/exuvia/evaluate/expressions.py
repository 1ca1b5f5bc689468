"""All expressions of one policy over one object: variables in order, then each rule, on one shared activation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exuvia.evaluate import cel
from exuvia.model.instances import Instance
from exuvia.model.specs.security_policy import ExpressionRule, RuleType, SecurityPolicySpec


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one expression rule says of one object: true, false, or None with the error."""

    compliant: bool | None
    message: str = ""


class Programs:
    """The compiled expressions of one policy."""

    def __init__(self, spec: SecurityPolicySpec) -> None:
        self._times = cel.times_of((one.name, one.expression) for one in spec.variables)
        self._variables = [(one.name, self._program(one.expression, "any")) for one in spec.variables]
        self._rules = [
            (rule.name, self._program(rule.expression.expression, "bool"), self._message(rule.expression))
            for rule in spec.rules
            if rule.type is RuleType.EXPRESSION and rule.expression is not None
        ]

    def evaluate(self, object_: Mapping[str, Any], instance: Mapping[str, Any], now: datetime) -> dict[str, Outcome]:
        """Outcome by rule name. A variable that errs is absent; a rule that reads it errs and says so."""
        variables: dict[str, Any] = {}
        broken: dict[str, str] = {}
        for name, program in self._variables:
            answer = program.evaluate(self._activation(object_, instance, now, variables))
            error = answer.error or self._unkeepable(name, answer.value)
            if error:
                broken[name] = error
            else:
                variables[name] = answer.value
        activation = self._activation(object_, instance, now, variables)
        return {name: _outcome(rule, message, activation, broken) for name, rule, message in self._rules}

    def _activation(self, object_: Any, instance: Any, now: datetime, variables: Any) -> Any:
        return cel.activation(object_=object_, instance=instance, now=now, variables=variables, times=self._times)

    def _unkeepable(self, name: str, value: Any) -> str:
        """A time is kept only where its type is known when the policy is compiled."""
        if name in dict(self._times) or not cel.holds_time(value):
            return ""
        return "a time of unknown type, or in a list or map; write `timestamp(...)` or `duration(...)` around one"

    def _message(self, rule: ExpressionRule) -> cel.Program | None:
        return self._program(rule.message_expression, "string") if rule.message_expression else None

    def _program(self, text: str, wanted: str) -> cel.Program:
        made = cel.compile_(text, wanted, self._times)
        if isinstance(made, str):
            raise ValueError(made)
        return made


def instance_seen(machine: Instance) -> dict[str, Any]:
    """What expressions see as `instance` (api.md, Rules); `born` is a timestamp."""
    return {
        "kind": str(machine.kind),
        "name": machine.name,
        "uid": machine.uid,
        "providerID": machine.provider_id,
        "pool": machine.pool,
        "zone": machine.zone,
        "born": machine.born,
    }


def _outcome(rule: cel.Program, message: cel.Program | None, activation: Any, broken: Mapping[str, str]) -> Outcome:
    answer = rule.evaluate(activation)
    if answer.error or not isinstance(answer.value, bool):
        said = answer.error or "the value is not true or false"
        causes = [f"variables.{name}: {error}" for name, error in broken.items() if name in rule.text]
        return Outcome(None, "; ".join([said, *causes])[: cel.MESSAGE_LIMIT])
    if answer.value or message is None:
        return Outcome(answer.value, "" if answer.value else "the expression is false")
    words = message.evaluate(activation)
    text = words.value if isinstance(words.value, str) and not words.error else "the expression is false"
    return Outcome(False, " ".join(text.split())[: cel.MESSAGE_LIMIT])
