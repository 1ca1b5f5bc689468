"""Pods that tolerate the taint of a drain: they may ride along, because they would come straight back (P14)."""

from __future__ import annotations

from datetime import datetime

from exuvia.model import marks
from exuvia.model.pods import Pod, Toleration


def by_key(pod: Pod, taint: str) -> bool:
    """Whether it tolerates this very taint: it wants to be there."""
    return any(one.key == taint and _matches(one) for one in pod.tolerations)


def everything(pod: Pod) -> bool:
    """Whether it tolerates every taint that keeps pods away."""
    return any(not one.key and one.operator == "Exists" and _effect(one) for one in pod.tolerations)


def rides_along(pod: Pod, taint: str, tainted_at: datetime | None) -> bool:
    """Whether it stays with the machine. One that tolerates everything does if it came after the taint."""
    if by_key(pod, taint):
        return True
    return everything(pod) and tainted_at is not None and pod.created > tainted_at


def _matches(one: Toleration) -> bool:
    return _effect(one) and (one.operator == "Exists" or not one.value)


def _effect(one: Toleration) -> bool:
    return one.effect in ("", marks.TAINT_EFFECT)
