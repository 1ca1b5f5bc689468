"""Evidence as data: what is to be collected of one machine, what came of it, and what lies on the disk.

The hands that collect are in `act.evidence`; what follows from it is chosen in `decide.quarantine`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from exuvia.model.instances import Reference

CONTAINER_LOG_LIMIT = 10 * 1024 * 1024
MACHINE_LOG_LIMIT = 200 * 1024 * 1024


class ItemResult(StrEnum):
    """What came of one item, or of a collector as a whole."""

    CAPTURED = "captured"  # all of it was taken
    TRUNCATED = "truncated"  # taken up to a size limit
    UNSUPPORTED = "unsupported"  # there is no such thing here
    FAILED = "failed"  # it is there and could not be taken; it is tried again


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorOrder:
    """One collector as the policy asks for it. `since`: how far back logs go, None for all of it."""

    name: str
    type: str
    since: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceOrder:
    """Everything the collectors must know. `seal_incomplete`: seal what could be got, and list what could not.

    `draft_only`: take what is asked for, but seal nothing yet."""

    quarantine: str
    uid: str
    instance: Reference
    collectors: tuple[CollectorOrder, ...]
    seal_incomplete: bool = False
    draft_only: bool = False
    timeout: timedelta = timedelta(minutes=30)
    isolated_at: datetime | None = None
    about: Mapping[str, str] = field(default_factory=dict)  # policy, rule, reason, requestedBy, machineID: for people
    container_limit: int = CONTAINER_LOG_LIMIT
    machine_limit: int = MACHINE_LOG_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceItem:
    """One line of the manifest. Without a file (`failed`, `unsupported`) path and sha256 are empty and bytes 0."""

    collector: str
    subject: str  # what it is of: "node", "shop/cart-1/app", "shop/cart-1/app previous"
    path: str = ""
    bytes: int = 0
    sha256: str = ""
    result: ItemResult
    message: str = ""
    started: datetime
    finished: datetime

    @property
    def taken(self) -> bool:
        """Whether there is a file of it."""
        return self.result in (ItemResult.CAPTURED, ItemResult.TRUNCATED)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorResult:
    """What came of one collector: the worst that matters of its items, and a digest over all of them."""

    collector: str
    type: str
    result: ItemResult
    digest: str = ""
    bytes: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What came of one run of the collectors. `digest` is the SHA-256 of the sealed manifest's file, else empty."""

    sealed: bool
    manifest: str = ""  # path of the manifest under the evidence directory
    digest: str = ""
    bytes: int = 0
    items: tuple[CollectorResult, ...] = ()
    message: str = ""  # why it is not sealed, or what is missing in what was sealed


class DiskState(StrEnum):
    """How the sealed evidence of one Quarantine is on the disk."""

    ABSENT = "absent"  # there is none
    SOUND = "sound"  # read again, and every byte is what the manifest says
    DAMAGED = "damaged"  # something is missing, added or changed


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceOnDisk:
    """What reading the evidence again says. `digest` is that of the manifest as it lies there."""

    state: DiskState
    digest: str = ""
    problems: tuple[str, ...] = ()
