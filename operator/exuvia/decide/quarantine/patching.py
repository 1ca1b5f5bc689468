"""The patch of a Quarantine's status, and what its steps say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Self

from exuvia.decide.patching import MESSAGE_LIMIT, StatusPatch, merge, step_of
from exuvia.model.reasons import BlockedReason
from exuvia.model.specs.common import StepStatus
from exuvia.model.specs.quarantine import CustodyEntry, Quarantine, QuarantinePhase, QuarantineStatus

EXUVIA = "exuvia"
CUSTODY_LIMIT = 128
CUSTODY_FIRST = 28
RETRY = timedelta(seconds=10)
PAUSE = timedelta(seconds=2)


class Patch(StatusPatch):
    """Of a Quarantine: with its custody."""

    def __init__(self, quarantine: Quarantine, now: datetime) -> None:
        super().__init__(quarantine, now)
        self._phase = quarantine.status.phase
        self._former["custody"] = quarantine.status.custody
        self._custody = list(quarantine.status.custody)

    def phase(self, phase: QuarantinePhase) -> Patch:
        """Forward only: a phase that is behind the present one changes nothing."""
        if phase.rank > self._phase.rank:
            self._fields["phase"] = str(phase)
        return self

    def ended(self, name: str) -> Patch:
        """A step is done. When it was done first stays."""
        found = step_of(self._steps, name)
        started = found.started_at if found and found.started_at else self._now
        done = found.finished_at if found and found.finished_at else self._now
        return self._step(StepStatus(name=name, started_at=started, finished_at=done))

    def failed(self, name: str, reason: str, message: str, wait: timedelta = RETRY) -> Patch:
        """A step could not be done; it is tried again after `wait`, never sooner than `RETRY`. `reason`: a
        BlockedReason value or "". That it was done once stays known."""
        text = f"{reason}: {message}" if reason else message or "it failed, and nobody said why"
        found = step_of(self._steps, name)
        done = found.finished_at if found else None
        start = self._now + max(wait - RETRY, timedelta(0))
        return self._step(StepStatus(name=name, started_at=start, finished_at=done, message=text[:MESSAGE_LIMIT]))

    def custody(self, by: str, what: str) -> Patch:
        """One entry more. Of very many, the first and the last are kept; the ledger has all of them."""
        entry = CustodyEntry(at=self._now, by=by[:512], what=what[:MESSAGE_LIMIT])
        kept = [*self._custody, entry]
        if len(kept) > CUSTODY_LIMIT:
            kept = [*kept[:CUSTODY_FIRST], *kept[CUSTODY_FIRST + len(kept) - CUSTODY_LIMIT :]]
        self._custody = kept
        return self

    def _lists(self) -> dict[str, list[Any]]:
        return {**super()._lists(), "custody": self._custody}

    def _unblocked(self) -> Self:
        """What never was blocked has no condition of it."""
        return super()._unblocked() if self._condition("Blocked") else self


def won(quarantine: Quarantine, patch: Mapping[str, Any]) -> Quarantine:
    """The Quarantine with a merge patch of its status on it; the same when it is on it already."""
    status = merge(quarantine.status.wire(), patch)
    return quarantine.model_copy(update={"status": QuarantineStatus.model_validate(status)})


def finished(quarantine: Quarantine, name: str) -> bool:
    """Whether a step was done."""
    found = step_of(quarantine.status.steps, name)
    return found is not None and found.finished_at is not None


def under_way(quarantine: Quarantine, name: str) -> bool:
    """Whether a step began and was not done yet, by its own note."""
    found = step_of(quarantine.status.steps, name)
    return found is not None and found.finished_at is None


def just_began(quarantine: Quarantine, name: str, now: datetime) -> bool:
    """Whether a step began less than `PAUSE` ago: who undoes what we do at once must not keep us busy."""
    found = step_of(quarantine.status.steps, name)
    return found is not None and found.started_at is not None and now < found.started_at + PAUSE


def retry_at(quarantine: Quarantine, name: str) -> datetime | None:
    """When a step that failed is tried again; None when it did not fail. Only a failed step has a message."""
    found = step_of(quarantine.status.steps, name)
    if found is None or not found.message or found.started_at is None:
        return None
    return found.started_at + RETRY


def waits(quarantine: Quarantine, name: str, now: datetime) -> bool:
    """Whether a step failed a moment ago and is not tried yet."""
    next_try = retry_at(quarantine, name)
    return next_try is not None and now < next_try


def trouble_of(quarantine: Quarantine, name: str) -> tuple[BlockedReason, str] | None:
    """Why a step failed: the reason that its message begins with (Throttled where there is none), and the text."""
    found = step_of(quarantine.status.steps, name)
    if found is None or not found.message:
        return None
    word, _, text = found.message.partition(": ")
    known = {str(one): one for one in BlockedReason}
    return (known[word], text) if word in known else (BlockedReason.THROTTLED, found.message)
