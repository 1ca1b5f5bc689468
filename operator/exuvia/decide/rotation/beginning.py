"""The start: who grants it, and what becomes of a Rotation that waits for it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from exuvia.decide.rotation import asking
from exuvia.decide.rotation.patching import Patch
from exuvia.model.blocking import Blocked
from exuvia.model.reasons import BlockedReason
from exuvia.model.rotation_views import RotationView
from exuvia.model.specs.operation import FrozenSettings
from exuvia.model.specs.rotation import Rotation, RotationPhase
from exuvia.model.specs.security_policy import RotationSettings, Strategy
from exuvia.model.steps import Step


def grant(rotation: Rotation, settings: FrozenSettings, now: datetime) -> dict[str, Any]:
    """The merge patch of the status that starts it. Whoever wins it as a compare-and-swap out of Pending granted it."""
    strategy = (settings.rotation or RotationSettings()).strategy
    phase = RotationPhase.REPLACING if strategy is Strategy.REPLACE_FIRST else RotationPhase.CORDONED
    patch = Patch(rotation, now).phase(phase).set(startedAt=now, settings=settings.wire()).blocked(None)
    return patch.condition("Succeeded", None, "UnderWay", "the machine is being replaced").body


def pending(view: RotationView, now: datetime) -> Step | None:
    """Waits for the sweep, which says why; only a quarantine is named here, where nothing is said yet."""
    rotation = view.rotation
    if rotation.status.phase is not RotationPhase.PENDING:
        return None
    quarantine = next(iter(asking.quarantines(view)), None)
    if quarantine is None:
        return Step(recheck_after=asking.LATER)
    message = (
        f"{rotation.spec.instance.name} is in quarantine by {quarantine.name}; release that one with verdict Rotate to "
        "replace the machine"
    )
    blocked = Blocked(reason=BlockedReason.QUARANTINED, message=message)
    if rotation.status.blocked is not None:
        return Step(blocked=blocked, recheck_after=asking.LATER)
    return asking.waiting(view, now, blocked, recheck=asking.LATER)
