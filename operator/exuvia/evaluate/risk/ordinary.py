"""The quick way for what is ordinary: a machine told once or twice and never frozen, a finding told once or twice.

Most of a fleet is so, and a report may hold millions of it. What is taken on here is added up exactly as `accumulate`
would; everything else is handed back. Nothing here has a meaning of its own. It is written for speed: rows as they come
from the store, plain comparisons, few calls, no objects for a single finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import TYPE_CHECKING

from exuvia.evaluate.risk import closures
from exuvia.evaluate.risk.closures import DIED, ROTATED, UNKNOWN, WORDS
from exuvia.evaluate.risk.intervals import FOREVER, Interval
from exuvia.model import told
from exuvia.model.histories import RETRACTED
from exuvia.model.told import PresenceRow, Told

if TYPE_CHECKING:
    from exuvia.evaluate.risk.accumulate import Sums

Frame = tuple[int, int, int, int, str]
"""An ordinary life: born, died by the account of K; since, until by that of the time; the reason of its death."""


def frame(machine: Told, as_of: int) -> Frame | None:
    """The life of an ordinary machine; None if it is none."""
    lives = machine.lives
    if machine.freezes or not 1 <= len(lives) <= 2:
        return None
    _, recorded, born, died, reason, withdrawn = lives[-1]
    if withdrawn or recorded > as_of:
        return None
    if died is None:
        died = FOREVER
    by_death = ROTATED if reason == closures.OURS else DIED
    if len(lives) == 1:
        return born, died, born if born > recorded else recorded, died, by_death
    _, learnt, former_born, former, _, withdrawn = lives[0]
    since = former_born if former_born > learnt else learnt
    then = None if withdrawn else _told_twice(since, FOREVER if former is None else former, recorded, born, died)
    return None if then is None else (born, died, *then, by_death)


def _told_twice(began: int, ended: int, recorded: int, later_began: int, later_ended: int) -> Interval | None:
    """When something was so by the account of the time, from two versions of it; None if that is no one interval."""
    if ended > recorded:
        ended = recorded
    if later_began < recorded:
        later_began = recorded
    if later_began >= later_ended:
        return began, ended
    if began >= ended:
        return later_began, later_ended
    return (began, later_ended) if ended == later_began else None


def add(sums: Sums, life: Frame, machine: Told) -> tuple[list[Interval], Sequence[PresenceRow]]:
    """Add up the ordinary findings of a machine: when they were there by the account of K, and the rows of others.

    Most findings of a machine came together: what is the same for many is reckoned once.
    """
    if machine.alike:
        (row,) = machine.presences
        if _odd(row, sums.as_of):
            return [], told.rows(machine)
        return _added(sums, life, [(row, None, machine.alike)]), ()
    plain, thens, others = _sorted(machine.presences, sums.as_of)
    groups: dict[tuple[object, ...], tuple[PresenceRow, Interval | None, list[str]]] = {}
    for row, then in zip(plain, thens, strict=False):
        what = (row[2:], then)
        group = groups.get(what)
        if group is None:
            groups[what] = (row, then, [row[1]])
        else:
            group[2].append(row[1])
    return _added(sums, life, groups.values()), others


def _added(
    sums: Sums, life: Frame, groups: Iterable[tuple[PresenceRow, Interval | None, Sequence[str]]]
) -> list[Interval]:
    """Findings of which all is the same but the vulnerability: one row, and the names of all."""
    there: list[Interval] = []
    for row, then, names in groups:
        found = _outcome(sums, life, row, then)
        _put(sums, found, names)
        if found.seen:
            there.append(found.seen)
    return there


def _put(sums: Sums, found: Outcome, names: Sequence[str]) -> None:
    accounts = sums.accounts
    seen, learnt = found.seen, found.learnt
    visit = (*seen, *(learnt or (sums.start, sums.start))) if seen else None
    for name in names:
        account = accounts.get(name) or sums.account(name)
        if visit:
            account.visits.append(visit)
        elif learnt:
            account.then.running.add(*learnt)
        if seen and found.still:
            account.still.append(seen[0])
    if found.lengths is not None:
        found.lengths += repeat(found.length, len(names))


_Thens = Iterable[Interval | None]
"""When each finding was there by the account of the time; None: it was told once."""


def _sorted(rows: Sequence[PresenceRow], as_of: int) -> tuple[Sequence[PresenceRow], _Thens, list[PresenceRow]]:
    """The last row of each ordinary finding, and all rows of the others."""
    if not rows:
        return (), (), []
    told_once = len(rows) == 1 or len({row[1] for row in rows}) == len(rows)
    if told_once and not [row for row in rows if row[6] or row[2] > as_of or row[5] == RETRACTED]:
        return rows, repeat(None), []
    things: dict[str, list[PresenceRow]] = {}
    for row in rows:
        things.setdefault(row[1], []).append(row)
    plain: list[PresenceRow] = []
    thens: list[Interval | None] = []
    others: list[PresenceRow] = []
    for thing in things.values():
        then = _told_so(thing[0], thing[-1]) if len(thing) == 2 else None
        if len(thing) > 2 or _odd(thing[0], as_of) or _odd(thing[-1], as_of) or (len(thing) == 2 and then is None):
            others += thing
        else:
            plain.append(thing[-1])
            thens.append(then)
    return plain, thens, others


def _odd(row: PresenceRow, as_of: int) -> bool:
    return row[6] or row[2] > as_of or row[5] == RETRACTED


def _told_so(first: PresenceRow, last: PresenceRow) -> Interval | None:
    _, _, learnt, began, ended, _, _ = first
    _, _, recorded, later_began, later_ended, _, _ = last
    if began != later_began:
        return None
    later = FOREVER if later_ended is None else later_ended
    return _told_twice(began if began > learnt else learnt, FOREVER if ended is None else ended, recorded, began, later)


class Outcome:
    """What to add for a finding. `seen`: when it was there within the window by the account of K, `learnt`: by that of
    the time; `still`: it is there at K; `length` in all, and the lengths among which that belongs."""

    __slots__ = ("learnt", "length", "lengths", "seen", "still")

    def __init__(self, learnt: Interval | None) -> None:
        self.learnt = learnt
        self.seen: Interval | None = None
        self.still = False
        self.lengths: list[int] | None = None
        self.length = 0


def _outcome(sums: Sums, life: Frame, row: PresenceRow, then: Interval | None) -> Outcome:
    born, died, alive_since, alive_until, by_death = life
    _, _, recorded, began, ended, closed, _ = row
    if ended is None:
        ended = FOREVER
    since, until = then or (began if began > recorded else recorded, ended)
    since, until = max(since, alive_since, sums.start), min(until, alive_until, sums.end)
    found = Outcome((since, until) if since < until else None)
    if began < born:
        began = born
    if ended > died:
        ended, closed = died, by_death
    if began < ended and began < sums.end:
        first = max(began, sums.start)
        found.seen = first, max(first, min(ended, sums.end))
        found.still = ended > sums.as_of
        found.length = min(ended, sums.end) - began
        if sums.start <= ended < sums.end:
            found.lengths = sums.closed[closed if closed in WORDS else UNKNOWN]
        elif sums.end <= min(ended, sums.as_of):
            found.lengths = sums.censored
    return found
