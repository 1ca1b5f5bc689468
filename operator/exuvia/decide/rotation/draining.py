"""The drain: pods leave wave by wave until a fresh list shows none and the volumes are detached (safety.md, drain).

What is seen is enough to wait on; before anything is evicted, and before it is called drained, it is read again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from exuvia.decide import drain
from exuvia.decide.drain import Drainage
from exuvia.decide.rotation import asking, cordoning, undoing
from exuvia.decide.rotation.patching import Patch, began
from exuvia.model.blocking import Blocked
from exuvia.model.reasons import BlockedReason, EndReason, EventReason
from exuvia.model.rotation_views import RotationView
from exuvia.model.specs.operation import BlockedPod, DrainStatus
from exuvia.model.specs.rotation import RotationPhase
from exuvia.model.steps import Look, Note, Step

FORCE_MARGIN = timedelta(minutes=1)
HAND_OVER_WAIT = timedelta(seconds=60)
FORCED_LIMIT = 256


def draining(view: RotationView, now: datetime) -> Step | None:
    """The phase Draining: on to Drained once nothing is left that must leave."""
    rotation = view.rotation
    if rotation.status.phase is not RotationPhase.DRAINING:
        return None
    held = asking.hold(view, now) or view.eviction_hold
    if held is not None:
        return paused(view, now, held)
    resumed = resume(view, now)
    if resumed is not None:
        return resumed
    seen = _seen(view, now)
    if seen is None or seen.actions or overdue(view, now):
        return leave(view, now) or _drained(view, now)
    if not seen.done:
        return wait(view, now, seen)
    return settles(view, now) or leave(view, now, *_volume_looks(view)) or _drained(view, now)


def paused(view: RotationView, now: datetime, held: Blocked) -> Step:
    """Nothing is evicted; the time does not count."""
    status, patch = view.rotation.status.drain, Patch(view.rotation, now)
    if status is not None and status.paused_since is None:
        patch.drain(pausedSince=now)
    return asking.waiting(view, now, held, patch=patch)


def resume(view: RotationView, now: datetime) -> Step | None:
    """The time counts again."""
    status = view.rotation.status.drain
    if status is None or status.paused_since is None:
        return None
    seconds = max(0, int((now - status.paused_since).total_seconds()))
    patch = Patch(view.rotation, now).drain(pausedSince=None, pausedSeconds=status.paused_seconds + seconds)
    return Step(name=asking.EVICT, status=patch.blocked(None).body)


def drainage(view: RotationView, now: datetime) -> Drainage:
    """The plan of the drain on the pods of this view."""
    return drain.plan(view.pods or (), asking.situation(view), entries(view), now)


def entries(view: RotationView) -> tuple[BlockedPod, ...]:
    """What was refused so far."""
    status = view.rotation.status.drain
    return status.blocked_by if status else ()


def _seen(view: RotationView, now: datetime) -> Drainage | None:
    return None if view.pods is None else drainage(view, now)


def overdue(view: RotationView, now: datetime) -> bool:
    """Whether the drain has taken too long; Force gets a little more, to see what it did."""
    deadline = asking.drain_deadline(view)
    if deadline is None or view.rotation.status.phase is RotationPhase.TERMINATING:
        return False
    return now >= (deadline + FORCE_MARGIN if asking.force_at(view) else deadline)


def leave(view: RotationView, now: datetime, *besides: Look) -> Step | None:
    """On a fresh look: marks are put back, pods are evicted or waited for; None when none is left that must leave.

    `besides`: what is needed next, to be read in the same round."""
    looks = (Look.NODE, Look.PODS)
    lacking = asking.look(view, *looks, *besides)
    if lacking is not None:
        return lacking
    trouble = asking.unreadable(view, *looks)
    if trouble is not None:
        return asking.waiting(view, now, trouble)
    ensured = cordoning.ensured(view, now)
    if ensured is not None:
        return ensured
    found = drainage(view, now)
    if found.done:
        return None
    if overdue(view, now):
        return _timed_out(view, found, now)
    return evict(view, found, now) if found.actions else wait(view, now, found)


def _timed_out(view: RotationView, found: Drainage, now: datetime) -> Step:
    name = view.rotation.spec.instance.name
    left = "1 pod is" if found.remaining == 1 else f"{found.remaining} pods are"
    why = found.blocked.message if found.blocked else f"{left} still there"
    return undoing.undo(view, now, EndReason.DRAIN_TIMEOUT, f"{name} was not drained in time: {why}")


def evict(view: RotationView, found: Drainage, now: datetime) -> Step:
    """One wave, in one step."""
    own = _own(view, found, now)
    if own is not None:
        return own
    patch = said(view, found, now).began(asking.EVICT)
    notes = tuple(Note(reason=EventReason.DRAIN_BLOCKED, text=one, warning=True) for one in found.warnings)
    if found.forced:
        status = view.rotation.status.drain
        former = status.forced if status else ()
        new = [one for one in found.forced if one not in former]
        patch.drain(forced=[*former, *new][-FORCED_LIMIT:])
        notes += tuple(Note(reason=EventReason.DRAIN_BLOCKED, text=one, warning=True) for one in new)
    return Step(name=asking.EVICT, status=patch.body, actions=found.actions, disruptive=True, notes=notes)


def _own(view: RotationView, found: Drainage, now: datetime) -> Step | None:
    """Our own pod goes last: leadership is handed over first, where somebody stands by."""
    if not any(one.pod.uid == view.own.pod_uid for one in found.actions):
        return None
    pinned = asking.self_pinned(view)
    if pinned is not None:
        return asking.waiting(view, now, pinned)
    asked = began(view.rotation, asking.HAND_OVER)
    if not view.standby or (asked is not None and now >= asked + HAND_OVER_WAIT):
        return None
    if asked is None:
        return Step(name=asking.HAND_OVER, status=Patch(view.rotation, now).began(asking.HAND_OVER).body)
    return Step(name=asking.HAND_OVER, recheck_after=asking.SOON)


def wait(view: RotationView, now: datetime, found: Drainage) -> Step:
    """Pods are leaving, or are held: the status names each of them."""
    recheck = found.recheck_after or asking.SOON
    return asking.waiting(
        view, now, found.blocked, patch=said(view, found, now), recheck=recheck, event=_told(view, found)
    )


def said(view: RotationView, found: Drainage, now: datetime) -> Patch:
    """Who is left and what holds whom. The number alone is no reason to write."""
    patch, status = Patch(view.rotation, now), view.rotation.status.drain or DrainStatus()
    patch.blocked(found.blocked)
    if found.blocked_by != status.blocked_by:
        patch.drain(blockedBy=[one.wire() for one in found.blocked_by])
    if found.remaining != status.remaining and (patch.body or found.actions):
        patch.drain(remaining=found.remaining)
    return patch


def _told(view: RotationView, found: Drainage) -> str:
    """For an Event: names, and no numbers that change."""
    if found.blocked is None:
        return ""
    entry = next((one for one in found.blocked_by if one.reason == found.blocked.reason), None)
    if entry is None or not entry.pdb:
        return found.blocked.message
    name = view.rotation.spec.instance.name
    return f"{name} is not drained: PodDisruptionBudget {entry.pdb} holds pod {entry.pod}; it is asked again"


def _drained(view: RotationView, now: datetime) -> Step:
    """No pod is left: the settle time, then the volumes."""
    settled = settles(view, now)
    if settled is not None:
        return settled
    waiting = _volumes(view, now) if _volume_looks(view) else None
    if waiting is not None:
        return waiting
    name = view.rotation.spec.instance.name
    patch = Patch(view.rotation, now).phase(RotationPhase.DRAINED).blocked(None)
    patch.drain(remaining=0, blockedBy=[])
    if began(view.rotation, asking.EVICT) is not None:
        patch.ended(asking.EVICT)
    note = Note(reason=EventReason.DRAINED, text=f"{name} is drained: a fresh list shows no pod that must leave")
    return Step(name=str(RotationPhase.DRAINED), status=patch.body, notes=(note,))


def settles(view: RotationView, now: datetime) -> Step | None:
    """Pods that were bound just before the taint show some seconds later."""
    status = view.rotation.status.drain
    if status is None or status.cordoned_at is None:
        return Step(status=Patch(view.rotation, now).drain(cordonedAt=drain.whole_second(now)).body)
    left = status.cordoned_at + drain.SETTLE - now
    return Step(recheck_after=left) if left > timedelta(0) else None


def _volume_looks(view: RotationView) -> tuple[Look, ...]:
    """On a machine that cannot be reached volumes are not waited for."""
    unreachable = view.instance is not None and drain.is_unreachable(view.instance)
    return () if unreachable else (Look.VOLUMES,)


def _volumes(view: RotationView, now: datetime) -> Step | None:
    """Volumes that pods left behind are detached, or were waited for long enough; None then."""
    lacking = asking.look(view, Look.VOLUMES)
    if lacking is not None:
        return lacking
    status = view.rotation.status.drain or DrainStatus()
    since = status.drained_at
    limit = since + asking.drain_settings(view).volume_detach_timeout if since else None
    if limit is not None and now >= limit:
        return None
    trouble = asking.unreadable(view, Look.VOLUMES)
    attached = _left_behind(view, now)
    if trouble is None and not attached:
        return None
    patch = Patch(view.rotation, now)
    if since is None:
        patch.drain(drainedAt=now)
    return asking.waiting(view, now, trouble or _attached(view, attached, limit), patch=patch)


def _left_behind(view: RotationView, now: datetime) -> list[str]:
    """Attached volumes, but for those of pods that stay and run: these go with the machine, and are never detached from
    it before."""
    staying = [one.pod for one in drainage(view, now).left_alone if not one.pod.finished]
    used = frozenset[str]().union(*(pod.claim_keys for pod in staying))
    return [one.name for one in view.volumes or () if one.claim not in used]


def _attached(view: RotationView, volumes: Sequence[str], limit: datetime | None) -> Blocked:
    names = ", ".join(volumes[:5]) + (" and more" if len(volumes) > 5 else "")
    message = f"{view.rotation.spec.instance.name} is drained, but volumes are still attached: {names}"
    return Blocked(reason=BlockedReason.VOLUME_ATTACHED, message=message, next=limit)
