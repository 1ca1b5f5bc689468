"""The quick way for what is ordinary: a machine told once or twice and never frozen, a finding told once or twice.

Most of a fleet is so, and a report may hold millions of it. What is taken on here is added up exactly as `accumulate`
would; everything else is handed back. Nothing here has a meaning of its own. It is written for speed: plain
comparisons, few calls, no objects for a single finding.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from exuvia.evaluate.risk import closures
from exuvia.evaluate.risk.accounts import Account
from exuvia.evaluate.risk.intervals import FOREVER, Interval
from exuvia.evaluate.risk.tally import Tally
from exuvia.model.histories import RETRACTED, Past, Presence


class Frame:
    """An ordinary life: `[born, died)` by the account of K, `[since, until)` by that of the time."""

    __slots__ = ("at_death", "born", "died", "since", "until")

    def __init__(self, *, born: int, died: int, then: Interval, at_death: str) -> None:
        self.born = born
        self.died = died
        self.since, self.until = then
        self.at_death = at_death


def frame(past: Past, as_of: int) -> Frame | None:
    """The life of an ordinary machine; None if it is none."""
    lives = past.lives
    if past.freezes or not 1 <= len(lives) <= 2:
        return None
    life, first = lives[-1], lives[0]
    if life.withdrawn or first.withdrawn or life.recorded > as_of:
        return None
    born, died = life.born, FOREVER if life.died is None else life.died
    if life is first:
        then: Interval | None = (born if born > life.recorded else life.recorded, died)
    else:
        learnt = first.born if first.born > first.recorded else first.recorded
        then = _told_twice(learnt, FOREVER if first.died is None else first.died, life.recorded, born, died)
    return None if then is None else Frame(born=born, died=died, then=then, at_death=closures.at_death(life))


def learnt(told: Sequence[Presence], as_of: int) -> Interval | None:
    """When an ordinary finding was there by the account of the time; None if it is not ordinary."""
    row, first = told[-1], told[0]
    if row.withdrawn or row.closed == RETRACTED or row.recorded > as_of:
        return None
    began, ended = row.began, FOREVER if row.ended is None else row.ended
    if row is first:
        return (began if began > row.recorded else row.recorded), ended
    if len(told) > 2 or first.began != began or first.withdrawn or first.closed == RETRACTED:
        return None
    former = FOREVER if first.ended is None else first.ended
    return _told_twice(began if began > first.recorded else first.recorded, former, row.recorded, began, ended)


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


def add(account: Account, began: int, ended: int, *, still: bool) -> None:
    """What was there in `[began, ended)` by the account of K; `still`: it is there at K. Not empty, in a whole life."""
    start, end = account.window.began, account.window.ended
    if began >= end:
        return
    edges, now, undead, live_only = (
        account.edges,
        account.now.running,
        account.undead.running,
        account.live_only.running,
    )
    if began < start:
        began = start
    first = bisect_right(edges, began) if edges else 0
    undead.places[first] -= began
    undead.counts[first] -= 1
    if still:
        live_only.places[first] -= began
        live_only.counts[first] -= 1
    if ended > began:
        _put(now, first, began, ended if ended < end else end)


def add_then(account: Account, since: int, until: int) -> None:
    """What was there in `[since, until)` by the account of the time; it may be empty."""
    window = account.window
    if since < window.began:
        since = window.began
    if until > window.ended:
        until = window.ended
    if since < until:
        _put(account.then.running, bisect_right(account.edges, since) if account.edges else 0, since, until)


def _put(tally: Tally, first: int, began: int, ended: int) -> None:
    edges, places = tally.edges, tally.places
    if first == len(edges) or ended < edges[first]:
        places[first] += ended - began
        return
    last = bisect_right(edges, ended)
    places[first] -= began
    places[last] += ended
    tally.counts[first] -= 1
    tally.counts[last] += 1
