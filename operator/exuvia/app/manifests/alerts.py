"""Alerting rules for Prometheus, as a plain rules file: what must wake somebody. Tested with promtool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_DOWN = "(sum(exuvia_leader) or vector(0)) < 1"
_LEDGER = """\
max(exuvia_brake_engaged{brake="ledger"}) > 0
  or max(exuvia_ledger_lag_seconds) > 60
  or sum(increase(exuvia_ledger_verify_failures_total[15m])) > 0
"""
_STUCK = """\
sum by (policy) (exuvia_rotations{phase!="Pending"}) > 0
  unless on (policy) sum by (policy) (increase(exuvia_rotations_total[2h])) > 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One rule. `hold`: how long it must be so (Prometheus duration)."""

    name: str
    expression: str
    hold: str
    severity: str
    summary: str
    description: str


ALERTS: tuple[Alert, ...] = (
    Alert(
        name="ExuviaDown",
        expression=_DOWN,
        hold="5m",
        severity="critical",
        summary="No exuvia leads: nothing is rotated, quarantined or guarded",
        description="No replica has said for 5 minutes that it leads. Open operations wait where they are. "
        "Look at the pods in exuvia-system and at the Lease exuvia-leader; `exuvia doctor` says what is missing.",
    ),
    Alert(
        name="ExuviaLedgerDown",
        expression=_LEDGER,
        hold="1m",
        severity="critical",
        summary="exuvia cannot write or trust its ledger: no Rotation starts",
        description="The ledger is unwritable, late, truncated or fails its check. Quarantines still work; Rotations "
        "do not start. Look at the volume of exuvia-system/exuvia; `exuvia ledger verify` names the first bad entry.",
    ),
    Alert(
        name="ExuviaRotationStuck",
        expression=_STUCK,
        hold="2h",
        severity="warning",
        summary="Rotations of {{ $labels.policy }} are under way, and none has ended for two hours",
        description="{{ $value }} Rotations of policy {{ $labels.policy }} are past Pending without an end. "
        "`kubectl get rotations.exuvia.dev` shows what blocks them; `exuvia explain INSTANCE` says what to change.",
    ),
)


def rules() -> dict[str, Any]:
    """The rules file."""
    return {"groups": [{"name": "exuvia", "rules": [_rule(one) for one in ALERTS]}]}


def _rule(one: Alert) -> dict[str, Any]:
    return {
        "alert": one.name,
        "expr": one.expression,
        "for": one.hold,
        "labels": {"severity": one.severity},
        "annotations": {"summary": one.summary, "description": one.description},
    }
