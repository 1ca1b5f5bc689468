"""What sources said last of vulnerabilities, with all that their lines said beside the score; and which vulnerabilities
were ever seen on a machine."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, and_, select

from exuvia.model.facts import FactKind
from exuvia.model.histories import Score
from exuvia.record import groups, queries, tables, versions

PAGE = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """The version that holds of one score row, withdrawn ones too, and the body of the line that said it."""

    score: Score
    body: Mapping[str, Any]


def sayings(connection: Connection, *, of: Collection[str] = (), but: Collection[str] = ()) -> Iterator[Saying]:
    """Everything that holds now of these sources, or of all but some; ordered by vulnerability, source and moment.
    Read while it is asked for: a large feed is never in memory as a whole. Closed where the walk ends early, too."""
    scores, entries = tables.scores, tables.entries
    chains = queries.clusters(connection)  # named, so that an entry is found by its key
    said = and_(entries.c.cluster.in_(chains), entries.c.seq == scores.c.seq, entries.c.kind == FactKind.SCORE)
    chosen = (
        select(scores, entries.c.body)
        .select_from(scores.outerjoin(entries, said))
        .where(versions.holds(scores))
        .order_by(scores.c.vulnerability, scores.c.source, scores.c.valid_from)
    )
    if of:
        chosen = chosen.where(scores.c.source.in_(of))
    if but:
        chosen = chosen.where(scores.c.source.not_in(but))
    with connection.execute(chosen.execution_options(yield_per=PAGE)) as rows:
        yield from _once(_saying(row) for row in rows)


def seen(connection: Connection) -> frozenset[str]:
    """Every vulnerability that was ever found on a machine."""
    return frozenset(connection.scalars(select(tables.presences.c.vulnerability).distinct()))


def _saying(row: Any) -> Saying:
    score = Score(
        vulnerability=row.vulnerability,
        source=row.source,
        recorded=row.recorded,
        valid_from=row.valid_from,
        value=row.value,
        basis=row.basis,
        withdrawn=row.withdrawn,
    )
    return Saying(score=score, body=_own(row))


def _own(row: Any) -> Mapping[str, Any]:
    """The body, if it is about this row: chains of several clusters number their entries alike."""
    body: dict[str, Any] = json.loads(row.body)["body"] if row.body else {}
    said = (body.get("vulnerability"), body.get("source"), _when(str(body.get("validFrom"))))
    learnt = _when(str(body.get("recordedAt")))
    ours = said == (row.vulnerability, row.source, row.valid_from) and learnt in (None, row.recorded)
    return body if ours else {}


@lru_cache(maxsize=1024)
def _when(text: str) -> int | None:
    """None for what is no time: a line need not say when it was learnt."""
    try:
        return groups.moment_of(text)
    except ValueError:
        return None


def _once(found: Iterator[Saying]) -> Iterator[Saying]:
    """One for each row: the one with a body of its own, where entries of several chains were joined."""
    last: Saying | None = None
    for one in found:
        if last is not None and last.score.key == one.score.key:
            last = last if last.body else one
            continue
        if last is not None:
            yield last
        last = one
    if last is not None:
        yield last
