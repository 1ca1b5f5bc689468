"""How a Quarantine goes on: one picture in, the next step out (operations.md, "Quarantine, step by step").

    look -> step -> win (compare-and-swap) -> act -> note -> look ...

`step` looks at the world and never trusts an earlier note of ours, so a crash after any action is harmless. The stages
are asked in order, and the first that has something to do answers; what holds one of them does not hold the next.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from exuvia.decide.quarantine import (
    asking,
    beginning,
    capacity,
    collecting,
    evicting,
    handing_over,
    isolating,
    passing,
    releasing,
    returning,
    stating,
    staying,
)
from exuvia.decide.quarantine.beginning import grant
from exuvia.decide.quarantine.capacity import request_key
from exuvia.decide.quarantine.collecting import note_evidence, order
from exuvia.decide.quarantine.noting import note
from exuvia.model.quarantine_views import QuarantineView
from exuvia.model.specs.quarantine import QuarantinePhase
from exuvia.model.steps import Step

__all__ = ["grant", "note", "note_evidence", "order", "request_key", "step"]

Stage = Callable[[QuarantineView, datetime], Step | None]

_BEGINNING: tuple[Stage, ...] = (
    beginning.duplicate,  # of two the older stays
    staying.refuse_deletion,  # only a release ends it
    beginning.pending,  # waits for the grant; an heir needs none
)
_PASSING: tuple[Stage, ...] = (
    beginning.duplicate,
    passing.create_heir,  # the same machine under a new object
    passing.passed_on,
    staying.refuse_deletion,
    releasing.accept,  # a person's decision
)
_HOLDING: tuple[Stage, ...] = (
    staying.presence,  # the machine may be gone
    isolating.mark,  # all marks in one patch, guarded ever after
    handing_over.hand_over,  # exuvia leaves its own machine
    isolating.freeze,  # pods, then their network
    collecting.collect,  # evidence
    collecting.hold,
    releasing.rotate,  # the release is carried out
    releasing.expired,  # the hold time is over
    evicting.evict,  # once sealed
    staying.open_namespaces,
    isolating.network,  # what others changed there
    capacity.follow,  # what takes over
    staying.protection,
    passing.suspicious,  # who else has its machineID
)


def step(view: QuarantineView, now: datetime) -> Step:
    """The next step. With `look` set nothing else is; without anything to do it says why and when to look again."""
    quarantine = view.quarantine
    if not quarantine.open:
        return Step(name=asking.END, finished=True)
    if quarantine.status.phase is QuarantinePhase.PENDING:
        return _first(_BEGINNING, view, now)
    found = _asked(_PASSING, view, now)
    if found is not None:
        return found
    if asking.returning(quarantine):
        return returning.give_back(view, now) or stating.state(view, now)
    return _first(_HOLDING, view, now)


def _first(stages: tuple[Stage, ...], view: QuarantineView, now: datetime) -> Step:
    return _asked(stages, view, now) or stating.state(view, now)


def _asked(stages: tuple[Stage, ...], view: QuarantineView, now: datetime) -> Step | None:
    answers = (stage(view, now) for stage in stages)
    return next((one for one in answers if one is not None), None)
