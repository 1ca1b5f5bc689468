"""Expression: a CEL expression over the whole object; true means compliant.

The check here knows only what was found out elsewhere: expressions of users run in a process that can be stopped, and
their answers are handed to `judge`. Without an answer the instance is unknown.
"""

from __future__ import annotations

from datetime import datetime

from exuvia.evaluate import cel
from exuvia.evaluate.rules.base import Answer, Check, RuleKind, unknown
from exuvia.model.cards import Card
from exuvia.model.instances import Instance
from exuvia.model.problems import Problem
from exuvia.model.specs.security_policy import Rule, RuleType


def compile_(rule: Rule, place: str) -> Check | Problem:
    """Both expressions compile and have the right type, or the problem says where not."""
    params = rule.expression
    if params is None:
        return Problem(place=f"{place}.expression", message="is not set.", remedy="Set `expression.expression`.")
    for field, text, wanted in (
        ("expression", params.expression, "bool"),
        ("messageExpression", params.message_expression, "string"),
    ):
        said = cel.compile_(text, wanted) if text is not None else None
        if isinstance(said, str):
            return Problem(place=f"{place}.expression.{field}", message=said)

    def check(_: Instance, __: datetime) -> Answer:
        return unknown("the expression was not evaluated yet")

    return check


RULE = RuleKind(
    type=RuleType.EXPRESSION,
    compile=compile_,
    card=Card(
        name="Expression",
        description="A CEL expression over the whole Node is true.",
        parameters=(
            ("expression", "CEL, true = compliant; sees `object`, `instance`, `variables`, `now`"),
            ("messageExpression", "CEL, a string: the message when it fails"),
        ),
        example="{name: debug, type: Expression, expression: "
        "{expression: \"!object.metadata.labels.exists(k, k.startsWith('debug.'))\"}}",
    ),
)
