"""The rules: one file each, one line in `RULES`. A rule compiles its part of a policy into a check of one instance."""

from __future__ import annotations

from exuvia.evaluate.rules import conditions, expression, image, marks, max_age, versions
from exuvia.evaluate.rules.base import RuleKind
from exuvia.model.specs.security_policy import RuleType

RULES: tuple[RuleKind, ...] = (
    max_age.RULE,
    versions.RULE,
    image.RULE,
    marks.RULE,
    conditions.RULE,
    expression.RULE,
)

BY_TYPE: dict[RuleType, RuleKind] = {one.type: one for one in RULES}
