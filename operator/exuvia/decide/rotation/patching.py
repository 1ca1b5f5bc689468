"""A merge patch of a Rotation's status in the making: what does not change is not in it.

Lists (conditions, steps) replace each other whole, as JSON merge patch has it. No clock: `now` is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from exuvia.model.blocking import Blocked
from exuvia.model.reasons import BlockedReason
from exuvia.model.specs.common import ConditionStatus, StatusModel, StepStatus
from exuvia.model.specs.rotation import Rotation, RotationPhase, RotationStatus

MESSAGE_LIMIT = 1000
REFRESH_BLOCKED = timedelta(minutes=5)
RETRY = timedelta(seconds=30)
UNKNOWN = "Unknown"
"""What the message of a step begins with when nobody knows whether it was done."""


def stamp(moment: datetime) -> str:
    """RFC 3339 in UTC, whole seconds, as Kubernetes writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def whole(model: StatusModel) -> dict[str, Any]:
    """A part of the status for a merge patch: what is not set is taken away."""
    return model.model_dump(mode="json", by_alias=True)


class Patch:
    """Collects changes of one status; `body` is the merge patch, empty when nothing changes."""

    def __init__(self, rotation: Rotation, now: datetime) -> None:
        self._rotation = rotation
        self._status = rotation.status
        self._now = now.replace(microsecond=0)
        self._fields: dict[str, Any] = {}
        self._drain: dict[str, Any] = {}
        self._conditions = list(self._status.conditions)
        self._steps = list(self._status.steps)

    @property
    def body(self) -> dict[str, Any]:
        """The merge patch, camelCase."""
        lists = (
            ("conditions", self._status.conditions, self._conditions),
            ("steps", self._status.steps, self._steps),
        )
        changed = {key: [one.wire() for one in new] for key, old, new in lists if list(old) != new}
        return {**self._fields, **({"drain": self._drain} if self._drain else {}), **changed}

    def set(self, **fields: Any) -> Patch:
        """Plain fields, camelCase on the wire; None takes a field away."""
        self._fields |= {name: _wire(value) for name, value in fields.items()}
        return self

    def drain(self, **fields: Any) -> Patch:
        """Fields of `drain`, likewise."""
        self._drain |= {name: _wire(value) for name, value in fields.items()}
        return self

    def phase(self, phase: RotationPhase) -> Patch:
        """Forward only: a phase that is behind the present one changes nothing. Each phase is a step as well."""
        former = self._status.phase
        if phase.rank <= former.rank:
            return self
        self._fields["phase"] = str(phase)
        if former is not RotationPhase.PENDING:
            self.ended(str(former))
        return self if phase.ended else self.began(str(phase))

    def condition(self, type_: str, status: bool | None, reason: str, message: str = "") -> Patch:
        """Set a condition; its transition time moves only with its status. None stands for Unknown."""
        said = {True: "True", False: "False", None: "Unknown"}[status]
        former = next((one for one in self._conditions if one.type == type_), None)
        kept = former.last_transition_time if former and former.status == said else self._now
        new = ConditionStatus(
            type=type_,
            status=said,
            reason=reason,
            message=message[:MESSAGE_LIMIT],
            observed_generation=self._rotation.metadata.generation,
            last_transition_time=kept,
        )
        if former is not None and _says(former) == _says(new):
            return self
        others = [one for one in self._conditions if one.type != type_]
        self._conditions = sorted([*others, new], key=lambda one: one.type)
        return self

    def began(self, name: str) -> Patch:
        """A step begins, or is tried again."""
        return self._step(StepStatus(name=name, started_at=self._now))

    def ended(self, name: str, message: str = "") -> Patch:
        """A step is done."""
        found = step_of(self._steps, name)
        started = found.started_at if found and found.started_at else self._now
        return self._step(StepStatus(name=name, started_at=started, finished_at=self._now, message=message))

    def failed(self, name: str, reason: str, message: str) -> Patch:
        """A step could not be done; it is tried again after `RETRY`. `reason`: of Blocked, `UNKNOWN` or ""."""
        text = f"{reason}: {message}" if reason else message
        return self._step(StepStatus(name=name, started_at=self._now, message=text or "it failed"))

    def blocked(self, blocked: Blocked | None) -> Patch:
        """Why nothing happens now; written on change, and every 5 min for the time of the next try."""
        former = self._status.blocked
        if blocked is None:
            if former is not None:
                self._fields["blocked"] = None
            return self.condition("Blocked", False, "NotBlocked")
        message = blocked.message[:MESSAGE_LIMIT]
        same = former is not None and former.reason == blocked.reason and former.message == message
        since = former.since if former and former.reason == blocked.reason and former.since else self._now
        if not same or self._stale():
            self._fields["blocked"] = {
                "reason": str(blocked.reason),
                "message": message,
                "since": stamp(since),
                "next": stamp(blocked.next) if blocked.next else None,
            }
        return self.condition("Blocked", True, str(blocked.reason), blocked.message)

    def _stale(self) -> bool:
        former = self._status.blocked
        return bool(former and former.next and former.next + REFRESH_BLOCKED <= self._now)

    def _step(self, new: StepStatus) -> Patch:
        new = new.model_copy(update={"message": new.message[:MESSAGE_LIMIT]})
        index = next((n for n, one in enumerate(self._steps) if one.name == new.name), None)
        if index is None:
            self._steps = [*self._steps, new]
        else:
            self._steps = [*self._steps[:index], new, *self._steps[index + 1 :]]
        return self


def merged(rotation: Rotation, patch: Mapping[str, Any]) -> Rotation:
    """The Rotation as it is once a merge patch of its status was won. Applying it twice changes nothing."""
    status = _merge(rotation.status.model_dump(mode="json", by_alias=True), patch)
    return rotation.model_copy(update={"status": RotationStatus.model_validate(status)})


def _merge(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, Mapping):
        return patch
    kept = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            kept.pop(key, None)
        else:
            kept[key] = _merge(kept.get(key), value)
    return kept


def step_of(steps: Sequence[StepStatus], name: str) -> StepStatus | None:
    """The entry of a step, or None when it never began."""
    return next((one for one in steps if one.name == name), None)


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


def _wire(value: Any) -> Any:
    return stamp(value) if isinstance(value, datetime) else value


def _says(one: ConditionStatus) -> Mapping[str, Any]:
    return {"status": one.status, "reason": one.reason, "message": one.message}
