"""What becomes of one pod of a machine that is drained: stays, leaves, is waited for, or is held (P4 to P6)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from exuvia.decide import optouts
from exuvia.decide.drain import tolerating
from exuvia.decide.drain.behaviours import Behaviour, Manner, manner_of
from exuvia.decide.drain.situation import Situation
from exuvia.model.pods import Pod
from exuvia.model.reasons import BlockedReason
from exuvia.model.specs.security_policy import PodPolicy

CRITICAL_CLASSES = ("system-node-critical", "system-cluster-critical")
STUCK_AFTER = timedelta(seconds=30)
UNREACHABLE_LEAVING = timedelta(seconds=1)


class Lot(StrEnum):
    """What becomes of a pod."""

    LEFT_ALONE = "LeftAlone"  # it does not hold up anything
    EVICT = "Evict"  # it must leave
    WAIT = "Wait"  # it ends by itself, and is waited for
    LEAVING = "Leaving"  # its deletion was asked for
    HELD = "Held"  # it must leave and may not


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Wave:
    """When it is a pod's turn: waves leave one after the other, ascending."""

    stage: int = 0  # 0 ordinary, 1 tolerates everything, 2 exuvia's own, 3 this very process
    order: int = 0
    critical: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One pod and what becomes of it. `reason` and `message` say what holds it, or why it is left alone."""

    pod: Pod
    lot: Lot
    wave: Wave = Wave()
    reason: BlockedReason | None = None
    message: str = ""
    until: datetime | None = None  # when time alone ends what holds it
    warning: str = ""

    @property
    def must_leave(self) -> bool:
        """Whether the machine is not drained while it is there."""
        return self.lot is not Lot.LEFT_ALONE


def judge(pod: Pod, situation: Situation, now: datetime) -> Judged:
    """What becomes of this pod now."""
    manner = _manner(pod, situation)
    alone = _left_alone(pod, situation, manner, now)
    if alone:
        return Judged(pod=pod, lot=Lot.LEFT_ALONE, message=alone, warning=manner.warning)
    wave = wave_of(pod, situation, manner)
    if pod.deleting_since is not None:
        return _leaving(pod, wave, now)
    if manner.behaviour is Behaviour.WAIT_COMPLETED and not situation.forced(pod, now):
        message = f"pod {pod.key} is waited for until it has completed ({manner.by})"
        return Judged(pod=pod, lot=Lot.WAIT, wave=wave, reason=BlockedReason.POD_STUCK, message=message)
    return _held(pod, situation, wave, now) or Judged(pod=pod, lot=Lot.EVICT, wave=wave, warning=manner.warning)


def _manner(pod: Pod, situation: Situation) -> Manner:
    """What label and rules ask for; of pods that leave regardless only the order counts."""
    manner = manner_of(pod, situation.settings)
    if situation.ignore_knobs or pod.uid in situation.regardless:
        return Manner(order=manner.order)
    return manner


def _left_alone(pod: Pod, situation: Situation, manner: Manner, now: datetime) -> str:
    """Why it does not hold up anything, or ""."""
    if pod.mirror:
        return "a mirror pod"
    if pod.owned_by_node:
        return "owned by the Node"
    if pod.finished:
        return "has finished"
    if _of_daemon_set(pod) and not orphaned(pod, situation):
        return "of a DaemonSet"
    if pod.uid in situation.regardless:
        return ""
    if manner.behaviour is Behaviour.SKIP:
        return f"skipped by {manner.by}"
    if situation.unreachable and pod.deleting_since and now - pod.deleting_since > UNREACHABLE_LEAVING:
        return "deleting on a machine that cannot be reached"
    if tolerating.rides_along(pod, situation.taint, situation.tainted_at):
        return "tolerates the taint and rides along"
    return ""


def _of_daemon_set(pod: Pod) -> bool:
    return pod.owner is not None and pod.owner.kind == "DaemonSet"


def orphaned(pod: Pod, situation: Situation) -> bool:
    """Whether its DaemonSet is surely not there any more. A look-up that failed says nothing."""
    return pod.owner is not None and situation.daemon_sets.get((pod.namespace, pod.owner.name)) is False


def wave_of(pod: Pod, situation: Situation, manner: Manner) -> Wave:
    """When it is its turn (P9): what tolerates everything late, exuvia itself last."""
    critical = pod.priority_class in CRITICAL_CLASSES
    if pod.uid == situation.own.pod_uid and pod.uid:
        return Wave(stage=3)
    if situation.own.is_own(pod):
        return Wave(stage=2)
    stage = 1 if tolerating.everything(pod) else 0
    return Wave(stage=stage, order=manner.order, critical=critical)


def _leaving(pod: Pod, wave: Wave, now: datetime) -> Judged:
    deadline = pod.deletion_deadline or pod.deleting_since
    if deadline is None or now < deadline + STUCK_AFTER:
        until = deadline + STUCK_AFTER if deadline else None
        return Judged(pod=pod, lot=Lot.LEAVING, wave=wave, until=until)
    message = f"pod {pod.key} was told to end and does not: look at its finalizers and at the kubelet"
    return Judged(pod=pod, lot=Lot.LEAVING, wave=wave, reason=BlockedReason.POD_STUCK, message=message)


def _held(pod: Pod, situation: Situation, wave: Wave, now: datetime) -> Judged | None:
    """What forbids its eviction: a knob for ever, an opt-out until Force may pass it."""
    if situation.ignore_knobs or pod.uid in situation.regardless:
        return None
    reason, message, until = _knob(pod, situation)
    if reason is None and not situation.forced(pod, now):
        reason, message, until = _opt_out(pod, now)
    if reason is None:
        return None
    return Judged(pod=pod, lot=Lot.HELD, wave=wave, reason=reason, message=message, until=until)


_Held = tuple[BlockedReason | None, str, datetime | None]


def _knob(pod: Pod, situation: Situation) -> _Held:
    settings = situation.settings
    if settings.unmanaged_pods is PodPolicy.BLOCK and (pod.owner is None or orphaned(pod, situation)):
        message = (
            f"pod {pod.key} has no controller and would be lost; delete it, or set `spec.drain.unmanagedPods: Evict`"
        )
        return BlockedReason.UNMANAGED_POD, message, None
    if settings.empty_dir_pods is PodPolicy.BLOCK and pod.empty_dir:
        message = f"pod {pod.key} would lose its emptyDir; delete it, or set `spec.drain.emptyDirPods: Evict`"
        return BlockedReason.EMPTY_DIR_POD, message, None
    return None, "", None


def _opt_out(pod: Pod, now: datetime) -> _Held:
    protection = optouts.pod_protection(pod, now)
    if protection is None:
        return None, "", None
    return BlockedReason.POD_OPTED_OUT, optouts.pod_opt_out(pod, now) or "", protection.until
