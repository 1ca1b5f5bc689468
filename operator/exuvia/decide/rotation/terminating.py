"""The end of the old machine: what a last look shows is mended, then its provider is asked to remove it, by UID; it is
waited for until the UID is gone and, where it came after, until the replacement is good.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from exuvia.decide.patching import step_of
from exuvia.decide.rotation import asking, claims, draining, replacing, undoing
from exuvia.decide.rotation.patching import UNKNOWN, Patch, began, finished, trouble_of, waits, whole
from exuvia.decide.rotation.replacing import Pursuit
from exuvia.model.actions import RemoveMachine
from exuvia.model.blocking import Blocked
from exuvia.model.instances import Instance
from exuvia.model.reasons import BlockedReason, EndReason
from exuvia.model.rotation_views import RotationView
from exuvia.model.specs.operation import ReplacementStatus
from exuvia.model.specs.rotation import RotationPhase
from exuvia.model.steps import Look, Step

ASK_AGAIN = timedelta(minutes=1)
"""A machine that was asked to go and is still there is asked again."""
SLOW = timedelta(minutes=5)


def drained(view: RotationView, now: datetime) -> Step | None:
    """The phase Drained: a last look, then Terminating is won and the removal asked for."""
    if view.rotation.status.phase is not RotationPhase.DRAINED:
        return None
    return _replacement_broke(view, now) or _checked(view, now) or _remove(view, now)


def _replacement_broke(view: RotationView, now: datetime) -> Step | None:
    """A replacement that was good, and went away or broke while the machine was drained, takes over from nobody."""
    rotation, replacement = view.rotation, view.rotation.status.replacement
    if not asking.replaces_first(view) or replacement is None or not view.instance_known:
        return None
    node = replacing.node_of(view, replacement)
    if node is not None and node.ready and not node.deleting:
        return None
    name, broken = rotation.spec.instance.name, f"{replacement.name} is not ready any more"
    since = _waiting_since(view)
    if since is not None and now >= since + asking.rotation_settings(view).replacement_timeout:
        return undoing.undo(view, now, EndReason.REPLACEMENT_FAILED, f"{name}: its replacement {broken}")
    message = f"{name} is drained, but its replacement {broken}; it is not removed before that is mended"
    return asking.waiting(view, now, Blocked(reason=BlockedReason.WAITING_FOR_REPLACEMENT, message=message))


def _waiting_since(view: RotationView) -> datetime | None:
    blocked = view.rotation.status.blocked
    waiting = blocked is not None and blocked.reason == BlockedReason.WAITING_FOR_REPLACEMENT
    return blocked.since if blocked is not None and waiting else None


def _checked(view: RotationView, now: datetime) -> Step | None:
    """Why the machine may not be removed at this moment; what is amiss is mended. None: it may."""
    held = asking.hold(view, now) or view.eviction_hold or view.removal_hold
    if held is not None:
        return draining.paused(view, now, held)
    resumed = draining.resume(view, now)
    if resumed is not None:
        return resumed
    if view.provider.problem:
        name = view.rotation.spec.instance.name
        blocked = Blocked(reason=BlockedReason.PROVIDER_UNKNOWN, message=f"{name}: {view.provider.problem}")
        return asking.waiting(view, now, blocked, recheck=asking.LATER)
    unsettled = draining.settles(view, now)
    if unsettled is not None:
        return unsettled
    looks = (Look.NODE, Look.PODS)
    lacking = asking.look(view, *looks)
    if lacking is not None:
        return lacking
    trouble = asking.unreadable(view, *looks)
    if trouble is not None:
        return asking.waiting(view, now, trouble)
    return draining.leave(view, now)


def _remove(view: RotationView, now: datetime) -> Step:
    rotation = view.rotation
    patch = Patch(rotation, now).phase(RotationPhase.TERMINATING).began(asking.REMOVE).blocked(None)
    action = RemoveMachine(
        provider=asking.provider_name(view), pool=asking.frozen(view).pool, instance=asking.removed(view)
    )
    return Step(name=asking.REMOVE, status=patch.body, actions=(action,), disruptive=True)


def terminating(view: RotationView, now: datetime) -> Step | None:
    """The phase Terminating."""
    if view.rotation.status.phase is not RotationPhase.TERMINATING:
        return None
    if asking.gone(view):
        return _gone(view, now)
    if not view.instance_known or view.instance is None:
        trouble = asking.unreadable(view, Look.NODE) or asking.hold(view, now)
        return asking.waiting(view, now, trouble)
    return _asked(view, now) if finished(view.rotation, asking.REMOVE) else _ask(view, now)


def _ask(view: RotationView, now: datetime) -> Step:
    """It is not sure that the removal was asked for: look, and ask (again)."""
    rotation = view.rotation
    refused = _refused(view, now)
    if refused:
        name = rotation.spec.instance.name
        return undoing.undo(view, now, EndReason.PROVIDER_REFUSED, f"{name} was not removed: {refused}")
    if waits(rotation, asking.REMOVE, now):
        return asking.waiting(view, now, trouble_of(rotation, asking.REMOVE))
    return _checked(view, now) or _remove(view, now)


def _refused(view: RotationView, now: datetime) -> str:
    """What the provider says, once it has said no for as long as a replacement may take. No answer is no refusal."""
    found = step_of(view.rotation.status.steps, asking.REMOVE)
    since = began(view.rotation, str(RotationPhase.TERMINATING))
    if found is None or since is None or not found.message or found.message.startswith(f"{UNKNOWN}: "):
        return ""
    over = now >= since + asking.rotation_settings(view).replacement_timeout
    return found.message if over else ""


def _asked(view: RotationView, now: datetime) -> Step:
    """The provider was told. A machine that stays long is told again; then the status names it."""
    found = step_of(view.rotation.status.steps, asking.REMOVE)
    told = found.finished_at if found else None
    if told is not None and now >= told + ASK_AGAIN:
        again = _checked(view, now)
        return again or _remove(view, now)
    since = began(view.rotation, str(RotationPhase.TERMINATING))
    if since is None or now < since + SLOW:
        return asking.waiting(view, now, None)
    name = view.rotation.spec.instance.name
    message = f"{name} was told to go and is still there; look at its finalizers and at its provider; it is told again"
    blocked = Blocked(reason=BlockedReason.WAITING_FOR_REPLACEMENT, message=message)
    return asking.waiting(view, now, blocked, recheck=asking.LATER)


def ours(view: RotationView) -> bool:
    """Whether we asked for its removal."""
    return began(view.rotation, asking.REMOVE) is not None


def _gone(view: RotationView, now: datetime) -> Step:
    """The UID is gone, as far as is seen: the end, once the replacement is there."""
    if _replaced_before(view):
        return _succeed(view, now)
    if not view.provider.brings_replacement and not replacing.request_key(view.rotation):
        return _refilled(view, now)
    if view.rotation.status.replacement is None and view.provider.problem:
        return _not_replaced(view, now, view.provider.problem)
    return _judged(view, replacing.pursue(view, now), now)


def _judged(view: RotationView, found: Pursuit, now: datetime) -> Step:
    if found.step is not None:
        return found.step
    if found.good:
        return _succeed(view, now) if found.seen is None else _notice(view, found, now)
    if _late(view, now) and replacing.over(found):
        return _not_replaced(view, now, found.trouble)
    if found.fleeting:
        return Step(recheck_after=asking.MOMENT)
    patch = replacing.noticed(view, found, now)
    return asking.waiting(view, now, replacing.waiting_for(view, found), patch=patch)


def _notice(view: RotationView, found: Pursuit, now: datetime) -> Step:
    return Step(name=asking.REQUEST, status=replacing.noticed(view, found, now).body)


def _replaced_before(view: RotationView) -> bool:
    """Whether the replacement was good before the old machine was touched."""
    return asking.replaces_first(view) and began(view.rotation, str(RotationPhase.CORDONED)) is not None


def _since(view: RotationView) -> datetime:
    """When the removal was asked for; where another's hand did it, it was some time after the start."""
    status = view.rotation.status
    asked = began(view.rotation, asking.REMOVE)
    first = began(view.rotation, str(RotationPhase.TERMINATING)) if asked else status.started_at
    return first or view.rotation.metadata.creation_timestamp


def _refilled(view: RotationView, now: datetime) -> Step:
    """Whoever owns the pool brings a machine: claimed, then watched like any other."""
    rotation, replacement = view.rotation, view.rotation.status.replacement
    rival = claims.contested(view)
    claimed = replacement is not None and replacement.uid and replacing.node_of(view, replacement) is not None
    if replacement is not None and claimed and rival is None:
        return _judged(view, replacing.watch(view, replacement, now), now)
    candidate = claims.born_since(view, _since(view))
    if candidate is not None:
        return _claim(view, candidate, now)
    if replacement is not None:
        return Step(name=asking.REQUEST, status=Patch(rotation, now).set(replacement=None).body)
    return _awaited(view, now)


def _claim(view: RotationView, candidate: Instance, now: datetime) -> Step:
    claim = ReplacementStatus(
        name=candidate.name,
        uid=candidate.uid,
        provider_id=candidate.provider_id,
        requested_at=now.replace(microsecond=0),
    )
    return Step(name=asking.REQUEST, status=Patch(view.rotation, now).set(replacement=whole(claim)).body)


def _awaited(view: RotationView, now: datetime) -> Step:
    """Nobody came yet, or the same machine came back."""
    same = claims.came_back(view, _since(view))
    soak = asking.rotation_settings(view).soak_time
    if same is not None and same.ready and now >= same.born + soak and ours(view):
        message = f"{same.name} is the same machine under a new UID; nothing was replaced"
        return undoing.undo(view, now, EndReason.REPLACEMENT_FAILED, message)
    if _late(view, now):
        return _not_replaced(view, now, "no new machine has joined the pool")
    name = view.rotation.spec.instance.name
    message = f"{name} is gone; it waits for a new machine of pool {asking.frozen(view).pool or '(none)'}"
    blocked = Blocked(reason=BlockedReason.WAITING_FOR_REPLACEMENT, message=message)
    return asking.waiting(view, now, blocked)


def _late(view: RotationView, now: datetime) -> bool:
    """Whether it was waited for long enough since the machine went, or since a machine was asked for."""
    replacement = view.rotation.status.replacement
    asked = replacement.requested_at if replacement and replacement.request_id else None
    begun = began(view.rotation, str(RotationPhase.TERMINATING)) or view.rotation.metadata.creation_timestamp
    since = max(begun, asked) if asked and ours(view) else begun
    return now >= since + asking.rotation_settings(view).replacement_timeout


def _succeed(view: RotationView, now: datetime) -> Step:
    lacking = asking.look(view, Look.NODE)
    if lacking is not None:
        return lacking
    name, replacement = view.rotation.spec.instance.name, view.rotation.status.replacement
    by = f" by {replacement.name}" if replacement and replacement.name else ""
    if ours(view):
        return undoing.end(view, now, EndReason.REPLACED, f"{name} was replaced{by}", success=True)
    message = f"{name} was gone by another's hand and was replaced{by}"
    return undoing.end(view, now, EndReason.INSTANCE_GONE, message, success=True)


def _not_replaced(view: RotationView, now: datetime, trouble: str) -> Step:
    """Time is over. A machine that another took away ends well all the same."""
    lacking = asking.look(view, Look.NODE)
    if lacking is not None:
        return lacking
    name = view.rotation.spec.instance.name
    if not ours(view):
        message = f"{name} was gone by another's hand; no good replacement came in time: {trouble}"
        return undoing.end(view, now, EndReason.INSTANCE_GONE, message, success=True)
    replacement = view.rotation.status.replacement
    came = replacement is not None and bool(replacement.uid or replacement.request_id)
    reason = EndReason.REPLACEMENT_FAILED if came else EndReason.NO_REPLACEMENT
    return undoing.undo(view, now, reason, replacing.not_good(view, trouble))
