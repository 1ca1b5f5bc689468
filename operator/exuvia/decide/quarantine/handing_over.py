"""exuvia on the machine itself: what must be safe before its own pod leaves, and when it leaves.

marks -> API objects on the disk -> our pod is evicted -> the next leader goes on
"""

from __future__ import annotations

from datetime import datetime

from exuvia.decide.patching import step_of
from exuvia.decide.quarantine import asking, isolating
from exuvia.decide.quarantine.patching import EXUVIA, Patch, waits
from exuvia.model.actions import EvictPod
from exuvia.model.pods import Pod
from exuvia.model.quarantine_views import QuarantineView
from exuvia.model.steps import Look, Step


def hand_over(view: QuarantineView, now: datetime) -> Step | None:
    """On exuvia's own machine: the API objects go to the disk, then our own pod is evicted, and the next leader goes
    on. Our ledger's volume may tie us to the machine: then we stay, and say so."""
    own = own_pods(view)
    if not own:
        return None
    if must_preserve(view):
        return None if view.collecting else _preserve(view, now)
    return _evict_own(view, own, now)


def own_pods(view: QuarantineView) -> list[Pod]:
    """Our own pods that must leave the machine; none before the marks, and none where we are tied to it."""
    if not isolating.active(view) or not isolating.marked(view) or not asking.on_own_machine(view) or view.own.pinned:
        return []
    return [pod for pod in view.pods or () if view.own.is_own(pod) and not pod.finished and pod.deleting_since is None]


def must_preserve(view: QuarantineView) -> bool:
    """Whether the API objects must be on the disk before our own pod may go."""
    return bool(own_pods(view)) and not preserved(view)


def preserved(view: QuarantineView) -> bool:
    """Whether the API objects are on the disk (or could not be put there), so that our own pod may go."""
    found = step_of(view.quarantine.status.steps, asking.PRESERVE)
    return asking.is_sealed(view.quarantine) or (found is not None and bool(found.finished_at))


def _preserve(view: QuarantineView, now: datetime) -> Step:
    return Step(name=asking.PRESERVE, status=Patch(view.quarantine, now).began(asking.PRESERVE).body, collect=True)


def _evict_own(view: QuarantineView, own: list[Pod], now: datetime) -> Step | None:
    if view.hold or view.eviction_hold or waits(view.quarantine, asking.HAND_OVER, now):
        return None
    if asking.unreadable(view, Look.PODS):
        return None
    lacking = asking.look(view, Look.PODS)
    if lacking:
        return lacking
    last = sorted(own, key=lambda pod: (pod.uid == view.own.pod_uid, pod.key))
    patch = Patch(view.quarantine, now).began(asking.HAND_OVER)
    patch.custody(EXUVIA, "exuvia runs on this machine: its own pod is evicted, the next leader goes on")
    actions = tuple(EvictPod(pod=isolating.target(pod)) for pod in last)
    return Step(name=asking.HAND_OVER, status=patch.body, actions=actions, disruptive=True)
