"""RiskScore: the point risk of the machine now is not above a limit. The limit counts tenths of a score, so that it is
a whole number: 70 is a score of 7.0. What is not known is an error, unless what is known is too much already.
"""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction

from exuvia.evaluate.rules.base import Answer, Check, RuleKind, failed, passed, unknown
from exuvia.model.cards import Card
from exuvia.model.instances import Instance
from exuvia.model.learnt import Doubt, RiskFigure
from exuvia.model.problems import Problem
from exuvia.model.specs.security_policy import Rule, RuleType

TENTHS = 10


def compile_(rule: Rule, place: str) -> Check | Problem:
    """A check against the limit."""
    params = rule.risk_score
    if params is None:
        return Problem(place=f"{place}.riskScore", message="is not set.", remedy="Set `riskScore.max`.")
    limit = Fraction(params.max, TENTHS)

    def check(instance: Instance, _: datetime) -> Answer:
        return _judge(limit, instance.learnt.risk)

    return check


def _judge(limit: Fraction, risk: RiskFigure | Doubt) -> Answer:
    if isinstance(risk, Doubt):
        return unknown(f"its risk is not known: {risk.message}")
    if risk.worst > limit:
        return failed(f"its risk, a score of {_text(risk.worst)}, is above {_text(limit)}")
    if risk.unscored:
        return unknown("its risk is not known: a vulnerability on it has no known score; see `exuvia risk explain`")
    if not risk.present and not risk.scanned:
        return unknown("its risk is not known: no vulnerability report of an image on it was ever there")
    return passed()


def _text(score: Fraction) -> str:
    return f"{float(score):.1f}" if score * TENTHS == int(score * TENTHS) else f"{float(score):g}"


RULE = RuleKind(
    type=RuleType.RISK_SCORE,
    compile=compile_,
    card=Card(
        name="RiskScore",
        description="The worst score of what is on the machine now is not above a limit.",
        parameters=(("max", "the highest that complies, in tenths of a score, 0 to 100: 70 is a score of 7.0"),),
        example="{name: risk, type: RiskScore, riskScore: {max: 70}}",
    ),
)
