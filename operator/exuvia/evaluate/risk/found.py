"""What was on one machine at a moment (`exuvia ledger who`): each vulnerability, since when, and its score then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from exuvia.evaluate.risk import intervals, known, scores
from exuvia.evaluate.risk.intervals import Interval
from exuvia.model.histories import Past, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A vulnerability that was on a machine since a moment (microseconds), and the score row that held at the moment
    that was asked about; None where no score was known."""

    vulnerability: str
    since: int
    score: Score | None = None


def found(there: Mapping[str, int], facts: Iterable[Score], *, time: int, as_of: int) -> tuple[Found, ...]:
    """What is `present`, with the scores that held by the account of `as_of`. The worst comes first."""
    rated = _by_vulnerability(facts)
    all_ = [
        Found(vulnerability=name, since=since, score=scores.at(rated.get(name, ()), time=time, as_of=as_of))
        for name, since in there.items()
    ]
    return tuple(sorted(all_, key=lambda one: (-scores.value(one.score), one.score is None, one.vulnerability)))


def present(past: Past, *, time: int, as_of: int) -> dict[str, int]:
    """Vulnerability -> since when it was on the machine, of those that were on it at that moment, by the account of
    `as_of`: cut to the life, and what overlaps or touches is one."""
    born = _covering(known.now(past.lives, as_of), time)
    if born is None:
        return {}
    spans: dict[str, list[Interval]] = {}
    for one in known.current(past.presences, as_of):
        spans.setdefault(one.vulnerability, []).append(known.span(one))
    began = {name: _covering(intervals.union(some) if some[1:] else some, time) for name, some in spans.items()}
    return {name: max(born, since) for name, since in began.items() if since is not None}


def frozen_since(past: Past, *, time: int, as_of: int) -> int | None:
    """Since when the machine was frozen at that moment; None where it was not."""
    frozen = intervals.intersection(known.now(past.freezes, as_of), known.now(past.lives, as_of))
    return _covering(frozen, time)


def _covering(some: Iterable[Interval], time: int) -> int | None:
    return next((began for began, ended in some if began <= time < ended), None)


def _by_vulnerability(facts: Iterable[Score]) -> Mapping[str, Sequence[Score]]:
    rated: dict[str, list[Score]] = {}
    for one in facts:
        rated.setdefault(one.vulnerability, []).append(one)
    return rated
