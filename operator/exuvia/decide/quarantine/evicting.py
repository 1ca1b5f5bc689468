"""Pods that leave a held machine: once the evidence is sealed, so that their owners can go on elsewhere.

Only the Eviction API is asked; PodDisruptionBudgets and every brake for evictions hold it, and nothing is forced.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from exuvia.decide import freezing
from exuvia.decide.quarantine import asking, isolating
from exuvia.decide.quarantine.patching import RETRY, Patch, finished, just_began, waits
from exuvia.model.actions import EvictPod, Outcome, OutcomeKind
from exuvia.model.pods import Pod
from exuvia.model.quarantine_views import QuarantineView
from exuvia.model.reasons import BlockedReason
from exuvia.model.specs.operation import BlockedPod, DrainStatus
from exuvia.model.steps import Look, Step

_SHOWN = 64


def evict(view: QuarantineView, now: datetime) -> Step | None:
    """Evict what may leave, once sealed; then the namespaces that have no pod here any more are opened."""
    if not due(view):
        return None
    leaving = leavers(view)
    if not leaving:
        return _done(view, now)
    if asking.unreadable(view, Look.PODS) or view.hold or view.eviction_hold:
        return None
    return asking.look(view, Look.PODS) or wave(view, leaving, asking.EVICT, now)


def due(view: QuarantineView) -> bool:
    """Whether pods may leave at all: a machine that is there, marked, sealed, and not released."""
    released = view.quarantine.status.release_accepted is not None
    sealed = asking.is_sealed(view.quarantine) and not view.collecting
    return sealed and not released and isolating.active(view) and isolating.marked(view)


def leavers(view: QuarantineView) -> list[Pod]:
    """The pods that must leave and are there still."""
    return [pod for pod, given in asking.treatments(view) if freezing.leaves_once_sealed(pod, given)]


def wave(view: QuarantineView, pods: Sequence[Pod], name: str, now: datetime) -> Step | None:
    """Ask for all ordinary pods at once, for system-critical ones when none of those is left."""
    if view.hold or view.eviction_hold or Look.PODS not in view.fresh:
        return None
    if waits(view.quarantine, name, now) or just_began(view.quarantine, name, now):
        return None
    ordinary = [pod for pod in pods if pod.priority_class not in freezing.CRITICAL_CLASSES]
    asked = [pod for pod in ordinary or pods if pod.deleting_since is None]
    if not asked:
        return None
    patch = Patch(view.quarantine, now).began(name)
    drain = view.quarantine.status.drain or DrainStatus()
    if drain.remaining != len(pods):
        patch.set(drain={"remaining": len(pods)})
    actions = tuple(EvictPod(pod=isolating.target(pod)) for pod in asked)
    return Step(name=name, status=patch.body, actions=actions, disruptive=True)


def _done(view: QuarantineView, now: datetime) -> Step | None:
    quarantine = view.quarantine
    began = any(one.name == asking.EVICT for one in quarantine.status.steps)
    if view.pods is None or not began or finished(quarantine, asking.EVICT):
        return None
    patch = Patch(quarantine, now).ended(asking.EVICT).set(drain=None)
    return Step(name=asking.EVICT, status=patch.body)


def noted(view: QuarantineView, patch: Patch, name: str, outcomes: Iterable[Outcome], now: datetime) -> timedelta:
    """Which pods did not leave, and what holds each. Answers when to try again."""
    refused = [one for one in outcomes if one.kind not in (OutcomeKind.DONE, OutcomeKind.ALREADY)]
    former = view.quarantine.status.drain or DrainStatus()
    since = {one.uid: one.since for one in former.blocked_by}
    held = tuple(_blocked(one, since, now) for one in refused[:_SHOWN])
    if held or former.blocked_by:
        drain = former.model_copy(update={"blocked_by": held})
        patch.set(drain=drain.model_dump(mode="json", by_alias=True, include={"remaining", "blocked_by"}))
    if not refused:
        return RETRY
    wait = max((one.retry_after or RETRY for one in refused), default=RETRY)
    first = refused[0]
    more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
    patch.failed(name, first.reason, f"{_said(first)}{more}", max(wait, RETRY))
    return max(wait, RETRY)


def _said(outcome: Outcome) -> str:
    return outcome.message or f"{_target(outcome)[0]} did not leave"


def _target(outcome: Outcome) -> tuple[str, str]:
    action = outcome.action
    return (f"{action.pod.namespace}/{action.pod.name}", action.pod.uid) if isinstance(action, EvictPod) else ("", "")


def _blocked(outcome: Outcome, since: dict[str, datetime | None], now: datetime) -> BlockedPod:
    pod, uid = _target(outcome)
    detail = outcome.detail
    return BlockedPod(
        pod=pod,
        uid=uid,
        reason=outcome.reason[:64] or str(BlockedReason.POD_STUCK),
        message=outcome.message[:1000],
        pdb=detail["pdb"][:512] if "pdb" in detail else None,
        needs=_number(detail.get("needs")),
        has=_number(detail.get("has")),
        since=since.get(uid) or now.replace(microsecond=0),
    )


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
