"""The rules: one file each, one line in `RULES`. A rule compiles its part of a policy into a check of one instance."""

from __future__ import annotations

from exuvia.evaluate.rules import conditions, expression, image, license_seat, marks, max_age, risk_score, versions
from exuvia.evaluate.rules.base import RuleKind
from exuvia.model.specs.security_policy import RuleType

RULES: tuple[RuleKind, ...] = (
    max_age.RULE,
    versions.RULE,
    image.RULE,
    marks.RULE,
    conditions.RULE,
    expression.RULE,
    license_seat.RULE,
    risk_score.RULE,
)

BY_TYPE: dict[RuleType, RuleKind] = {one.type: one for one in RULES}
