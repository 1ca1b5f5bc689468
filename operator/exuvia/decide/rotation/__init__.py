"""A Rotation's next step, chosen from one picture of its world (operations.md, Rotation step by step).

`grant` starts it, `step` says what comes next, `note` what came of it. Steps look at the machine, never at an earlier
note of ours alone, so that a crash anywhere is harmless. Phases go forward, or to Failed or Aborted.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from exuvia.decide.rotation import (
    asking,
    beginning,
    cordoning,
    draining,
    interrupting,
    replacing,
    terminating,
    undoing,
)
from exuvia.decide.rotation.beginning import grant
from exuvia.decide.rotation.noting import note
from exuvia.decide.rotation.replacing import request_key
from exuvia.model.rotation_views import RotationView
from exuvia.model.steps import Step

__all__ = ["HAND_OVER", "grant", "note", "request_key", "step"]

HAND_OVER = asking.HAND_OVER
"""Name of the step with which a leader on the machine itself should hand leadership over."""

STAGES: tuple[Callable[[RotationView, datetime], Step | None], ...] = (
    interrupting.superseded,  # a Quarantine has the machine: nothing of ours comes before that
    undoing.under_way,  # an end that was won is carried through
    interrupting.duplicate,
    interrupting.called_off,
    interrupting.vanished,  # a machine that is gone cannot be unwanted
    interrupting.unwanted,
    beginning.pending,
    replacing.replacing,
    cordoning.cordoned,
    draining.draining,
    terminating.drained,
    terminating.terminating,
)


def step(view: RotationView, now: datetime) -> Step:
    """The first stage that has something to say. With `look` filled: read that, and ask again."""
    if view.rotation.status.phase.ended:
        return Step(finished=True)
    for stage in STAGES:
        found = stage(view, now)
        if found is not None:
            return found
    return Step(recheck_after=asking.LATER)
