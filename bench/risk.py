"""`python -m bench.risk [--presences N] [--each N]`: a risk report over a long history, beside two baselines.

The history: N presences, so many on each machine, over 90 days; 10,000 score facts of 2,000 vulnerabilities. One
baseline is the loop that everybody would write first, over a sample that is already in memory: for each presence go
through the scores of its vulnerability; one figure, one lens. The other is DuckDB (`bench.duck`), which is made for
such questions: five of the figures, which must be ours to the last digit.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Table, create_engine, insert

from bench import duck
from exuvia.evaluate.risk import scores
from exuvia.evaluate.risk.accumulate import accumulate
from exuvia.model.histories import Past, Score
from exuvia.model.risks import HOUR, RiskReport, Window
from exuvia.record import histories, tables, telling

START = 1_767_225_600_000_000
DAY = 24 * HOUR
ENDED = START + 90 * DAY
SCORES = 10_000
VULNERABILITIES = tuple(f"CVE-2026-{number}" for number in range(2000))
SAMPLE = 1000
GOAL_SECONDS = 2.0
PAGE = 20_000

Row = dict[str, Any]
T = TypeVar("T")


def main() -> int:
    """Measure and print. The exit code is 0, whether the goal is met or not."""
    parser = argparse.ArgumentParser(prog="python -m bench.risk", description="A risk report over a long history.")
    parser.add_argument("--presences", type=int, default=1_000_000)
    parser.add_argument("--each", type=int, default=20, help="presences on each machine")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{Path(folder) / 'ledger.db'}")
        _fill(engine, given.presences, given.each)
        with engine.connect() as connection:
            print(f"{given.presences:,} presences, {given.each} on each machine, x {SCORES:,} scores")
            for line in _measured(connection, Path(folder), given.presences):
                print(f"  {line}", flush=True)
    return 0


def _measured(connection: Connection, folder: Path, presences: int) -> Iterator[str]:
    before = _peak()
    ours, found = _timed(lambda: _report(connection))
    yield f"report: {ours} (goal {GOAL_SECONDS:g} s on SQLite); {before:.0f} MB before it, {_peak():.0f} MB at most"
    yield f"exposure now {float(found.exposures.now):,.0f}, then {float(found.exposures.then):,.0f} score-hours"
    plain = _plain_seconds(connection, histories.scores(connection, ENDED)) * presences
    yield f"plain Python, one figure, by a sample in memory: {plain:.2f} s of CPU; ours to it {ours.cpu / plain:.2f}"
    with duck.loaded(connection, folder) as other:
        theirs, figures = _timed(lambda: duck.figures(other, ENDED))
    yield f"DuckDB, five of the figures, from tables of its own: {theirs}; ours to it {ours.wall / theirs.wall:.2f}"
    assert figures == duck.ours(found), (figures, duck.ours(found))
    yield f"the same in both, to the last digit: {', '.join(figures)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """Seconds."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall:.2f} s, {self.cpu:.2f} s of CPU"


def _timed(work: Callable[[], T]) -> tuple[Took, T]:
    began, worked = time.perf_counter(), time.process_time()
    found = work()
    return Took(wall=time.perf_counter() - began, cpu=time.process_time() - worked), found


def _report(connection: Connection) -> RiskReport:
    facts = histories.scores(connection, ENDED)
    window = Window(began=START, ended=ENDED)
    return accumulate(telling.pages(connection, ENDED), facts, window=window, as_of=ENDED)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _plain_seconds(connection: Connection, facts: tuple[Score, ...]) -> float:
    """For one presence."""
    sample = list(islice(histories.pasts(connection, ENDED), SAMPLE))
    steps = scores.histories(facts, ENDED)
    began = time.process_time()
    total = sum(map(_exposure, sample, repeat(steps)))
    took = time.process_time() - began
    assert total > 0
    return took / sum(len(one.presences) for one in sample)


def _exposure(past: Past, steps: dict[str, scores.History]) -> float:
    life, total = past.lives[-1], 0.0
    for one in past.presences:
        first, last = max(one.began, life.born), min(one.ended or ENDED, life.died or ENDED, ENDED)
        known = steps[one.vulnerability].now
        for place in range(max(bisect_right(known.moments, first) - 1, 0), len(known.moments)):
            until = known.moments[place + 1] if place + 1 < len(known.moments) else ENDED
            row = known.rows[place]
            if row is not None and known.moments[place] < last:
                total += float(row.value) * max(0, min(last, until) - max(first, known.moments[place])) / HOUR
    return total


def _fill(engine: Engine, presences: int, each: int) -> None:
    chance = random.Random(1)
    tables.metadata.create_all(engine)
    with engine.begin() as connection:
        _insert(connection, tables.scores, (_score(chance, number) for number in range(SCORES)))
        lives = [_span(chance) for _ in range(presences // each)]
        _insert(connection, tables.lives, (row for one in lives for row in _versions(*one)))
        found = (_presence(uid, born, name) for uid, born, _ in lives for name in chance.sample(VULNERABILITIES, each))
        _insert(connection, tables.presences, found)


def _insert(connection: Connection, table: Table, rows: Iterator[Row]) -> None:
    while page := list(islice(rows, PAGE)):
        connection.execute(insert(table), page)


def _span(chance: random.Random) -> tuple[str, int, int]:
    born = START + chance.randrange(89 * DAY)
    return f"{chance.getrandbits(128):032x}", born, born + chance.randrange(HOUR, 5 * DAY)


def _versions(uid: str, born: int, died: int) -> Iterator[Row]:
    """A birth, and a death that is learnt two milliseconds late."""
    life = {
        "uid": uid, "rank": 0, "cluster": "bench", "seq": 1, "declared": 1, "kind": "Node", "name": uid[:12],
        "pool": "workers", "zone": "a", "born": born, "died_not_before": None, "died_by": "", "persistent": True,
        "withdrawn": False,
    }  # fmt: skip
    yield {**life, "recorded": born + 1000, "died": None, "reason": ""}
    if died + 2000 <= ENDED:
        yield {**life, "recorded": died + 2000, "died": died, "reason": "exuvia"}


def _presence(uid: str, born: int, name: str) -> Row:
    """It came with the image and was found five seconds later."""
    return {
        "uid": uid, "vulnerability": name, "recorded": born + 5_000_000, "rank": 0, "seq": 1, "began": born,
        "ended": None, "closed": "", "withdrawn": False,
    }  # fmt: skip


def _score(chance: random.Random, number: int) -> Row:
    valid = START + chance.randrange(89 * DAY)
    return {
        "vulnerability": VULNERABILITIES[number % len(VULNERABILITIES)], "source": ("nvd", "nvd", "epss")[number % 3],
        "recorded": valid + chance.randrange(DAY), "rank": 0, "seq": 1, "valid_from": valid,
        "value": f"{chance.random() * (1 if number % 3 == 2 else 10):.3f}", "basis": "threat", "withdrawn": False,
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
