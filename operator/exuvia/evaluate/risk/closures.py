"""How long a vulnerability was on a machine, and why that ended: one closure for each maximal union of its rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from exuvia.evaluate.risk import intervals
from exuvia.evaluate.risk.intervals import FOREVER, Intervals
from exuvia.model.facts import DeathReason
from exuvia.model.histories import Life, Presence
from exuvia.model.risks import Closing

PATCHED, ROTATED, DIED, UNKNOWN = (
    one.value for one in (Closing.PATCHED, Closing.ROTATED, Closing.DIED, Closing.UNKNOWN)
)
"""As plain words: they are looked up for every row, which is slow with members of an enum."""

WORDS = frozenset((PATCHED, ROTATED, DIED))
OURS = DeathReason.EXUVIA.value


@dataclass(frozen=True, slots=True)
class Held:
    """One maximal time in which a vulnerability was on a machine, inside of its life. Open: it ends at FOREVER."""

    began: int
    ended: int
    reason: str


def held(rows: Iterable[Presence], life: Life) -> list[Held]:
    """The unions of the rows that hold, cut to the life, in order of time; what is empty then falls away.

    The reason is that of the row that ends last; of several the one recorded last, then the greater word.
    """
    died, by_death = intervals.end(life.died), at_death(life)
    found: list[tuple[int, int, int, str]] = []
    for began, ended, recorded, reason in sorted(_cut(one, life.born, died, by_death) for one in rows):
        if began >= ended:
            continue
        if found and began <= found[-1][1]:
            last = max((ended, recorded, reason), found[-1][1:])
            found[-1] = (found[-1][0], *last)
        else:
            found.append((began, ended, recorded, reason))
    return [Held(began, ended, reason) for began, ended, _, reason in found]


def times(found: Iterable[Held]) -> Intervals:
    """When it was there."""
    return tuple((one.began, one.ended) for one in found)


def word(closed: str) -> str:
    """The reason that a row gives; what is no such word counts as unknown."""
    return closed if closed in WORDS else UNKNOWN


def at_death(life: Life) -> str:
    """The reason of what a death closed."""
    return ROTATED if life.reason == OURS else DIED


def _cut(row: Presence, born: int, died: int, by_death: str) -> tuple[int, int, int, str]:
    began, ended = max(row.began, born), intervals.end(row.ended)
    if ended > died or ended == FOREVER:
        return began, died, row.recorded, by_death
    return began, ended, row.recorded, word(row.closed)
