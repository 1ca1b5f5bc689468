"""What the answers to evictions mean: which pods are held by what, and when each may be asked again (P7)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from exuvia.decide.drain.situation import Situation, whole_second
from exuvia.model.actions import DeletePod, EvictPod, Outcome, OutcomeKind, PodTarget
from exuvia.model.pods import DisruptionBudget, Pod
from exuvia.model.reasons import BlockedReason
from exuvia.model.specs.operation import BlockedPod

RETRY = timedelta(seconds=10)
SLOW_RETRY = timedelta(minutes=1)  # what only a person can mend
SEVERAL_BUDGETS = 500
NAMESPACE_TERMINATING = "NamespaceTerminating"
TEXT = 250


def after(
    entries: Sequence[BlockedPod],
    outcomes: Iterable[Outcome],
    situation: Situation,
    pods: Iterable[Pod],
    now: datetime,
) -> tuple[BlockedPod, ...]:
    """The entries `blockedBy` after these evictions and deletions. What was accepted, or is gone, is held no more.

    `pods`: as last seen, to name the budgets where the answer does not."""
    seen = {pod.uid: pod for pod in pods}
    held = {one.uid: one for one in entries}
    for outcome in outcomes:
        action = outcome.action
        if not isinstance(action, EvictPod | DeletePod):
            continue
        former = held.pop(action.pod.uid, None)
        if outcome.kind not in (OutcomeKind.DONE, OutcomeKind.ALREADY):
            pod = seen.get(action.pod.uid)
            covering = situation.budgets_of(pod) if pod is not None else ()
            held[action.pod.uid] = _entry(action.pod, outcome, former, covering, now)
    return tuple(held.values())


def _entry(
    pod: PodTarget,
    outcome: Outcome,
    former: BlockedPod | None,
    covering: tuple[DisruptionBudget, ...],
    now: datetime,
) -> BlockedPod:
    reason = reason_of(outcome)
    budget = _budget(outcome, covering) if reason is BlockedReason.PDB else {}
    moment = now.replace(microsecond=0)
    since = former.since if former and former.reason == reason and former.since else moment
    wait = max(outcome.retry_after or timedelta(0), _pause(reason, outcome))
    return BlockedPod(
        pod=f"{pod.namespace}/{pod.name}",
        uid=pod.uid,
        reason=str(reason),
        message=_message(pod, outcome, budget)[:TEXT],
        pdb=str(budget["pdb"]) if "pdb" in budget else None,
        needs=_number(budget.get("needs")),
        has=_number(budget.get("has")),
        since=since,
        next=whole_second(now + wait),
    )


def reason_of(outcome: Outcome) -> BlockedReason:
    """Which of our reasons a refusal is. A server that failed is asked again as if it had throttled."""
    if outcome.reason == NAMESPACE_TERMINATING:
        return BlockedReason.POD_STUCK
    known = {str(one): one for one in BlockedReason}
    if outcome.reason in known:
        return known[outcome.reason]
    return BlockedReason.FORBIDDEN if outcome.code == 403 else BlockedReason.THROTTLED


def _pause(reason: BlockedReason, outcome: Outcome) -> timedelta:
    if reason is BlockedReason.FORBIDDEN or outcome.code == SEVERAL_BUDGETS:
        return SLOW_RETRY
    return RETRY


def _budget(outcome: Outcome, covering: tuple[DisruptionBudget, ...]) -> dict[str, str | int]:
    """Which budget holds it, with needs and has: from the answer, else from what is seen."""
    if outcome.code == SEVERAL_BUDGETS:
        return {"pdb": ", ".join(one.key for one in covering) if len(covering) > 1 else "several, not known which"}
    if outcome.detail.get("pdb"):
        return {key: outcome.detail[key] for key in ("pdb", "needs", "has") if key in outcome.detail}
    if len(covering) != 1:
        return {}
    return {"pdb": covering[0].key, "needs": covering[0].desired, "has": covering[0].healthy}


def _number(value: str | int | None) -> int | None:
    return int(value) if value is not None and str(value).isdecimal() else None


def _message(pod: PodTarget, outcome: Outcome, budget: dict[str, str | int]) -> str:
    name = f"pod {pod.namespace}/{pod.name}"
    if outcome.code == SEVERAL_BUDGETS and "pdb" in budget:
        return f"{name} is covered by more than one PodDisruptionBudget ({budget['pdb']}): leave it only one of them"
    if {"pdb", "needs", "has"} <= set(budget):
        return (
            f"PodDisruptionBudget {budget['pdb']} holds {name}: it needs {budget['needs']} healthy pods and has "
            f"{budget['has']}"
        )
    if "pdb" in budget:
        return f"PodDisruptionBudget {budget['pdb']} holds {name}"
    return outcome.message or f"{name} was not evicted: HTTP {outcome.code}"
