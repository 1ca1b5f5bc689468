"""What outcomes mean for the status of a Rotation. Only what was surely not done counts as a failed attempt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from exuvia.decide import drain
from exuvia.decide.drain.planning import summary
from exuvia.decide.rotation import asking, cordoning, replacing
from exuvia.decide.rotation.draining import entries
from exuvia.decide.rotation.patching import UNKNOWN, Patch, merged, whole
from exuvia.model.actions import (
    DeletePod,
    EvictPod,
    MarkInstance,
    Outcome,
    OutcomeKind,
    RemoveMachine,
    RequestMachine,
    RestoreInstance,
)
from exuvia.model.quarantine_views import Noted
from exuvia.model.reasons import BlockedReason, EventReason
from exuvia.model.rotation_views import RotationView
from exuvia.model.steps import Note, Step

_DONE = (OutcomeKind.DONE, OutcomeKind.ALREADY)


def note(view: RotationView, step: Step, outcomes: tuple[Outcome, ...], now: datetime) -> Noted:
    """The merge patch of the status, and Events. `view` may show the Rotation before or after the step was won."""
    view = _after(view, step)
    patch = Patch(view.rotation, now)
    notes: list[Note] = []
    for outcome in outcomes:
        _note_one(view, patch, outcome, now)
    evictions = [one for one in outcomes if isinstance(one.action, EvictPod | DeletePod)]
    if evictions:
        notes += _evicted(view, patch, evictions, now)
    waits = [one.retry_after for one in outcomes if one.retry_after]
    return Noted(status=patch.body, notes=tuple(notes), recheck_after=min(waits, default=timedelta(seconds=1)))


def _after(view: RotationView, step: Step) -> RotationView:
    return replace(view, rotation=merged(view.rotation, step.status))


def _note_one(view: RotationView, patch: Patch, outcome: Outcome, now: datetime) -> None:
    own = view.rotation.spec.instance.uid
    match outcome.action:
        case MarkInstance() as action if action.instance.uid == own:
            _marked(view, patch, outcome, now)
        case MarkInstance():
            _told(patch, asking.GIVE_BACK, outcome)
        case RestoreInstance() as action if action.instance.uid == own:
            _told(patch, asking.RESTORE, outcome)
            if outcome.kind in _DONE:
                patch.set(restored=True)
        case RestoreInstance():
            _told(patch, asking.KEEP, outcome)
        case RequestMachine():
            _requested(view, patch, outcome)
        case RemoveMachine() as action:
            _told(patch, asking.REMOVE if action.instance.uid == own else asking.RETURN, outcome)
        case _:
            pass


def _told(patch: Patch, name: str, outcome: Outcome) -> None:
    """The step is done, or says why it is not."""
    if outcome.kind in _DONE:
        patch.ended(name)
        return
    reason = UNKNOWN if outcome.kind is OutcomeKind.UNKNOWN else outcome.reason
    patch.failed(name, reason, outcome.message or f"HTTP {outcome.code}")


def _marked(view: RotationView, patch: Patch, outcome: Outcome, now: datetime) -> None:
    _told(patch, asking.MARK, outcome)
    if outcome.kind in _DONE:
        cordoning.advanced(patch, view, now)


def _requested(view: RotationView, patch: Patch, outcome: Outcome) -> None:
    """A definite failure is an attempt; without an answer the provider is asked what became of it. One that is under
    way needs no word: the key of the request finds it again, and its step ends when the machine is seen."""
    rotation = view.rotation
    replacement = rotation.status.replacement
    if outcome.kind not in _DONE:
        _told(patch, asking.REQUEST, outcome)
    if replacement is None:
        return
    if outcome.kind is OutcomeKind.FAILED:
        patch.set(attempts=rotation.status.attempts + 1, replacement=whole(replacing.emptied(replacement)))


def _evicted(view: RotationView, patch: Patch, outcomes: Sequence[Outcome], now: datetime) -> list[Note]:
    former = entries(view)
    held = drain.after(former, outcomes, asking.situation(view), view.pods or (), now)
    if held != former:
        patch.drain(blockedBy=[one.wire() for one in held])
        patch.blocked(summary(held))
    known = {(one.uid, one.reason) for one in former}
    new = [one for one in held if one.next is not None and (one.uid, one.reason) not in known]
    return [
        Note(reason=EventReason.DRAIN_BLOCKED, text=_text(view, one.pod, one.reason, one.pdb), warning=True)
        for one in new
    ]


def _text(view: RotationView, pod: str, reason: str, pdb: str | None) -> str:
    """No numbers that change, so that repeats fold into one series."""
    name = view.rotation.spec.instance.name
    if pdb:
        return f"{name} is not drained: PodDisruptionBudget {pdb} holds pod {pod}; it is asked again"
    said = {
        str(BlockedReason.FORBIDDEN): "exuvia may not evict it; see `exuvia doctor`",
        str(BlockedReason.THROTTLED): "the API server asks to slow down",
    }
    return f"{name} is not drained: pod {pod}: {said.get(reason, reason)}; it is asked again"
