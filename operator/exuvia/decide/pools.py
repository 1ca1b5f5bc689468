"""Pool halts: a pool whose last replacements all failed gets no more Rotations until a person looks (operations.md).

Derived from the Rotations that finished, which are kept while they halt. Aborted ones do not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from exuvia.decide.backoff import ended_at
from exuvia.decide.brakes.times import utc
from exuvia.model.reasons import EndReason
from exuvia.model.specs.fleet_guard import HaltedPool, PoolResume
from exuvia.model.specs.rotation import Rotation
from exuvia.model.specs.security_policy import RotationSettings

FAILURES = (EndReason.REPLACEMENT_FAILED, EndReason.NO_REPLACEMENT)


def halted_pools(finished: Mapping[str, Sequence[Rotation]], resumes: Iterable[PoolResume]) -> tuple[HaltedPool, ...]:
    """All pools that are halted, by name. `finished`: succeeded and failed Rotations, by pool."""
    resumed: dict[str, datetime] = {}
    for one in resumes:
        at = utc(one.at)
        resumed[one.pool] = max(at, resumed.get(one.pool, at))
    found = (_halt(pool, rotations, resumed.get(pool)) for pool, rotations in sorted(finished.items()))
    return tuple(one for one in found if one is not None)


def _halt(pool: str, rotations: Sequence[Rotation], resumed: datetime | None) -> HaltedPool | None:
    if not any(one.status.reason in FAILURES for one in rotations):
        return None
    counting = [one for one in rotations if resumed is None or ended_at(one) > resumed]
    latest_first = sorted(counting, key=lambda one: (ended_at(one), one.name), reverse=True)
    if not latest_first:
        return None
    run = _run_of_failures(latest_first)
    limit = _limit(latest_first[0])
    if len(run) < limit:
        return None
    return HaltedPool(pool=pool, failures=len(run), since=ended_at(run[-limit]))


def _run_of_failures(latest_first: Sequence[Rotation]) -> list[Rotation]:
    """The unbroken run of failed replacements up to now, latest first."""
    run: list[Rotation] = []
    for rotation in latest_first:
        if rotation.status.reason not in FAILURES:
            break
        run.append(rotation)
    return run


def _limit(latest: Rotation) -> int:
    """`maxFailedReplacements` as the latest of them had it."""
    frozen = latest.status.settings.rotation if latest.status.settings else None
    return (frozen or RotationSettings()).max_failed_replacements
