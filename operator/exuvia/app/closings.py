"""How a vulnerability left a machine, as far as that can be known: patched, rotated, or nobody can say.

What is closed as unknown is looked at again for some minutes: an image may leave one machine long before the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from exuvia.app.artifacts import Artifacts
from exuvia.app.services import Services
from exuvia.model import facts
from exuvia.model.instances import Instance
from exuvia.model.specs.rotation import RotationPhase
from exuvia.record.standing import Present

SETTLE_SECONDS = 10.0
SETTLES = timedelta(minutes=10)
"""So long after an image left a machine it may turn out that another version took its place everywhere."""

PATCHED, ROTATED, UNKNOWN = "patched", "rotated", "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A presence that was closed as `unknown`; it is told anew if it turns out that its workload was replaced."""

    uid: str
    present: Present
    ended: datetime


class Closings:
    """Tells the ends of presences. `runs`: whether an image runs anywhere, by its key."""

    def __init__(self, services: Services, artifacts: Artifacts, runs: Callable[[str], bool]) -> None:
        self._services = services
        self._artifacts = artifacts
        self._runs = runs
        self._doubts: list[Doubt] = []
        self._settled = float("-inf")

    def close(
        self, machine: Instance, present: Present, running: Collection[str], left: Mapping[str, datetime]
    ) -> bool:
        """Close what is not on the machine any more; False where that is not known: no report of its image is there, or
        somebody else told of it. `running`: images on the machine; `left`: when others left it."""
        now = self._services.clock.now()
        if not present.image:
            return False
        if present.image in running:
            artifact = self._artifacts.get(present.image)
            if artifact is not None:
                self._note(machine.uid, present, max(present.began, min(artifact.updated, now)), PATCHED)
            return artifact is not None
        ended = max(present.began, left.get(present.image, now))
        closed = self._reason(machine, present)
        self._note(machine.uid, present, ended, closed)
        if closed == UNKNOWN:
            self._doubts.append(Doubt(uid=machine.uid, present=present, ended=ended))
        return True

    def settle(self) -> None:
        """Now and then, for it may take minutes until the last pod of a former version is gone."""
        monotonic = self._services.clock.monotonic()
        if monotonic - self._settled < SETTLE_SECONDS:
            return
        self._settled = monotonic
        now, left = self._services.clock.now(), list[Doubt]()
        for one in self._doubts:
            if self._replaced(one.present):
                self._note(one.uid, one.present, one.ended, PATCHED)
            elif now - one.ended < SETTLES:
                left.append(one)
        self._doubts = left

    def _reason(self, machine: Instance, present: Present) -> str:
        """Why an image left a machine: it is being replaced, or the image was, by one without the vulnerability."""
        rotations = self._services.view.open_rotations()
        busy = (one for one in rotations if one.status.phase is not RotationPhase.PENDING)
        if any(one.spec.instance.uid == machine.uid for one in busy):
            return ROTATED
        return PATCHED if self._replaced(present) else UNKNOWN

    def _replaced(self, present: Present) -> bool:
        """Whether another version of the workload runs, of which a report says that it has not the vulnerability, and
        the former runs nowhere."""
        if not present.workload or self._runs(present.image):
            return False
        others = [one for one in self._artifacts.versions(present.workload) if one != present.image and self._runs(one)]
        known = [artifact for key in others if (artifact := self._artifacts.get(key)) is not None]
        return bool(known) and all(present.vulnerability not in one.found for one in known)

    def _note(self, uid: str, present: Present, ended: datetime, closed: str) -> None:
        fact = facts.presence(
            uid=uid,
            vulnerability=present.vulnerability,
            began=present.began,
            ended=ended,
            closed=closed,
            image=present.image,
            workload=present.workload,
        )
        self._services.scribe.note(fact)
