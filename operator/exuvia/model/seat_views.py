"""What a look at one licence pool sees, and what follows from it: the input and the output of `decide.seats.step`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from exuvia.model.instances import Instance
from exuvia.model.seats import SeatChange, Seats
from exuvia.model.specs.license_pool import HighWaterStatus, LicensePool, SeatCounts
from exuvia.model.steps import Note


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSign:
    """The agent's pod on one instance: whether it is ready, since when it is so or is not, and when it last started."""

    ready: bool
    since: datetime
    started: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolView:
    """One pool and all that its seats depend on. Only a complete view may be handed in: what is not in it is gone.

    `seats` is the state that the last look left, or what `recall` makes of the ledger. `instances` are all living ones
    of the target's kind. `agents` by the UID of their instance, None where they cannot be known (then nothing expires
    and nobody claims by readiness). `deaths` are known moments of death of instances that hold a seat or want one.
    """

    pool: LicensePool
    seats: Seats
    instances: tuple[Instance, ...]
    agents: Mapping[str, AgentSign] | None = None
    quarantined: frozenset[str] = frozenset()
    deaths: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStep:
    """What a look changed. `told` is entered in the ledger before anything is said; only then `seats` holds.

    `notes` are Events by the UID of their instance, "" for the pool itself. `unmet` instances want a seat and have
    none; `next` is when time alone changes something, None: never.
    """

    seats: Seats
    told: tuple[SeatChange, ...]
    counts: SeatCounts
    high_water: HighWaterStatus
    exhausted: bool
    unmet: int
    notes: tuple[tuple[str, Note], ...] = ()
    next: datetime | None = None
