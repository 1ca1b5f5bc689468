"""`python -m bench.risk [--presences N] [--each N]`: a risk report over a long history, beside plain Python.

The history: N presences, so many on each machine, over 90 days; 10,000 score facts of 2,000 vulnerabilities. The
baseline is the loop that everybody would write first, over a sample that is already in memory: for each presence go
through the scores of its vulnerability. It gives one figure of the report, and counts only one lens.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, insert

from exuvia.evaluate.risk import scores
from exuvia.evaluate.risk.accumulate import accumulate
from exuvia.model.histories import Score
from exuvia.model.risks import HOUR, Window
from exuvia.model.told import LifeRow, PresenceRow, rows
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
            print("\n".join(_measured(connection, given.presences)))
    return 0


def _measured(connection: Connection, presences: int) -> Iterator[str]:
    window = Window(began=START, ended=ENDED)
    began, worked = time.perf_counter(), time.process_time()
    facts = histories.scores(connection, ENDED)
    found = accumulate(telling.machines(connection, ENDED), facts, window=window, as_of=ENDED)
    took, worked = time.perf_counter() - began, time.process_time() - worked
    plain = _plain_seconds(connection, facts) * presences
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    said = f"report in {took:.2f} s, {worked:.2f} s of CPU (goal {GOAL_SECONDS:g} s)"
    yield f"{presences:,} presences x {len(facts):,} scores: {said}"
    yield f"plain Python, by the sample: {plain:.2f} s of CPU for one figure; ratio {worked / plain:.2f}"
    yield f"exposure now {float(found.exposures.now):,.0f}, then {float(found.exposures.then):,.0f}; {peak:.0f} MB"


def _plain_seconds(connection: Connection, facts: tuple[Score, ...]) -> float:
    """For one presence."""
    sample = [(one.lives, rows(one)) for one in islice(telling.machines(connection, ENDED), SAMPLE)]
    steps = scores.histories(facts, ENDED)
    began = time.process_time()
    total = sum(_exposure(lives, presences, steps) for lives, presences in sample)
    took = time.process_time() - began
    assert total > 0
    return took / sum(len(presences) for _, presences in sample)


def _exposure(lives: Sequence[LifeRow], presences: Sequence[PresenceRow], steps: dict[str, scores.History]) -> float:
    _, _, born, died, _, _ = lives[-1]
    total = 0.0
    for _, name, _, began, ended, _, _ in presences:
        first, last = max(began, born), min(ended or ENDED, died or ENDED, ENDED)
        known = steps[name].now
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
