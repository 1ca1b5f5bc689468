"""Why nothing happens now, and when to look again. Silence is a fault: what waits says for what, and until when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from exuvia.decide.quarantine import asking, capacity, evicting, handing_over, isolating, releasing, returning
from exuvia.decide.quarantine.patching import PAUSE, Patch, finished, just_began, retry_at, trouble_of
from exuvia.model.blocking import Blocked
from exuvia.model.quarantine_views import QuarantineView
from exuvia.model.reasons import BlockedReason
from exuvia.model.specs.quarantine import QuarantinePhase, ReleaseVerdict
from exuvia.model.steps import Step

LOOK_AGAIN = timedelta(minutes=5)
SOON = timedelta(seconds=10)
_STALE = timedelta(minutes=1)
_GUARDED = (asking.GUARD, asking.FREEZE, asking.FREEZE_MORE, asking.GUARD_PODS)
_TROUBLED = (
    asking.MARK,
    asking.GUARD,
    asking.FREEZE,
    asking.HAND_OVER,
    asking.RESTORE,
    asking.UNLABEL,
    asking.LEAVE,
    asking.ROTATE,
    asking.PASS_ON,
    asking.REOPEN,
    asking.EVICT,
)


def state(view: QuarantineView, now: datetime) -> Step:
    """Nothing is to be done now: say why in the status, where that changed, and when to look again."""
    blocked = why(view, now)
    waiting = view.quarantine.status.phase is QuarantinePhase.PENDING
    body = {} if waiting else Patch(view.quarantine, now).blocked(blocked).body
    if body:
        return Step(name=asking.STATE, status=body, blocked=blocked)
    return Step(blocked=blocked, recheck_after=recheck(view, now))


def why(view: QuarantineView, now: datetime) -> Blocked | None:
    """What holds it, the most telling first. What waits for a grant is said by the sweep."""
    if view.quarantine.status.phase is QuarantinePhase.PENDING:
        return None
    answers = (ask(view, now) for ask in _QUESTIONS)
    return next((one for one in answers if one is not None), None)


def _release(view: QuarantineView, now: datetime) -> Blocked | None:
    del now
    quarantine = view.quarantine
    release = quarantine.spec.release
    if release is None or release.verdict is not ReleaseVerdict.ROTATE or releasing.lapsed(quarantine):
        return None
    accepted = quarantine.status.release_accepted
    if asking.is_sealed(quarantine) or (accepted or release).destroy_unsealed:
        return None
    message = (
        f"release of {quarantine.spec.instance.name} waits: its evidence is not sealed{_missing(view)}; "
        "it is released once it is, or write spec.release.destroyUnsealed: true"
    )
    return Blocked(reason=BlockedReason.EVIDENCE_MISSING, message=message, next=_next_attempt(view))


def _rival(view: QuarantineView, now: datetime) -> Blocked | None:
    rival = releasing.rival(view) if asking.rotating(view.quarantine) else None
    if rival is None:
        return None
    message = (
        f"release of {view.quarantine.spec.instance.name} waits: Rotation {rival.name} of the same machine is open; "
        f"end it with: exuvia abort {rival.name}"
    )
    return Blocked(reason=BlockedReason.QUARANTINED, message=message, next=_soon(now))


def _missing(view: QuarantineView) -> str:
    said = next((one for one in view.quarantine.status.conditions if one.type == "EvidenceSealed"), None)
    return f" ({said.message})" if said is not None and said.message else ""


def _next_attempt(view: QuarantineView) -> datetime | None:
    evidence = view.quarantine.status.evidence
    return evidence.next_attempt if evidence else None


def _hold(view: QuarantineView, now: datetime) -> Blocked | None:
    del now
    what = _waiting(view)
    if view.hold is None or not what:
        return None
    return Blocked(reason=view.hold.reason, message=f"{what}: {view.hold.message}", next=view.hold.next)


def _waiting(view: QuarantineView) -> str:
    """What a brake holds now, in words; "" when there is nothing to hold."""
    quarantine = view.quarantine
    name = quarantine.spec.instance.name
    if asking.returning(quarantine):
        return f"the frozen pods of {name} are not evicted yet" if returning.frozen(view) else ""
    if not isolating.active(view):
        return ""
    if not isolating.marked(view):
        return f"{name} is not marked yet" if isolating.marks_held(view) else ""
    if not finished(quarantine, asking.FREEZE):
        return f"the pods of {name} are not isolated yet"
    if handing_over.own_pods(view):
        return f"exuvia does not leave {name} yet"
    return f"pods of {name} are not evicted yet" if _pods_wait(view) else ""


def _pods_wait(view: QuarantineView) -> bool:
    if asking.returning(view.quarantine):
        return bool(returning.frozen(view))
    return evicting.due(view) and bool(evicting.leavers(view))


def _eviction_hold(view: QuarantineView, now: datetime) -> Blocked | None:
    del now
    held = view.eviction_hold
    if held is None or not (_pods_wait(view) or handing_over.own_pods(view)):
        return None
    message = f"pods of {view.quarantine.spec.instance.name} are not evicted yet: {held.message}"
    return Blocked(reason=held.reason, message=message, next=held.next)


def _trouble(view: QuarantineView, now: datetime) -> Blocked | None:
    """A step that failed; one that was not tried again for long is not needed any more."""
    for name in _TROUBLED:
        found, again = trouble_of(view.quarantine, name), retry_at(view.quarantine, name)
        if found is not None and again is not None and now < again + _STALE:
            return Blocked(reason=found[0], message=f"{name}: {found[1]}", next=again)
    return None


def _unread(view: QuarantineView, now: datetime) -> Blocked | None:
    words = [f"{what}: {reason}" for what, reason in sorted(view.failed.items())]
    if not view.instance_known:
        words.append("the view of machines is not to be trusted now")
    if not words:
        return None
    message = f"{view.quarantine.spec.instance.name}: cannot be read: {'; '.join(words)}"
    return Blocked(reason=BlockedReason.UNSYNCED, message=message[:1000], next=_soon(now))


def _soon(now: datetime) -> datetime:
    return now.replace(microsecond=0) + SOON


def _pinned(view: QuarantineView, now: datetime) -> Blocked | None:
    del now
    here = isolating.active(view) and isolating.marked(view) and asking.on_own_machine(view)
    if not here or not view.own.pinned:
        return None
    message = (
        f"exuvia runs on {view.own.node_name}, and {view.own.pinned} ties it there: copy its ledger with "
        "`exuvia ledger export`, and move exuvia to a volume that another machine can use"
    )
    return Blocked(reason=BlockedReason.SELF_PINNED, message=message)


def _deletion(view: QuarantineView, now: datetime) -> Blocked | None:
    del now
    quarantine = view.quarantine
    if not quarantine.deleting or quarantine.status.release_accepted is not None:
        return None
    message = (
        f"{quarantine.name} was deleted by somebody; only a release ends it: "
        f"exuvia release {quarantine.name}, with verdict Return or Rotate"
    )
    return Blocked(reason=BlockedReason.QUARANTINED, message=message)


def _evidence(view: QuarantineView, now: datetime) -> Blocked | None:
    del now
    if asking.is_sealed(view.quarantine) or _next_attempt(view) is None or asking.returning(view.quarantine):
        return None
    message = f"the evidence of {view.quarantine.spec.instance.name} is not sealed{_missing(view)}"
    return Blocked(reason=BlockedReason.EVIDENCE_MISSING, message=message, next=_next_attempt(view))


_QUESTIONS: tuple[Callable[[QuarantineView, datetime], Blocked | None], ...] = (
    _release,
    _rival,
    _hold,
    _trouble,
    _unread,
    _pinned,
    _eviction_hold,
    _deletion,
    _evidence,
)


def recheck(view: QuarantineView, now: datetime) -> timedelta:
    """When to look again if nothing is heard: the first moment at which time alone changes the answer."""
    if any(just_began(view.quarantine, name, now) for name in _GUARDED):
        return PAUSE
    moments = [one for one in _moments(view, now) if one is not None and one > now]
    nearest = min((one - now for one in moments), default=LOOK_AGAIN)
    return max(timedelta(seconds=1), min(nearest, LOOK_AGAIN))


def _moments(view: QuarantineView, now: datetime) -> Iterator[datetime | None]:
    status = view.quarantine.status
    yield from (retry_at(view.quarantine, one.name) for one in status.steps)
    yield _next_attempt(view)
    yield view.hold.next if view.hold else None
    yield view.eviction_hold.next if view.eviction_hold else None
    if view.failed or not view.instance_known or _pods_wait(view) or status.release_accepted is not None:
        yield now + SOON
    if status.capacity is not None and status.release_accepted is None:
        yield status.capacity.next_attempt
        yield now + capacity.POLL if status.capacity.state == capacity.REQUESTED else None
    yield from _ends(view)


def _ends(view: QuarantineView) -> Iterator[datetime | None]:
    status, span = view.quarantine.status, asking.settings_of(view.quarantine).hold_time
    yield status.gone_since + span if status.gone_since else None
    yield status.held_since + span if status.held_since else None
    yield status.reminded_at + releasing.DAY if status.reminded_at else None
