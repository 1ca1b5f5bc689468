"""What is alike and what differs between the two kinds of operations: the pure functions that decide their steps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exuvia.app.gathering import Gatherer
from exuvia.decide import quarantine as quarantines
from exuvia.decide import rotation as rotations
from exuvia.decide.quarantine.patching import Patch as QuarantinePatch
from exuvia.decide.rotation.asking import hold as rotation_hold
from exuvia.decide.rotation.patching import Patch as RotationPatch
from exuvia.model import resources
from exuvia.model.actions import Outcome
from exuvia.model.blocking import Blocked
from exuvia.model.quarantine_views import Noted, QuarantineView
from exuvia.model.specs.operation import FrozenSettings
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.model.steps import Look, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """How operations of one kind are gathered and decided."""

    resource: resources.Resource
    model: type[Rotation] | type[Quarantine]
    gather: Callable[[Any, frozenset[Look]], Awaitable[Any]]
    step: Callable[[Any, datetime], Step]
    held: Callable[[Any, datetime], Blocked | None]
    note: Callable[[Any, Step, tuple[Outcome, ...], datetime], Noted]
    grant: Callable[[Any, FrozenSettings, datetime], dict[str, Any]]
    waiting: Callable[[Any, Blocked, datetime], dict[str, Any]]


def lines(gatherer: Gatherer) -> dict[str, Line]:
    """By kind."""
    return {
        "Rotation": Line(
            resource=resources.ROTATIONS,
            model=Rotation,
            gather=gatherer.rotation,
            step=rotations.step,
            held=rotation_hold,
            note=rotations.note,
            grant=rotations.grant,
            waiting=_rotation_waits,
        ),
        "Quarantine": Line(
            resource=resources.QUARANTINES,
            model=Quarantine,
            gather=gatherer.quarantine,
            step=quarantines.step,
            held=_quarantine_hold,
            note=quarantines.note,
            grant=quarantines.grant,
            waiting=_quarantine_waits,
        ),
    }


def _quarantine_hold(view: QuarantineView, _: datetime) -> Blocked | None:
    return view.hold


def _rotation_waits(rotation: Rotation, blocked: Blocked, now: datetime) -> dict[str, Any]:
    return RotationPatch(rotation, now).blocked(blocked).body


def _quarantine_waits(quarantine: Quarantine, blocked: Blocked, now: datetime) -> dict[str, Any]:
    return QuarantinePatch(quarantine, now).blocked(blocked).body
