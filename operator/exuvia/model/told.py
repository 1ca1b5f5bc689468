"""What is known of one machine as plain rows: the same as `histories.Past`, for questions about millions of them.

Making an object of every row costs more than the rest of such a question; rows come from a store as they are. Their
order and meaning are those of `Life`, `Presence` and `Freeze`.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple, TypeAlias

from exuvia.model.histories import Freeze, Life, Past, Presence

LifeRow: TypeAlias = tuple[str, int, int, int | None, str, bool]
"""uid, recorded, born, died, reason, withdrawn."""

PresenceRow: TypeAlias = tuple[str, str, int, int, int | None, str, bool]
"""uid, vulnerability, recorded, began, ended, closed, withdrawn."""

FreezeRow: TypeAlias = tuple[str, int, int, int | None, bool]
"""uid, recorded, began, ended, withdrawn."""


class Told(NamedTuple):
    """One machine. The versions of one thing stand behind each other in the order in which they hold.

    What was found on a machine was mostly found at once: with `alike`, `presences` is one row that holds for each of
    these vulnerabilities, none of which stands there twice.
    """

    uid: str
    lives: Sequence[LifeRow]
    presences: Sequence[PresenceRow] = ()
    freezes: Sequence[FreezeRow] = ()
    alike: Sequence[str] = ()


def rows(machine: Told) -> Sequence[PresenceRow]:
    """Every presence as a row of its own."""
    if not machine.alike:
        return machine.presences
    uid, _, recorded, began, ended, closed, withdrawn = machine.presences[0]
    return [(uid, name, recorded, began, ended, closed, withdrawn) for name in machine.alike]


def told(past: Past) -> Told:
    """A past as rows."""
    presences = [
        (past.uid, one.vulnerability, one.recorded, one.began, one.ended, one.closed, one.withdrawn)
        for one in past.presences
    ]
    return Told(
        uid=past.uid,
        lives=[(past.uid, one.recorded, one.born, one.died, one.reason, one.withdrawn) for one in past.lives],
        presences=sorted(presences, key=_THING) if len(presences) > 1 else presences,
        freezes=[(past.uid, one.recorded, one.began, one.ended, one.withdrawn) for one in past.freezes],
    )


def past(machine: Told, presences: Sequence[PresenceRow]) -> Past:
    """Rows as a past, with some of its presences."""
    return Past(
        uid=machine.uid,
        lives=tuple(
            Life(uid=uid, recorded=recorded, born=born, died=died, reason=reason, withdrawn=bool(withdrawn))
            for uid, recorded, born, died, reason, withdrawn in machine.lives
        ),
        presences=tuple(_presence(one) for one in presences),
        freezes=tuple(
            Freeze(uid=uid, recorded=recorded, began=began, ended=ended, withdrawn=bool(withdrawn))
            for uid, recorded, began, ended, withdrawn in machine.freezes
        ),
    )


_THING = itemgetter(1, 3)


def _presence(row: PresenceRow) -> Presence:
    uid, vulnerability, recorded, began, ended, closed, withdrawn = row
    return Presence(
        uid=uid, vulnerability=vulnerability, recorded=recorded, began=began, ended=ended, closed=closed,
        withdrawn=bool(withdrawn),
    )  # fmt: skip
