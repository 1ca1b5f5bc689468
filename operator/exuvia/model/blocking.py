"""Blocked: "not now", as a value that says why, which object holds it, and when it is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from exuvia.model.reasons import BlockedReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """Why nothing happens now. `next` is the moment of the next try, None where only an event can change it."""

    reason: BlockedReason
    message: str
    next: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How far our picture of the cluster can be trusted. `oldest` is when the least fresh needed view was last heard
    of (its last list, event or bookmark); `missing` names resources that never synced or may not be read."""

    oldest: datetime | None
    missing: tuple[str, ...] = ()
