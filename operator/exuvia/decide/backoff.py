"""Back-off: how long a machine is left alone after a Rotation of it failed, or after a person called something off.

All of it is derived from operations that ended, so a restart forgets nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from exuvia.model.blocking import Blocked
from exuvia.model.findings import Wish
from exuvia.model.reasons import BlockedReason, EndReason
from exuvia.model.specs.quarantine import Quarantine, Release, ReleaseVerdict
from exuvia.model.specs.rotation import Rotation, RotationPhase

FIRST = timedelta(minutes=10)
LONGEST = timedelta(hours=6)
CALLED_OFF = timedelta(hours=24)


def wait_after(failures: int) -> timedelta:
    """10 min doubled with each failure, at most 6 h; nothing without one."""
    if failures < 1:
        return timedelta(0)
    doubled: int = 2 ** min(failures - 1, 10)
    return min(LONGEST, FIRST * doubled)


def after_failures(ended: Iterable[Rotation | Quarantine], name: str, now: datetime) -> Blocked | None:
    """Whether this machine still waits after Rotations of it that failed. `ended`: all of its operations that ended."""
    failed = [one for one in ended if isinstance(one, Rotation) and one.status.phase is RotationPhase.FAILED]
    if not failed:
        return None
    latest = max(failed, key=_latest)
    until = ended_at(latest) + wait_after(len(failed))
    if now >= until:
        return None
    message = (
        f"rotating {name} failed {len(failed)} times, last in {latest.name} ({latest.status.reason}); "
        f"it is tried again at {until:%Y-%m-%dT%H:%M:%SZ}"
    )
    return Blocked(reason=BlockedReason.BACKING_OFF, message=message, next=until)


def after_call_off(ended: Iterable[Rotation | Quarantine], wish: Wish, now: datetime) -> Blocked | None:
    """Whether a person called off what the same policy and rule wanted of this machine less than 24 h ago."""
    called_off = [one for one in ended if _same_cause(one, wish) and called_off_by(one)]
    if not called_off:
        return None
    latest = max(called_off, key=_latest)
    until = ended_at(latest) + CALLED_OFF
    if now >= until:
        return None
    message = (
        f"{latest.name} was {_how(latest)} by {called_off_by(latest)}; policy {wish.policy}, rule {wish.rule} opens "
        f"nothing for this machine until {until:%Y-%m-%dT%H:%M:%SZ}"
    )
    return Blocked(reason=BlockedReason.BACKING_OFF, message=message, next=until)


def called_off_by(operation: Rotation | Quarantine) -> str:
    """Who called it off, or "" when nobody did: a person's abort or deletion, or a release with `Return`."""
    if isinstance(operation, Rotation):
        return "a person" if operation.status.reason == EndReason.CALLED_OFF else ""
    release = _release(operation)
    if operation.status.reason == EndReason.CALLED_OFF:
        return release.by if release else "a person"
    if operation.status.reason == EndReason.RELEASED and release and release.verdict is ReleaseVerdict.RETURN:
        return release.by
    return ""


def _how(operation: Rotation | Quarantine) -> str:
    gave_back = isinstance(operation, Quarantine) and operation.status.reason == EndReason.RELEASED
    return f"released ({ReleaseVerdict.RETURN})" if gave_back else "called off"


def ended_at(operation: Rotation | Quarantine) -> datetime:
    """When it ended; where that was not recorded, when it was created."""
    return operation.status.finished_at or operation.metadata.creation_timestamp


def _latest(operation: Rotation | Quarantine) -> tuple[datetime, str]:
    return ended_at(operation), operation.name


def _release(quarantine: Quarantine) -> Release | None:
    return quarantine.status.release_accepted or quarantine.spec.release


def _same_cause(operation: Rotation | Quarantine, wish: Wish) -> bool:
    policy = operation.spec.policy
    return policy is not None and policy.name == wish.policy and operation.spec.rule == wish.rule
