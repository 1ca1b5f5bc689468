"""Before anything is done to the machine: duplicates, waiting, the grant of a start, and an heir that needs none."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from exuvia.decide import absence
from exuvia.decide.quarantine import asking, ending, passing
from exuvia.decide.quarantine.patching import EXUVIA, Patch
from exuvia.model.quarantine_views import QuarantineView
from exuvia.model.reasons import EndReason
from exuvia.model.specs.operation import FrozenSettings
from exuvia.model.specs.quarantine import Quarantine, QuarantinePhase, ReleaseVerdict
from exuvia.model.steps import Look, Step


def grant(quarantine: Quarantine, settings: FrozenSettings, now: datetime) -> dict[str, Any]:
    """The merge patch of the status that starts it. Whoever wins it as a compare-and-swap out of Pending granted it."""
    patch = Patch(quarantine, now).phase(QuarantinePhase.ISOLATING)
    patch.set(startedAt=now, settings=settings.wire())
    patch.custody(quarantine.spec.requested_by or EXUVIA, _why(quarantine))
    return patch.blocked(None).body


def _why(quarantine: Quarantine) -> str:
    spec = quarantine.spec
    cause = f"policy {spec.policy.name}, rule {spec.rule or '-'}" if spec.policy else "on request"
    reason = f": {spec.reason}" if spec.reason else ""
    return f"quarantine of {spec.instance.name} started ({cause}){reason}"


def duplicate(view: QuarantineView, now: datetime) -> Step | None:
    """Of two open Quarantines of one machine the older stays; the other clears its network policies and ends."""
    older = [one for one in view.quarantines if _same_machine(view, one) and _age(one) < _age(view.quarantine)]
    if not older:
        return None
    first = min(older, key=_age)
    message = f"{first.name} holds the same machine and is older"
    return ending.end(view, now, EndReason.DUPLICATE, message, phase=QuarantinePhase.ABORTED)


def _same_machine(view: QuarantineView, other: Quarantine) -> bool:
    return other.open and other.uid != view.quarantine.uid and _instance(other) == _instance(view.quarantine)


def _instance(quarantine: Quarantine) -> str:
    return quarantine.spec.instance.uid


def _age(quarantine: Quarantine) -> tuple[datetime, str]:
    return quarantine.metadata.creation_timestamp, quarantine.name


def pending(view: QuarantineView, now: datetime) -> Step | None:
    """Waits for the sweep. A person may call it off, the machine may vanish; an heir starts by itself."""
    quarantine = view.quarantine
    if quarantine.status.phase is not QuarantinePhase.PENDING:
        return None
    if quarantine.spec.release and quarantine.spec.release.verdict is ReleaseVerdict.RETURN:
        return _called_off(view, now)
    passed = passing.create_heir(view, now)
    if passed is not None:
        return passed
    if asking.gone(view):
        return asking.look(view, Look.NODE) or _vanished(view, now)
    settings = _heir_settings(view)
    if settings is not None and view.instance is not None:
        return Step(name=asking.MARK, status=grant(quarantine, settings, now))
    return None


def _heir_settings(view: QuarantineView) -> FrozenSettings | None:
    """An heir goes on with what its former had: marking it is recovery, no start. A former that never started waits,
    and so does its heir."""
    former = asking.proven_former(view)
    if former is None:
        return None
    own = view.settings or FrozenSettings()
    had = former.status.settings or own
    machine_id = view.instance.machine_id if view.instance else ""
    return had.model_copy(update={"machine_id": machine_id or had.machine_id})


def _called_off(view: QuarantineView, now: datetime) -> Step:
    release = view.quarantine.spec.release
    by = release.by if release else EXUVIA
    return ending.ended(view, now, EndReason.RELEASED, "released before it started", by=by)


def _vanished(view: QuarantineView, now: datetime) -> Step:
    asked = view.quarantine.spec.instance
    other = next((one for one in view.instances if one.name == asked.name and one.uid != asked.uid), None)
    message = absence.untouched(asked, other, "quarantine")
    return ending.ended(view, now, EndReason.INSTANCE_GONE, message, phase=QuarantinePhase.ABORTED)
