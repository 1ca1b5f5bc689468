"""What makes the risk of machines now: their lives, freezes and vulnerabilities as last told, and the scores of these.

Only versions that hold: the risk of this moment by the account of this moment needs no others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, starmap
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Select, Table, func, literal, select

from exuvia.model.facts import FactKind
from exuvia.model.histories import EPSS, KEV, Freeze, Life, Past, Presence, Score
from exuvia.record import appending, departed, histories, tables, versions

CHUNK = histories.CHUNK
PAGE = 5000
FEW = 50_000
"""Scores: a fraction of a second."""
CONCERNS = (FactKind.PRESENCE, FactKind.FROZEN, FactKind.INSTANCE, FactKind.DEATH, FactKind.SCORE)
"""Facts after which the risk of a machine may be another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What was told after an entry: of which machines, and whether scores changed. `head`: up to which entry."""

    head: int
    uids: frozenset[str] = frozenset()
    scores: bool = False


def pasts(connection: Connection, uids: Iterable[str], until: int = versions.INSTANT) -> Iterator[Past]:
    """Of each of these machines what holds of all that was recorded up to then (microseconds), withdrawn things among
    it; one that is not known has no life."""
    for some in histories.chunks(uids):
        lives, presences, freezes = (_of(connection, *each, some, until) for each in _TABLES)
        for uid in some:
            yield Past(
                uid=uid, lives=lives.get(uid, ()), presences=presences.get(uid, ()), freezes=freezes.get(uid, ())
            )


def scores(connection: Connection, vulnerabilities: Iterable[str]) -> Iterator[Score]:
    """Every version of the scores of these; EPSS and KEV are none."""
    for some in histories.chunks(vulnerabilities):
        chosen = _scores().where(tables.scores.c.vulnerability.in_(some))
        with connection.execute(chosen, execution_options={"yield_per": PAGE}) as rows:
            yield from starmap(Score, rows)


def scores_of_all(connection: Connection) -> Iterator[Score]:
    """The same of everything that was ever on any machine."""
    yield from scores(connection, ever(connection))


def facts(connection: Connection, until: int) -> Iterable[Score]:
    """What was recorded up to then (microseconds) of the scores of everything that was ever on any machine, EPSS and
    KEV among them. Where there are few scores they come all: to find out which are needed costs more."""
    few = select(literal(1)).select_from(tables.scores).limit(FEW + 1).subquery()
    if connection.execute(select(func.count()).select_from(few)).scalar_one() <= FEW:
        return histories.scores(connection, until)
    return histories.scores(connection, until, vulnerabilities=ever(connection))


def ever(connection: Connection) -> set[str]:
    """Every vulnerability that was on a machine, also on those that were pruned."""
    found = connection.scalars(select(tables.presences.c.vulnerability).distinct())
    return departed.names(connection).union(found)


def news(connection: Connection, cluster: str, since: int, machines: Container[str]) -> News:
    """What any writer told of these machines in the chain of a cluster after the entry of that number."""
    uids, scored = set[str](), False
    for kind, body in _told(connection, cluster, since):
        if kind != FactKind.SCORE and body.get("uid") in machines:
            uids.add(body["uid"])
        elif kind == FactKind.SCORE and body.get("source") not in (EPSS, KEV):
            scored = True
    return News(head=appending.head(connection, cluster).seq, uids=frozenset(uids), scores=scored)


def _told(connection: Connection, cluster: str, since: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    entries = tables.entries
    chosen = select(entries.c.kind, entries.c.body).where(
        entries.c.cluster == cluster, entries.c.seq > since, entries.c.kind.in_([str(one) for one in CONCERNS])
    )
    with connection.execute(chosen, execution_options={"yield_per": PAGE}) as rows:
        for kind, text in rows:
            yield kind, json.loads(text)["body"]


def _of(
    connection: Connection,
    table: Table,
    make: Callable[..., Any],
    names: tuple[str, ...],
    uids: Collection[str],
    until: int,
) -> dict[str, tuple[Any, ...]]:
    """What holds of these machines, by UID."""
    chosen = select(*(table.c[one] for one in names)).where(table.c.uid.in_(uids), versions.holds(table, until))
    rows = starmap(make, connection.execute(chosen.order_by(*table.primary_key.columns)))
    return {uid: tuple(some) for uid, some in groupby(rows, key=attrgetter("uid"))}


def _scores() -> Select[Any]:
    table = tables.scores
    names = ("vulnerability", "source", "recorded", "valid_from", "value", "basis", "withdrawn")
    chosen = select(*(table.c[one] for one in names)).where(table.c.source.not_in((EPSS, KEV)))
    return chosen.order_by(*table.primary_key.columns)


def _life(uid: str, recorded: int, born: int, died: int | None, withdrawn: bool) -> Life:
    return Life(uid=uid, recorded=recorded, born=born, died=died, withdrawn=withdrawn)


_TABLES: tuple[tuple[Table, Callable[..., Any], tuple[str, ...]], ...] = (
    (tables.lives, _life, ("uid", "recorded", "born", "died", "withdrawn")),
    (tables.presences, Presence, ("uid", "vulnerability", "recorded", "began", "ended", "closed", "withdrawn")),
    (tables.freezes, Freeze, ("uid", "recorded", "began", "ended", "withdrawn")),
)
