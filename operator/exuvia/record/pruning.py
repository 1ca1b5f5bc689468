"""What may be pruned: machines that are over for longer than is to be kept, brakes and scores that others superseded.

What lives, is open, is held or was sealed as evidence stays, with all that belongs to it; what is not understood stays.
So whatever is asked about a time after the cut has the answer that it had before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, select

from exuvia.model.facts import FactKind
from exuvia.model.histories import EPSS
from exuvia.record import groups, holds, protection, tables, versions
from exuvia.record.groups import Entry, Group, Groups


class Kept(StrEnum):
    """Why something is not pruned."""

    YOUNG = "young"  # something of it was so, or was learnt, after the cut
    LIVING = "living"  # the machine lives, or no death of it is known
    OPEN = "open"  # an operation is open, a seat is in its grace, or its vendor is not told
    SEALED = "sealed"  # evidence was sealed of it, or somebody decided about it
    HELD = "held"  # a legal hold is on it
    SHARED = "shared"  # another chain of this ledger tells of it too
    NEEDED = "needed"  # it says what holds still, or is of a kind that always stays


DAYS_KEPT = 2
"""Of EPSS: the one that holds at the cut, and the one before it."""

ScoreThing = tuple[str, str, int, int]
"""Vulnerability, source, valid from, recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would go. `kept`: how many entries stay, and why; `uids`: of machines and operations that go whole; `held`:
    whether there is any hold."""

    doomed: frozenset[int]
    uids: frozenset[str]
    scores: frozenset[ScoreThing]
    kept: Mapping[Kept, int]
    held: bool


def plan(connection: Connection, cluster: str, cut: int) -> Plan:
    """What of a chain is over since before the cut (microseconds) and can go. Reads only."""
    found, last = Groups(), None
    for entry in groups.walk(connection, cluster):
        found.add(entry)
        last = entry
    held = holds.active(connection)
    fates = dict(_fates(connection, found, cluster, cut, held, groups.uids(last) if last else ()))
    superseded = () if held else _superseded(connection, cut)
    scores = frozenset(one for one in superseded if last is None or one != _thing(last))
    judge = _Judge(fates, scores, cut, held=bool(held), last=last.seq if last else 0)
    doomed, kept = set[int](), dict[Kept, int]()
    for entry in groups.walk(connection, cluster):
        why = judge.judge(entry)
        if why is None:
            doomed.add(entry.seq)
        else:
            kept[why] = kept.get(why, 0) + 1
    doomed |= judge.doomed_brakes
    if judge.doomed_brakes:
        kept[Kept.NEEDED] -= len(judge.doomed_brakes)
    uids = frozenset(uid for uid, why in fates.items() if why is None)
    return Plan(doomed=frozenset(doomed), uids=uids, scores=scores, kept=kept, held=bool(held))


def _fates(
    connection: Connection,
    found: Groups,
    cluster: str,
    cut: int,
    held: Collection[holds.Hold],
    last: Collection[str],
) -> Iterator[tuple[str, Kept | None]]:
    """UID -> why its group stays, or None where it goes. `last`: whom the last entry of the chain is about."""
    lives = {row.uid: row for row in connection.execute(_holding_lives())}
    working, ended = _operations(connection)
    elsewhere = _elsewhere(connection, cluster)
    for members in found.members().values():
        group = found.of(members[0])
        if group is None:
            continue
        why = _kept(group, members, cut, lives=lives, working=working, ended=ended, elsewhere=elsewhere, held=held)
        whole = Kept.NEEDED if why is None and any(uid in members for uid in last) else why
        for uid in members:
            yield uid, whole


def _kept(
    group: Group,
    members: Collection[str],
    cut: int,
    *,
    lives: Mapping[str, Any],
    working: Collection[str],
    ended: Collection[str],
    elsewhere: Collection[str],
    held: Collection[holds.Hold],
) -> Kept | None:
    if any(protection.keeps(one, group, members) for one in held):
        return Kept.HELD
    if group.sealed:
        return Kept.SEALED
    if group.seated(cut) or any(uid in working for uid in members):
        return Kept.OPEN
    if not all(_over(uid, lives, ended, cut) for uid in members):
        return Kept.LIVING
    if any(uid in elsewhere for uid in members):
        return Kept.SHARED
    return Kept.YOUNG if group.known >= cut or group.last >= cut else None


def _over(uid: str, lives: Mapping[str, Any], ended: Collection[str], cut: int) -> bool:
    life = lives.get(uid)
    if life is None:
        return uid in ended
    return bool(life.withdrawn) or (life.died is not None and life.died < cut)


def _holding_lives() -> Any:
    table = tables.lives
    return select(table.c.uid, table.c.died, table.c.withdrawn).where(versions.holds(table))


def _operations(connection: Connection) -> tuple[set[str], set[str]]:
    """UIDs of operations that are open, and of those that ended."""
    table = tables.operations
    known = set(connection.scalars(select(table.c.uid).distinct()))
    known |= set(connection.scalars(select(tables.intents.c.operation).distinct()))
    ended = set(connection.scalars(select(table.c.uid).where(table.c.event == "ended")))
    return known - ended, ended


def _elsewhere(connection: Connection, cluster: str) -> set[str]:
    table = tables.mentions
    return set(connection.scalars(select(table.c.uid).where(table.c.cluster != cluster).distinct()))


def _thing(entry: Entry) -> ScoreThing | None:
    """The version of a score that an entry says; None: it says none."""
    body = entry.body
    try:
        return body["vulnerability"], body["source"], groups.moment_of(body["validFrom"]), entry.known
    except (KeyError, TypeError, ValueError):
        return None


class _Judge:
    """Which entries go. Of each brake the last before the cut stays: an earlier one goes when another comes."""

    def __init__(
        self, fates: Mapping[str, Kept | None], scores: Collection[ScoreThing], cut: int, *, held: bool, last: int
    ) -> None:
        self._fates = fates
        self._scores = scores
        self._cut = cut
        self._held = held
        self._last = last
        self._brakes: dict[str, int] = {}
        self.doomed_brakes: set[int] = set()
        self._alone: Mapping[str, Callable[[Entry], bool]] = {
            FactKind.BRAKE.value: self._brake,
            FactKind.SCORE.value: self._score,
            FactKind.CHECKPOINT.value: self._old,
        }

    def judge(self, entry: Entry) -> Kept | None:
        """Why an entry stays; None: it goes. The last of the chain stays: others know it as its head."""
        if entry.seq == self._last:
            return Kept.NEEDED
        named = groups.uids(entry)
        if named:
            return self._fates.get(named[0], Kept.NEEDED)
        goes = self._alone.get(entry.kind)
        return None if goes is not None and goes(entry) else Kept.NEEDED

    def _brake(self, entry: Entry) -> bool:
        name = str(entry.body.get("brake"))
        if self._old(entry):
            former = self._brakes.get(name)
            if former is not None and not self._held:
                self.doomed_brakes.add(former)
            self._brakes[name] = entry.seq
        return False

    def _score(self, entry: Entry) -> bool:
        return _thing(entry) in self._scores

    def _old(self, entry: Entry) -> bool:
        return entry.known < self._cut and entry.at < self._cut


def _superseded(connection: Connection, cut: int) -> Iterator[ScoreThing]:
    """Versions of scores that no question about a time after the cut can meet, whatever is withdrawn later. None where
    several chains may say the same of one vulnerability."""
    clusters = connection.scalars(select(tables.entries.c.cluster).distinct()).all()
    if len(clusters) > 1:
        return
    table = tables.scores
    rows = connection.execute(select(table).order_by(*table.primary_key.columns))
    for _, said in groupby(rows, key=lambda row: (row.vulnerability, row.source)):
        yield from _superseded_of(list(said), cut)


def _superseded_of(rows: list[Any], cut: int) -> Iterator[ScoreThing]:
    """Of one vulnerability and source, ordered by when it is valid from and when that was learnt.

    A withdrawal takes back what is valid from one moment, with all its versions: a version that was corrected never
    comes back, but what was valid from earlier does. So that stays, but of EPSS, which says something new every day:
    there a feed takes no day back (what is gone has a row of 0), and one day more is kept for a person who does.
    """
    settled = {row.valid_from for row in rows if row.valid_from <= cut and row.recorded < cut}
    settled -= {row.valid_from for row in rows if row.withdrawn or row.recorded >= cut}
    last = sorted(settled)[-DAYS_KEPT:] if rows[0].source == EPSS else []
    base = last[0] if len(last) == DAYS_KEPT else None
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        same = following is not None and following.valid_from == row.valid_from
        corrected = same and row.recorded < following.recorded < cut
        behind = base is not None and row.valid_from < base and row.recorded < cut
        if corrected or behind:
            yield row.vulnerability, row.source, row.valid_from, row.recorded
