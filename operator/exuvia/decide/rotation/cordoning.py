"""The cordon: `before` is won first, then all marks go on in one patch; marks that somebody took off are put back."""

from __future__ import annotations

from datetime import datetime

from exuvia.decide import drain
from exuvia.decide.rotation import asking, marking
from exuvia.decide.rotation.patching import Patch, trouble_of, waits
from exuvia.model.rotation_views import RotationView
from exuvia.model.specs.rotation import RotationPhase
from exuvia.model.steps import Look, Note, Step


def cordoned(view: RotationView, now: datetime) -> Step | None:
    """The phase Cordoned: on to Draining once all marks are on the machine."""
    if view.rotation.status.phase is not RotationPhase.CORDONED:
        return None
    held = asking.hold(view, now) or asking.self_pinned(view)
    if held is not None:
        return asking.waiting(view, now, held)
    step = ensured(view, now)
    if step is not None:
        return step
    patch = advanced(Patch(view.rotation, now), view, now).blocked(None)
    return Step(name=str(RotationPhase.DRAINING), status=patch.body)


def ensured(view: RotationView, now: datetime) -> Step | None:
    """Marks that are missing are put on (back); None when a fresh look shows all. Holds are the caller's."""
    if waits(view.rotation, asking.MARK, now):
        return asking.waiting(view, now, trouble_of(view.rotation, asking.MARK))
    lacking = asking.look(view, Look.NODE)
    if lacking is not None:
        return lacking
    trouble = asking.unreadable(view, Look.NODE)
    if trouble is not None:
        return asking.waiting(view, now, trouble)
    if view.instance is None:
        return Step(recheck_after=asking.SOON)
    recorded = view.rotation.status.before is not None
    if recorded and not marking.missing(view.instance, view.rotation.name):
        return None
    return _mark(view, now)


def _mark(view: RotationView, now: datetime) -> Step:
    return marking_step(view, Patch(view.rotation, now).blocked(None))


def marking_step(view: RotationView, patch: Patch, notes: tuple[Note, ...] = ()) -> Step:
    """Win `before` and write the marks. The Node was read in this round; one that is gone is found by the next."""
    if view.instance is None:
        return Step(recheck_after=asking.SOON)
    patch.began(asking.MARK)
    if view.rotation.status.before is None:
        patch.set(before=marking.wire_before(marking.before_for(view, view.instance)))
    said = (*asking.started(view), *notes)
    return Step(name=asking.MARK, status=patch.body, actions=(marking.mark(view),), disruptive=True, notes=said)


def advanced(patch: Patch, view: RotationView, now: datetime) -> Patch:
    """The marks are on: the settle time starts, and the drain begins."""
    status = view.rotation.status.drain
    patch.drain(cordonedAt=drain.whole_second(now))
    if view.rotation.status.phase is RotationPhase.CORDONED:
        patch.phase(RotationPhase.DRAINING)
    if status is None or status.started_at is None:
        patch.drain(startedAt=now)
    return patch
