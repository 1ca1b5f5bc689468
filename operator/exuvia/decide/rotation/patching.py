"""The patch of a Rotation's status, and what its steps say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from exuvia.decide.patching import MESSAGE_LIMIT, StatusPatch, merge, step_of, wire
from exuvia.model.blocking import Blocked
from exuvia.model.reasons import BlockedReason
from exuvia.model.specs.common import StatusModel, StepStatus
from exuvia.model.specs.rotation import Rotation, RotationPhase, RotationStatus

RETRY = timedelta(seconds=30)
UNKNOWN = "Unknown"
"""What the message of a step begins with when nobody knows whether it was done."""


def whole(model: StatusModel) -> dict[str, Any]:
    """A part of the status for a merge patch: what is not set is taken away."""
    return model.model_dump(mode="json", by_alias=True)


class Patch(StatusPatch):
    """Of a Rotation: with its drain. Each phase is a step as well."""

    def __init__(self, rotation: Rotation, now: datetime) -> None:
        super().__init__(rotation, now)
        self._phase = rotation.status.phase
        self._drain: dict[str, Any] = {}

    @property
    def body(self) -> dict[str, Any]:
        """The merge patch, camelCase."""
        return {**super().body, **({"drain": self._drain} if self._drain else {})}

    def drain(self, **fields: Any) -> Patch:
        """Fields of `drain`; None takes a field away."""
        self._drain |= {name: wire(value) for name, value in fields.items()}
        return self

    def phase(self, phase: RotationPhase) -> Patch:
        """Forward only: a phase that is behind the present one changes nothing."""
        if phase.rank <= self._phase.rank:
            return self
        self._fields["phase"] = str(phase)
        if self._phase is not RotationPhase.PENDING:
            self.ended(str(self._phase))
        return self if phase.ended else self.began(str(phase))

    def ended(self, name: str, message: str = "") -> Patch:
        """A step is done."""
        found = step_of(self._steps, name)
        started = found.started_at if found and found.started_at else self._now
        said = message[:MESSAGE_LIMIT]
        return self._step(StepStatus(name=name, started_at=started, finished_at=self._now, message=said))

    def failed(self, name: str, reason: str, message: str) -> Patch:
        """A step could not be done; it is tried again after `RETRY`. `reason`: of Blocked, `UNKNOWN` or ""."""
        text = f"{reason}: {message}" if reason else message or "it failed"
        return self._step(StepStatus(name=name, started_at=self._now, message=text[:MESSAGE_LIMIT]))


def merged(rotation: Rotation, patch: Mapping[str, Any]) -> Rotation:
    """The Rotation as it is once a merge patch of its status was won. Applying it twice changes nothing."""
    status = merge(rotation.status.model_dump(mode="json", by_alias=True), patch)
    return rotation.model_copy(update={"status": RotationStatus.model_validate(status)})


def began(rotation: Rotation, name: str) -> datetime | None:
    """When a step began (last), or None when it never did."""
    found = step_of(rotation.status.steps, name)
    return found.started_at if found else None


def finished(rotation: Rotation, name: str) -> bool:
    """Whether a step was done."""
    found = step_of(rotation.status.steps, name)
    return found is not None and found.finished_at is not None


def retry_at(rotation: Rotation, name: str) -> datetime | None:
    """When a step that failed is tried again; None when it did not fail."""
    found = step_of(rotation.status.steps, name)
    if found is None or found.finished_at is not None or not found.message or found.started_at is None:
        return None
    return found.started_at + RETRY


def trouble_of(rotation: Rotation, name: str) -> Blocked | None:
    """Why a step failed and when it is tried again; None when it did not fail."""
    found, next_try = step_of(rotation.status.steps, name), retry_at(rotation, name)
    if found is None or next_try is None:
        return None
    word, _, text = found.message.partition(": ")
    known = {str(one): one for one in BlockedReason}
    if word in known:
        return Blocked(reason=known[word], message=text, next=next_try)
    message = text if word == UNKNOWN else found.message
    return Blocked(reason=BlockedReason.THROTTLED, message=message, next=next_try)


def waits(rotation: Rotation, name: str, now: datetime) -> bool:
    """Whether a step failed a moment ago and is not tried yet."""
    next_try = retry_at(rotation, name)
    return next_try is not None and now < next_try
