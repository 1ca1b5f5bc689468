"""The drain contract (safety.md, P1 to P14, Force): how the pods of one machine leave it, for whomever.

`plan` says who is asked to leave now and what holds it up; `after` what the answers mean; `pods_opt_out` whether a
drain would meet a pod that is opted out.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from exuvia.decide import optouts
from exuvia.decide.drain.judging import Judged, Lot, Wave, judge
from exuvia.decide.drain.noting import after
from exuvia.decide.drain.planning import Drainage, plan, target
from exuvia.decide.drain.situation import SETTLE, Situation, is_unreachable, whole_second
from exuvia.model.blocking import Blocked
from exuvia.model.pods import Pod
from exuvia.model.reasons import BlockedReason
from exuvia.model.specs.security_policy import DrainSettings

__all__ = [
    "SETTLE",
    "Drainage",
    "Judged",
    "Lot",
    "Situation",
    "Wave",
    "after",
    "is_unreachable",
    "judge",
    "plan",
    "pods_opt_out",
    "target",
    "whole_second",
]


def pods_opt_out(pods: Iterable[Pod], drain: DrainSettings, now: datetime) -> Blocked | None:
    """Why pods of a machine forbid its drain, or None. Only those count that the drain would evict."""
    situation = Situation(settings=drain)
    for pod in sorted(pods, key=lambda one: one.key):
        if judge(pod, situation, now).lot not in (Lot.EVICT, Lot.HELD):
            continue
        found = optouts.pod_protection(pod, now)
        if found is not None:
            message = optouts.pod_opt_out(pod, now) or ""
            return Blocked(reason=BlockedReason.POD_OPTED_OUT, message=message, next=found.until)
    return None
