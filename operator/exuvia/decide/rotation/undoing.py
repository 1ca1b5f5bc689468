"""The end of a Rotation, and what comes before one that does not succeed: marks are put back, the replacement is given
back. No brake holds it. Why it ends is won first, so that nothing turns it round half-way.
"""

from __future__ import annotations

from datetime import datetime

from exuvia.decide.rotation import asking, claims, marking, returning
from exuvia.decide.rotation.patching import Patch, trouble_of, waits
from exuvia.model.reasons import EndReason, EventReason
from exuvia.model.rotation_views import RotationView
from exuvia.model.specs.rotation import RotationPhase
from exuvia.model.specs.security_policy import OnFailure
from exuvia.model.steps import Look, Note, Step

FAILURES = (
    EndReason.REPLACEMENT_FAILED,
    EndReason.NO_REPLACEMENT,
    EndReason.DRAIN_TIMEOUT,
    EndReason.PROVIDER_REFUSED,
)


def under_way(view: RotationView, now: datetime) -> Step | None:
    """An end that was won already goes on to its end."""
    status = view.rotation.status
    known = {str(one): one for one in EndReason}
    if status.phase.ended or status.reason not in known:
        return None
    return undo(view, now, known[status.reason], status.message)


def undo(view: RotationView, now: datetime, reason: EndReason, message: str) -> Step:
    """The next step on the way to that end."""
    if not _stands(view) and view.rotation.status.replacement is None:
        return end(view, now, reason, message)
    if view.rotation.status.reason != reason:
        patch = Patch(view.rotation, now).set(reason=str(reason), message=message[:1000]).began(asking.UNDO)
        return Step(name=asking.UNDO, status=patch.body)
    return _restore(view, now, reason) or returning.give_back(view, now) or end(view, now, reason, message)


def _restore(view: RotationView, now: datetime, reason: EndReason) -> Step | None:
    """Put back what `before` says; None when that is done, or not to be done."""
    rotation = view.rotation
    if not _stands(view) or _left(view, reason):
        return None
    lacking = asking.look(view, Look.NODE)
    if lacking is not None:
        return lacking
    if asking.gone(view):
        return None
    if view.instance is not None and Look.NODE in view.fresh and not marking.any_on(view.instance, rotation.name):
        return Step(name=asking.RESTORE, status=Patch(rotation, now).set(restored=True).body)
    if waits(rotation, asking.RESTORE, now):
        return asking.waiting(view, now, trouble_of(rotation, asking.RESTORE))
    patch = Patch(rotation, now).began(asking.RESTORE)
    return Step(name=asking.RESTORE, status=patch.body, actions=(marking.restore(view),))


def _stands(view: RotationView) -> bool:
    """Whether our marks may still be on the machine."""
    status = view.rotation.status
    return status.before is not None and not status.restored


def _left(view: RotationView, reason: EndReason) -> bool:
    """Whether the marks are left standing: for a person, or for the operation that works on the machine."""
    if reason in FAILURES:
        return asking.rotation_settings(view).on_failure is OnFailure.HOLD
    if reason is EndReason.DUPLICATE:
        uid = view.rotation.spec.instance.uid
        same = (one for one in claims.others(view) if one.open and one.spec.instance.uid == uid)
        return any(one.status.before is not None for one in same)
    return False


def end(view: RotationView, now: datetime, reason: EndReason, message: str, *, success: bool = False) -> Step:
    """The terminal step."""
    phase = RotationPhase.SUCCEEDED if success else RotationPhase.FAILED
    if not success and reason not in FAILURES:
        phase = RotationPhase.ABORTED
    text = message + _standing(view, reason, phase)
    patch = Patch(view.rotation, now).phase(phase).blocked(None)
    patch.set(reason=str(reason), message=text[:1000], finishedAt=now, unwantedSince=None)
    patch.condition("Succeeded", success, str(reason), text)
    return Step(name=str(phase), status=patch.body, notes=_said(phase, reason, text), finished=True)


def _standing(view: RotationView, reason: EndReason, phase: RotationPhase) -> str:
    """What is left on the machine."""
    if phase is RotationPhase.SUCCEEDED or not _stands(view) or view.instance is None:
        return ""
    if reason is EndReason.SUPERSEDED_BY_QUARANTINE:
        return ""
    return "; it is left cordoned, with exuvia's marks" if _left(view, reason) else ""


def _said(phase: RotationPhase, reason: EndReason, text: str) -> tuple[Note, ...]:
    match phase:
        case RotationPhase.SUCCEEDED:
            return (Note(reason=EventReason.ROTATION_SUCCEEDED, text=text),)
        case RotationPhase.FAILED:
            failed = Note(reason=EventReason.ROTATION_FAILED, text=text, warning=True)
            if reason not in (EndReason.REPLACEMENT_FAILED, EndReason.NO_REPLACEMENT):
                return (failed,)
            return (Note(reason=EventReason.REPLACEMENT_FAILED, text=text, warning=True), failed)
        case _:
            gone = reason is EndReason.INSTANCE_GONE
            return (Note(reason=EventReason.ROTATION_ABORTED, text=text, warning=gone, of_operation=gone),)
