"""Conditions: list-map entries that keep their transition time while their status stays (API conventions)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

STAMP = "%Y-%m-%dT%H:%M:%SZ"


def stamp(moment: datetime) -> str:
    """RFC 3339 in UTC, whole seconds, as Kubernetes writes `metav1.Time`."""
    return moment.astimezone(UTC).strftime(STAMP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A condition that should be shown. `status` None stands for Unknown."""

    type: str
    status: bool | None
    reason: str
    message: str = ""


def merged(
    existing: Iterable[Mapping[str, Any]], said: Iterable[Said], *, generation: int, now: datetime
) -> list[dict[str, Any]]:
    """The whole list for a status patch: what is said replaces its type, others stay; sorted by type."""
    by_type = {str(one["type"]): dict(one) for one in existing}
    for one in said:
        by_type[one.type] = _entry(by_type.get(one.type), one, generation, now)
    return [by_type[key] for key in sorted(by_type)]


def _entry(former: Mapping[str, Any] | None, said: Said, generation: int, now: datetime) -> dict[str, Any]:
    status = {True: "True", False: "False", None: "Unknown"}[said.status]
    kept = former is not None and former.get("status") == status and former.get("lastTransitionTime")
    return {
        "type": said.type,
        "status": status,
        "reason": said.reason,
        "message": said.message[:32768],
        "observedGeneration": generation,
        "lastTransitionTime": former["lastTransitionTime"] if kept and former else stamp(now),
    }
