"""What is remembered of one licence pool between looks at it."""

from __future__ import annotations

from dataclasses import dataclass, field

from exuvia.model.learnt import SeatSign
from exuvia.model.seats import Seats
from exuvia.model.specs.license_pool import HighWaterStatus, SeatCounts


@dataclass(slots=True)
class Known:
    """What is remembered of one pool between looks; all of it is in the ledger or in its status too. `names` are those
    of machines that lived at the last look or hold a seat, by UID; of some that are gone none may be known."""

    seats: Seats
    counts: SeatCounts
    high_water: HighWaterStatus
    looked: float
    unmet: int = 0
    living: frozenset[str] = frozenset()
    names: dict[str, str] = field(default_factory=dict)
    signs: dict[str, SeatSign] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a look at one pool ended, at which generation of it, and the monotonic moment of the next."""

    generation: int
    due: float
    why: str
