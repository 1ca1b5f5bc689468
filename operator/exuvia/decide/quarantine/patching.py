"""A merge patch of a Quarantine's status in the making: what does not change is not in it.

Lists (conditions, steps, custody) replace each other whole, as JSON merge patch has it. No clock: `now` is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from exuvia.model.blocking import Blocked
from exuvia.model.reasons import BlockedReason
from exuvia.model.specs.common import ConditionStatus, StepStatus
from exuvia.model.specs.quarantine import CustodyEntry, Quarantine, QuarantinePhase, QuarantineStatus

EXUVIA = "exuvia"
CUSTODY_LIMIT = 128
CUSTODY_FIRST = 28
MESSAGE_LIMIT = 1000
REFRESH_BLOCKED = timedelta(minutes=5)
RETRY = timedelta(seconds=10)
PAUSE = timedelta(seconds=2)


def stamp(moment: datetime) -> str:
    """RFC 3339 in UTC, whole seconds, as Kubernetes writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Patch:
    """Collects changes of one status; `body` is the merge patch, empty when nothing changes."""

    def __init__(self, quarantine: Quarantine, now: datetime) -> None:
        self._quarantine = quarantine
        self._status = quarantine.status
        self._now = now
        self._fields: dict[str, Any] = {}
        self._conditions = list(self._status.conditions)
        self._steps = list(self._status.steps)
        self._custody = list(self._status.custody)

    @property
    def body(self) -> dict[str, Any]:
        """The merge patch, camelCase."""
        lists = (
            ("conditions", self._status.conditions, self._conditions),
            ("steps", self._status.steps, self._steps),
            ("custody", self._status.custody, self._custody),
        )
        changed = {key: [one.wire() for one in new] for key, old, new in lists if list(old) != new}
        return {**self._fields, **changed}

    def set(self, **fields: Any) -> Patch:
        """Plain fields, camelCase on the wire; None takes a field away."""
        for name, value in fields.items():
            self._fields[name] = stamp(value) if isinstance(value, datetime) else value
        return self

    def phase(self, phase: QuarantinePhase) -> Patch:
        """Forward only: a phase that is behind the present one changes nothing."""
        if phase.rank > self._status.phase.rank:
            self._fields["phase"] = str(phase)
        return self

    def condition(self, type_: str, status: bool | None, reason: str, message: str = "") -> Patch:
        """Set a condition; its transition time moves only with its status. None stands for Unknown."""
        said = {True: "True", False: "False", None: "Unknown"}[status]
        former = next((one for one in self._conditions if one.type == type_), None)
        new = ConditionStatus(
            type=type_,
            status=said,
            reason=reason,
            message=message[:MESSAGE_LIMIT],
            observed_generation=self._quarantine.metadata.generation,
            last_transition_time=former.last_transition_time if former and former.status == said else self._moment,
        )
        if former is not None and _says(former) == _says(new):
            return self
        others = [one for one in self._conditions if one.type != type_]
        self._conditions = sorted([*others, new], key=lambda one: one.type)
        return self

    def began(self, name: str) -> Patch:
        """A step begins, or is tried again."""
        return self._step(StepStatus(name=name, started_at=self._moment))

    def ended(self, name: str) -> Patch:
        """A step is done. When it was done first stays."""
        found = step_of(self._steps, name)
        started = found.started_at if found and found.started_at else self._moment
        done = found.finished_at if found and found.finished_at else self._moment
        return self._step(StepStatus(name=name, started_at=started, finished_at=done))

    def failed(self, name: str, reason: str, message: str, wait: timedelta = RETRY) -> Patch:
        """A step could not be done; it is tried again after `wait`, never sooner than `RETRY`. `reason`: a
        BlockedReason value or "". That it was done once stays known."""
        text = f"{reason}: {message}" if reason else message or "it failed, and nobody said why"
        found = step_of(self._steps, name)
        done = found.finished_at if found else None
        start = self._moment + max(wait - RETRY, timedelta(0))
        return self._step(StepStatus(name=name, started_at=start, finished_at=done, message=text[:MESSAGE_LIMIT]))

    def custody(self, by: str, what: str) -> Patch:
        """One entry more. Of very many, the first and the last are kept; the ledger has all of them."""
        entry = CustodyEntry(at=self._moment, by=by[:512], what=what[:MESSAGE_LIMIT])
        kept = [*self._custody, entry]
        if len(kept) > CUSTODY_LIMIT:
            kept = [*kept[:CUSTODY_FIRST], *kept[CUSTODY_FIRST + len(kept) - CUSTODY_LIMIT :]]
        self._custody = kept
        return self

    def blocked(self, blocked: Blocked | None) -> Patch:
        """Why nothing happens now; written on change, and every 5 min for the time of the next try."""
        former = self._status.blocked
        if blocked is None:
            if former is not None:
                self._fields["blocked"] = None
            return self.condition("Blocked", False, "NotBlocked") if self._was_blocked() else self
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

    @property
    def _moment(self) -> datetime:
        return self._now.replace(microsecond=0)

    def _was_blocked(self) -> bool:
        return any(one.type == "Blocked" for one in self._conditions)

    def _stale(self) -> bool:
        former = self._status.blocked
        return bool(former and former.next and former.next + REFRESH_BLOCKED <= self._now)

    def _step(self, new: StepStatus) -> Patch:
        index = next((n for n, one in enumerate(self._steps) if one.name == new.name), None)
        if index is None:
            self._steps = [*self._steps, new]
        else:
            self._steps = [*self._steps[:index], new, *self._steps[index + 1 :]]
        return self


def won(quarantine: Quarantine, patch: Mapping[str, Any]) -> Quarantine:
    """The Quarantine with a merge patch of its status on it; the same when it is on it already."""
    merged = _merged(quarantine.status.wire(), patch)
    return quarantine.model_copy(update={"status": QuarantineStatus.model_validate(merged)})


def _merged(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """RFC 7396."""
    result = dict(base)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            former = result.get(key)
            result[key] = _merged(former if isinstance(former, Mapping) else {}, value)
        else:
            result[key] = value
    return result


def step_of(steps: Sequence[StepStatus], name: str) -> StepStatus | None:
    """The entry of a step, or None when it never began."""
    return next((one for one in steps if one.name == name), None)


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


def _says(one: ConditionStatus) -> Mapping[str, Any]:
    return {"status": one.status, "reason": one.reason, "message": one.message}
