"""What rules must know of a machine that it does not tell itself: its licence seats, and its risk by the ledger.

Whoever judges hands it in with the machine. What nobody handed in is not known, and what is not known never passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from fractions import Fraction

from exuvia.model.risks import Band


class SeatState(StrEnum):
    """How a machine stands with one licence pool."""

    HELD = "Held"  # it holds a seat
    WAITING = "Waiting"  # it waits for one
    DENIED = "Denied"  # it asked while none was free, and gets none
    NONE = "None"  # it holds none and asks for none
    UNKNOWN = "Unknown"  # nobody knows


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatSign:
    """How a machine stands with one licence pool, and why. `since`: when it came to wait. `awaited`: not known only
    because it was not looked at yet, which takes a moment."""

    state: SeatState
    since: datetime | None = None
    message: str = ""
    awaited: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskFigure:
    """The point risk of one machine now (history.md, Risk as it really was), in scores as their sources write them.

    `present` vulnerabilities are on it, `unscored` of them have no known score. `scanned`: anything was ever reported
    of an image on it. `bands`: what the scores of each band add up to.
    """

    worst: Fraction = Fraction(0)
    total: Fraction = Fraction(0)
    present: int = 0
    unscored: int = 0
    scanned: bool = False
    bands: Mapping[Band, Fraction] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Why something is not known. `awaited`: only because it was not read yet, which takes a moment."""

    message: str
    awaited: bool = False


NOT_HANDED_IN = Doubt(message="nobody asked the ledger for it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """All of it. `seats` by the name of the pool."""

    seats: Mapping[str, SeatSign] = field(default_factory=dict)
    risk: RiskFigure | Doubt = NOT_HANDED_IN

    @property
    def awaited(self) -> bool:
        """Whether a moment later more will be known."""
        late = isinstance(self.risk, Doubt) and self.risk.awaited
        return late or any(one.awaited for one in self.seats.values())


NOTHING = Learnt()
