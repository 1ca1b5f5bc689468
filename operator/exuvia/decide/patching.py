"""A merge patch of an operation's status in the making: what does not change is not in it.

What a Rotation and a Quarantine have in common. Lists (conditions, steps) replace each other whole, as JSON merge patch
has it. No clock: `now` is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from exuvia.model.blocking import Blocked
from exuvia.model.specs.common import ConditionStatus, StepStatus
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation

MESSAGE_LIMIT = 1000
REFRESH_BLOCKED = timedelta(minutes=5)


def stamp(moment: datetime) -> str:
    """RFC 3339 in UTC, whole seconds, as Kubernetes writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def step_of(steps: Sequence[StepStatus], name: str) -> StepStatus | None:
    """The entry of a step, or None when it never began."""
    return next((one for one in steps if one.name == name), None)


def merge(target: Any, patch: Any) -> Any:
    """A JSON merge patch applied (RFC 7396). Applying it twice changes nothing."""
    if not isinstance(patch, Mapping):
        return patch
    kept = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            kept.pop(key, None)
        else:
            kept[key] = merge(kept.get(key), value)
    return kept


class StatusPatch:
    """Collects changes of one status; `body` is the merge patch, empty when nothing changes."""

    def __init__(self, operation: Rotation | Quarantine, now: datetime) -> None:
        self._now = now.replace(microsecond=0)
        self._generation = operation.metadata.generation
        self._former_blocked = operation.status.blocked
        self._former: dict[str, Sequence[Any]] = {
            "conditions": operation.status.conditions,
            "steps": operation.status.steps,
        }
        self._conditions = list(operation.status.conditions)
        self._steps = list(operation.status.steps)
        self._fields: dict[str, Any] = {}

    @property
    def body(self) -> dict[str, Any]:
        """The merge patch, camelCase."""
        lists = self._lists()
        changed = {key: [one.wire() for one in new] for key, new in lists.items() if list(self._former[key]) != new}
        return {**self._fields, **changed}

    def set(self, **fields: Any) -> Self:
        """Plain fields, camelCase on the wire; None takes a field away."""
        self._fields |= {name: wire(value) for name, value in fields.items()}
        return self

    def condition(self, type_: str, status: bool | None, reason: str, message: str = "") -> Self:
        """Set a condition; its transition time moves only with its status. None stands for Unknown."""
        said = {True: "True", False: "False", None: "Unknown"}[status]
        former = self._condition(type_)
        new = ConditionStatus(
            type=type_,
            status=said,
            reason=reason,
            message=message[:MESSAGE_LIMIT],
            observed_generation=self._generation,
            last_transition_time=former.last_transition_time if former and former.status == said else self._now,
        )
        if former is not None and _says(former) == _says(new):
            return self
        others = [one for one in self._conditions if one.type != type_]
        self._conditions = sorted([*others, new], key=lambda one: one.type)
        return self

    def began(self, name: str) -> Self:
        """A step begins, or is tried again."""
        return self._step(StepStatus(name=name, started_at=self._now))

    def blocked(self, blocked: Blocked | None) -> Self:
        """Why nothing happens now; written on change, and every 5 min for the time of the next try."""
        former = self._former_blocked
        if blocked is None:
            if former is not None:
                self._fields["blocked"] = None
            return self._unblocked()
        message = blocked.message[:MESSAGE_LIMIT]
        same = former is not None and former.reason == blocked.reason and former.message == message
        since = former.since if former and former.reason == blocked.reason and former.since else self._now
        if not same or (self._stale() and former is not None and former.next != blocked.next):
            self._fields["blocked"] = {
                "reason": str(blocked.reason),
                "message": message,
                "since": stamp(since),
                "next": stamp(blocked.next) if blocked.next else None,
            }
        return self.condition("Blocked", True, str(blocked.reason), blocked.message)

    def _lists(self) -> dict[str, list[Any]]:
        return {"conditions": self._conditions, "steps": self._steps}

    def _unblocked(self) -> Self:
        return self.condition("Blocked", False, "NotBlocked")

    def _condition(self, type_: str) -> ConditionStatus | None:
        return next((one for one in self._conditions if one.type == type_), None)

    def _stale(self) -> bool:
        former = self._former_blocked
        return bool(former and former.next and former.next + REFRESH_BLOCKED <= self._now)

    def _step(self, new: StepStatus) -> Self:
        index = next((n for n, one in enumerate(self._steps) if one.name == new.name), None)
        if index is None:
            self._steps = [*self._steps, new]
        else:
            self._steps = [*self._steps[:index], new, *self._steps[index + 1 :]]
        return self


def wire(value: Any) -> Any:
    """A plain field as it stands in a patch."""
    return stamp(value) if isinstance(value, datetime) else value


def _says(one: ConditionStatus) -> Mapping[str, Any]:
    return {"status": one.status, "reason": one.reason, "message": one.message}
