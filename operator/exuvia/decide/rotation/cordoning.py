"""The cordon: `before` is won first, then all marks go on in one patch; marks that somebody took off are put back."""

from __future__ import annotations

from datetime import datetime

from exuvia.decide.rotation import asking, marking, replacing
from exuvia.decide.rotation.patching import Patch, trouble_of, waits
from exuvia.model.instances import Instance
from exuvia.model.rotation_views import RotationView
from exuvia.model.specs.rotation import RotationPhase
from exuvia.model.steps import Look, Step


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
    return _mark(view, view.instance, now)


def _mark(view: RotationView, instance: Instance, now: datetime) -> Step:
    patch = Patch(view.rotation, now).began(asking.MARK).blocked(None)
    notes = replacing.started(view)
    if view.rotation.status.before is None:
        patch.set(before=marking.wire_before(marking.before_for(view, instance)))
    return Step(name=asking.MARK, status=patch.body, actions=(marking.mark(view),), disruptive=True, notes=notes)


def advanced(patch: Patch, view: RotationView, now: datetime) -> Patch:
    """The marks are on: the settle time starts, and the drain begins."""
    drain = view.rotation.status.drain
    patch.drain(cordonedAt=now)
    if view.rotation.status.phase is RotationPhase.CORDONED:
        patch.phase(RotationPhase.DRAINING)
    if drain is None or drain.started_at is None:
        patch.drain(startedAt=now)
    return patch
