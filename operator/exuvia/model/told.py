"""What is known of many machines at once, as columns: the same as `histories.Past`, for questions about millions.

An object for every row costs more than the rest of such a question. The order and the meaning of rows are those of
`Life`, `Presence` and `Freeze`: the versions of one thing stand behind each other in the order in which they hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from exuvia.model.facts import DeathReason
from exuvia.model.histories import RETRACTED, Freeze, Life, Past, Presence
from exuvia.model.risks import Closing

Column: TypeAlias = NDArray[np.int64]

OPEN = 1 << 62
"""The end of what is still open: later than any moment that can be written."""

NEVER = -1
"""Instead of a word: the thing was taken back, it never was."""

WORDS = tuple(sorted(Closing))
"""Why something ended, in the order of the words: a row says it by the place in here."""

DIED, PATCHED, ROTATED, UNKNOWN = (
    WORDS.index(one) for one in (Closing.DIED, Closing.PATCHED, Closing.ROTATED, Closing.UNKNOWN)
)
OURS = DeathReason.EXUVIA.value
"""The reason of a death that rotates what was on the machine."""


class Rows(NamedTuple):
    """Versions, in order of machine, `what`, begin (not of lives: a machine has one), and as they hold.

    `machine` is a number within the page; `what` is the number of a vulnerability, else 0. `word` is a place in `WORDS`
    or `NEVER`: of a presence why it ended, of a life what its death makes of what was open on it.
    """

    machine: Column
    what: Column
    recorded: Column
    began: Column
    ended: Column
    word: Column


class Gone(NamedTuple):
    """On how many machines each vulnerability was of which nothing else is known: they were pruned. They count from a
    moment on; `frozen`: they died frozen."""

    since: int
    what: Column
    machines: Column
    frozen: bool


class Page(NamedTuple):
    """Some machines with all that is known of them. The number of a vulnerability is its place in `vulnerabilities`,
    which may be longer from page to page."""

    machines: int
    lives: Rows
    presences: Rows
    freezes: Rows
    vulnerabilities: Sequence[str]
    gone: Gone | None = None


class Numbers(dict[str, int]):
    """Names with the numbers that they get when they are first asked for: 0, 1, 2, ..."""

    def __missing__(self, name: str) -> int:
        number = self[name] = len(self)
        return number


def rows(found: Iterable[Sequence[int]]) -> Rows:
    """From machine, what, recorded, began, ended and word of each row."""
    table = np.array(list(found), dtype=np.int64).reshape(-1, len(Rows._fields))
    return Rows(*table.T)


def page(pasts: Iterable[Past]) -> Page:
    """Pasts as columns."""
    numbers, known = Numbers(), tuple(pasts)
    return Page(
        machines=len(known),
        lives=rows(_life(place, one) for place, past in enumerate(known) for one in past.lives),
        presences=rows(
            _presence(place, numbers[one.vulnerability], one)
            for place, past in enumerate(known)
            for one in sorted(past.presences, key=lambda one: (numbers[one.vulnerability], one.began))
        ),
        freezes=rows(
            _freeze(place, one)
            for place, past in enumerate(known)
            for one in sorted(past.freezes, key=lambda one: one.began)
        ),
        vulnerabilities=tuple(numbers),
    )


def _life(machine: int, one: Life) -> tuple[int, ...]:
    word = ROTATED if one.reason == OURS else DIED
    return machine, 0, one.recorded, one.born, _end(one.died), NEVER if one.withdrawn else word


def _presence(machine: int, what: int, one: Presence) -> tuple[int, ...]:
    word = WORDS.index(Closing(one.closed)) if one.closed in WORDS else UNKNOWN
    never = one.withdrawn or one.closed == RETRACTED
    return machine, what, one.recorded, one.began, _end(one.ended), NEVER if never else word


def _freeze(machine: int, one: Freeze) -> tuple[int, ...]:
    return machine, 0, one.recorded, one.began, _end(one.ended), NEVER if one.withdrawn else UNKNOWN


def _end(moment: int | None) -> int:
    return OPEN if moment is None else moment
