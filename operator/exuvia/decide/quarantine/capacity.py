"""Capacity in place of what the quarantine took away: asked for with the marks, and watched until it is good.

Only a definite failure counts as an attempt, and the key of a request holds the attempt, so that a crash never
launches twice. A machine that came and is not good is watched, not added to: more of the same would come.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from exuvia.decide.quarantine import asking, marking
from exuvia.decide.quarantine.patching import EXUVIA, Patch, finished
from exuvia.model.actions import Action, Outcome, OutcomeKind, RequestMachine
from exuvia.model.quarantine_views import CapacityFacts, QuarantineView
from exuvia.model.reasons import BlockedReason, EventReason
from exuvia.model.specs.operation import FrozenSettings, ReplacementStatus
from exuvia.model.specs.quarantine import CapacityStatus, Quarantine
from exuvia.model.specs.security_policy import ProviderName, RotationSettings
from exuvia.model.steps import Look, Note, Step

REQUESTED, REPLACED, MISSING = "Requested", "Replaced", "Missing"
UNSUPPORTED, NOT_ASKED = "Unsupported", "NotAsked"
FIRST_RETRY = timedelta(minutes=1)
LAST_RETRY = timedelta(minutes=30)
ASK_AGAIN = timedelta(seconds=30)
POLL = timedelta(seconds=15)
_COMES = ("Launching", "Running")
_LOST = ("Failed", "Gone")
_NEVER = (BlockedReason.PROVIDER_UNKNOWN, BlockedReason.REPLACEMENT_UNSUPPORTED)


def first(view: QuarantineView, patch: Patch, now: datetime) -> tuple[Action, ...]:
    """What to ask for together with the first marks; says in the patch what becomes of the capacity."""
    quarantine = view.quarantine
    if quarantine.status.capacity is not None:
        return ()
    new = _inherited(view) or _beginning(view, now)
    patch.set(capacity=_wire(new))
    return (_request(quarantine, new),) if new.state == REQUESTED and not _has_machine(view) else ()


def _has_machine(view: QuarantineView) -> bool:
    return _inherited(view) is not None


def _beginning(view: QuarantineView, now: datetime) -> CapacityStatus:
    quarantine = view.quarantine
    if not asking.settings_of(quarantine).replace_capacity:
        return CapacityStatus(state=NOT_ASKED, message="spec.quarantine.replaceCapacity is false")
    why = _unsupported(quarantine)
    if why:
        return CapacityStatus(state=UNSUPPORTED, message=why)
    if view.hold is not None:
        return CapacityStatus(state=MISSING, message=f"not asked for yet: {view.hold.message}"[:1000])
    return _asked(quarantine, 0, now)


def _asked(quarantine: Quarantine, attempts: int, now: datetime) -> CapacityStatus:
    moment = now.replace(microsecond=0)
    replacement = ReplacementStatus(request_id=key_of(quarantine, attempts), requested_at=moment)
    message = f"asked {_settings(quarantine).provider} for one more machine"
    return CapacityStatus(state=REQUESTED, replacement=replacement, message=message, attempts=attempts)


def _inherited(view: QuarantineView) -> CapacityStatus | None:
    """What the former Quarantine of the machine asked for, or the Rotation that is taken over."""
    former = asking.former_of(view)
    if former is not None and former.status.capacity is not None:
        return former.status.capacity
    rotation = marking.taken_over(view)
    replacement = rotation.status.replacement if rotation else None
    if rotation is None or replacement is None or not (replacement.request_id or replacement.uid):
        return None
    message = f"taken over from Rotation {rotation.name}"
    return CapacityStatus(state=REQUESTED, replacement=replacement, message=message)


def _unsupported(quarantine: Quarantine) -> str:
    """Why no machine can be asked for, or ""."""
    provider = _settings(quarantine).provider
    if provider == ProviderName.NODE_DELETE:
        return "provider NodeDelete cannot add a machine; whoever owns the machine may"
    if provider in set(ProviderName) - {ProviderName.AUTO}:
        return ""
    return "no provider is known for this machine; name one in spec.rotation.provider of its policy"


def key_of(quarantine: Quarantine, attempts: int) -> str:
    """The idempotency key of one attempt."""
    return f"{quarantine.uid}-{attempts}"


def request_key(quarantine: Quarantine) -> str:
    """The key by which the provider knows the request that is under way; "" when there is none."""
    capacity = quarantine.status.capacity
    replacement = capacity.replacement if capacity else None
    return replacement.request_id if replacement else ""


def _request(quarantine: Quarantine, capacity: CapacityStatus) -> RequestMachine:
    settings = _settings(quarantine)
    key = capacity.replacement.request_id if capacity.replacement else key_of(quarantine, capacity.attempts)
    like = marking.reference(quarantine.spec.instance)
    return RequestMachine(provider=settings.provider, pool=settings.pool, key=key, like=like)


def follow(view: QuarantineView, now: datetime) -> Step | None:
    """What became of the request, and the next try. A release hands the matter over to whoever comes next."""
    quarantine = view.quarantine
    capacity = quarantine.status.capacity
    if quarantine.status.release_accepted is not None or not finished(quarantine, asking.MARK):
        return None
    if capacity is None:
        patch = Patch(quarantine, now).began(asking.CAPACITY)
        actions = first(view, patch, now)
        return Step(name=asking.CAPACITY, status=patch.body, actions=actions, disruptive=bool(actions))
    if capacity.state == MISSING:
        return _retry(view, capacity, now)
    return _watch(view, capacity, now) if capacity.state == REQUESTED else None


def _retry(view: QuarantineView, capacity: CapacityStatus, now: datetime) -> Step | None:
    if capacity.next_attempt is not None and now < capacity.next_attempt:
        return None
    if capacity.replacement is not None:
        return _watch(view, capacity, now)
    return None if view.hold is not None else _ask(view, _asked(view.quarantine, capacity.attempts, now), now)


def _ask(view: QuarantineView, new: CapacityStatus, now: datetime) -> Step:
    patch = Patch(view.quarantine, now).set(capacity=_wire(new)).began(asking.CAPACITY)
    return Step(name=asking.CAPACITY, status=patch.body, actions=(_request(view.quarantine, new),), disruptive=True)


def _watch(view: QuarantineView, capacity: CapacityStatus, now: datetime) -> Step | None:
    if asking.unreadable(view, Look.MACHINE):
        return None
    lacking = asking.look(view, Look.MACHINE)
    if lacking:
        return lacking
    facts, replacement = view.capacity, capacity.replacement
    if facts is None or replacement is None:
        return None
    if facts.machine_state in _LOST:
        return _say(view, _missed(capacity, f"the machine did not come: {facts.message}", now), now)
    if facts.machine_state in _COMES or facts.node is not None:
        return _judge(view, capacity, replacement, facts, now)
    if facts.unsupported:
        return _say(view, capacity.model_copy(update={"state": UNSUPPORTED, "message": facts.unsupported[:1000]}), now)
    return _unknown(view, capacity, replacement, now)


def _unknown(
    view: QuarantineView, capacity: CapacityStatus, replacement: ReplacementStatus, now: datetime
) -> Step | None:
    """The provider knows no such request: it never got there, so the same one is sent again."""
    asked = replacement.requested_at
    if view.hold is not None or (asked is not None and now < asked + ASK_AGAIN):
        return None
    moment = now.replace(microsecond=0)
    key = replacement.request_id or key_of(view.quarantine, capacity.attempts)
    again = replacement.model_copy(update={"requested_at": moment, "request_id": key})
    return _ask(view, capacity.model_copy(update={"replacement": again, "state": REQUESTED}), now)


def _judge(
    view: QuarantineView,
    capacity: CapacityStatus,
    replacement: ReplacementStatus,
    facts: CapacityFacts,
    now: datetime,
) -> Step | None:
    seen = _seen(replacement, facts)
    trouble = _not_good(view, facts)
    if trouble:
        seen = seen.model_copy(update={"good_since": None})
        late = seen.requested_at is not None and seen.requested_at + _rotation(view).replacement_timeout <= now
        if not late and capacity.state == REQUESTED:
            return _say(view, capacity.model_copy(update={"replacement": seen}), now)
        return _say(view, _watched(capacity, seen, trouble, now), now)
    since = seen.good_since or now.replace(microsecond=0)
    seen = seen.model_copy(update={"good_since": since})
    if now < since + _rotation(view).soak_time:
        waiting = f"{seen.name} is ready; it is watched for a while"
        new = capacity.model_copy(update={"state": REQUESTED, "replacement": seen, "message": waiting})
        return _say(view, new.model_copy(update={"next_attempt": None}), now)
    message = f"{seen.name} took over"
    new = capacity.model_copy(update={"state": REPLACED, "replacement": seen, "message": message})
    return _say(view, new.model_copy(update={"next_attempt": None}), now)


def _seen(replacement: ReplacementStatus, facts: CapacityFacts) -> ReplacementStatus:
    node = facts.node
    return replacement.model_copy(
        update={
            "name": node.name if node else replacement.name,
            "uid": node.uid if node else replacement.uid,
            "provider_id": facts.provider_id or (node.provider_id if node else "") or replacement.provider_id,
        }
    )


def _not_good(view: QuarantineView, facts: CapacityFacts) -> str:
    """What the new machine lacks, or ""."""
    node = facts.node
    if node is None or node.uid == view.quarantine.spec.instance.uid:
        return "its node has not joined"
    if node.deleting or not node.ready:
        return f"{node.name} is not ready"
    return f"{node.name} fails {facts.failing}" if facts.failing else ""


def _watched(capacity: CapacityStatus, seen: ReplacementStatus, trouble: str, now: datetime) -> CapacityStatus:
    """It did not become good in time; it is looked at again and again, because it still may."""
    moment = now.replace(microsecond=0)
    message = f"the machine that was asked for never became good: {trouble}"
    update = {"state": MISSING, "replacement": seen, "message": message[:1000], "next_attempt": moment + FIRST_RETRY}
    return capacity.model_copy(update=update)


def _missed(capacity: CapacityStatus, message: str, now: datetime) -> CapacityStatus:
    attempts = capacity.attempts + 1
    wait = min(FIRST_RETRY * 2 ** min(attempts - 1, 10), LAST_RETRY)
    moment = now.replace(microsecond=0) + wait
    return CapacityStatus(state=MISSING, message=message[:1000], attempts=attempts, next_attempt=moment)


def _say(view: QuarantineView, new: CapacityStatus, now: datetime) -> Step | None:
    former = view.quarantine.status.capacity
    if new == former:
        return None
    patch = Patch(view.quarantine, now).set(capacity=_wire(new))
    turned = former is None or former.state != new.state
    if turned:
        patch.custody(EXUVIA, f"capacity: {new.state}; {new.message}")
    return Step(name=asking.CAPACITY, status=patch.body, notes=_notes(new) if turned else ())


def _notes(new: CapacityStatus) -> tuple[Note, ...]:
    if new.state == REPLACED:
        return (Note(reason=EventReason.REPLACEMENT_READY, text=f"capacity is replaced: {new.message}"),)
    if new.state == MISSING:
        text = f"capacity is missing: {new.message}; it is tried again"
        return (Note(reason=EventReason.REPLACEMENT_FAILED, text=text, warning=True),)
    return ()


def noted(quarantine: Quarantine, patch: Patch, outcome: Outcome, now: datetime) -> None:
    """What the provider's answer to a request means. Without an answer it is looked for, not asked for again."""
    capacity = quarantine.status.capacity
    if capacity is None or outcome.kind in (OutcomeKind.DONE, OutcomeKind.ALREADY, OutcomeKind.UNKNOWN):
        return
    if outcome.kind is OutcomeKind.REFUSED and outcome.reason in set(_NEVER):
        new = CapacityStatus(state=UNSUPPORTED, message=outcome.message[:1000], attempts=capacity.attempts)
    else:
        new = _missed(capacity, outcome.message or "the provider did not do it", now)
    patch.set(capacity=_wire(new)).custody(EXUVIA, f"capacity: {new.state}; {new.message}")


def _settings(quarantine: Quarantine) -> FrozenSettings:
    return quarantine.status.settings or FrozenSettings()


def _rotation(view: QuarantineView) -> RotationSettings:
    return _settings(view.quarantine).rotation or RotationSettings()


def _wire(capacity: CapacityStatus) -> dict[str, Any]:
    """For a merge patch: what is not set is taken away."""
    return capacity.model_dump(mode="json", by_alias=True)
