"""What was on one machine at a moment (`exuvia ledger who`): each vulnerability, since when, and its score then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from exuvia.evaluate.risk import intervals, known, scores
from exuvia.model.histories import Past, Presence, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A vulnerability that was on a machine since a moment (microseconds), and the score row that held at the moment
    that was asked about; None where no score was known."""

    vulnerability: str
    since: int
    score: Score | None = None


def found(past: Past, facts: Iterable[Score], *, time: int, as_of: int) -> tuple[Found, ...]:
    """By the account of `as_of`, cut to the life; what overlaps or touches is one. The worst comes first."""
    rated = _by_vulnerability(facts)
    all_ = [
        Found(vulnerability=name, since=since, score=scores.at(rated.get(name, ()), time=time, as_of=as_of))
        for name, since in present(past, time=time, as_of=as_of).items()
    ]
    return tuple(sorted(all_, key=lambda one: (-scores.value(one.score), one.score is None, one.vulnerability)))


def present(past: Past, *, time: int, as_of: int) -> dict[str, int]:
    """Vulnerability -> since when it was on the machine, of those that were on it at that moment."""
    alive, ordered = known.now(past.lives, as_of), sorted(past.presences, key=_vulnerability)
    since: dict[str, int] = {}
    for name, rows in groupby(ordered, key=_vulnerability):
        began = _covering(intervals.intersection(known.now(tuple(rows), as_of), alive), time)
        if began is not None:
            since[name] = began
    return since


def frozen_since(past: Past, *, time: int, as_of: int) -> int | None:
    """Since when the machine was frozen at that moment; None where it was not."""
    frozen = intervals.intersection(known.now(past.freezes, as_of), known.now(past.lives, as_of))
    return _covering(frozen, time)


def _covering(some: intervals.Intervals, time: int) -> int | None:
    return next((began for began, ended in some if began <= time < ended), None)


def _by_vulnerability(facts: Iterable[Score]) -> Mapping[str, Sequence[Score]]:
    rated: dict[str, list[Score]] = {}
    for one in facts:
        rated.setdefault(one.vulnerability, []).append(one)
    return rated


def _vulnerability(one: Presence) -> str:
    return one.vulnerability
