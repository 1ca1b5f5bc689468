"""The baseline of `bench.risk` in DuckDB: the same rows in tables of its own, and five figures by one statement.

It asks what the ledger means: the versions that hold, cut to the lives, joined where they touch, by the score that
holds. It takes one source of scores for granted, and no freezes. Sums are whole: thousandths of a score by
microseconds.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import duckdb
from sqlalchemy import Connection, select

from exuvia.model.histories import EPSS
from exuvia.model.risks import HOUR, RiskReport
from exuvia.record import tables

COLUMNS = {
    "lives": ("uid", "recorded", "rank", "born", "died"),
    "presences": ("uid", "vulnerability", "began", "recorded", "rank", "ended"),
    "scores": ("vulnerability", "source", "valid_from", "recorded", "rank", "value"),
}
TYPES = {
    "uid": "VARCHAR", "vulnerability": "VARCHAR", "source": "VARCHAR", "rank": "INTEGER", "value": "DECIMAL(9, 3)",
}  # fmt: skip
"""All else is a moment."""

FIGURES = """
WITH
alive AS (
  SELECT uid, born, coalesce(died, $k) AS died FROM lives
  QUALIFY row_number() OVER (PARTITION BY uid ORDER BY recorded DESC, rank DESC) = 1
),
last AS (
  SELECT uid, vulnerability, began, coalesce(ended, $k) AS ended FROM presences
  QUALIFY row_number() OVER (PARTITION BY uid, vulnerability, began ORDER BY recorded DESC, rank DESC) = 1
),
cut AS (
  SELECT uid, vulnerability, greatest(began, born) AS began, least(ended, died, $k) AS ended
  FROM last JOIN alive USING (uid) WHERE greatest(began, born) < least(ended, died, $k)
),
edges AS (
  SELECT *, began > max(ended) OVER (
    PARTITION BY uid, vulnerability ORDER BY began ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
  ) IS NOT FALSE AS fresh FROM cut
),
runs AS (
  SELECT *, sum(fresh::INTEGER) OVER (PARTITION BY uid, vulnerability ORDER BY began) AS run FROM edges
),
held AS (
  SELECT uid, vulnerability, min(began) AS began, max(ended) AS ended FROM runs GROUP BY uid, vulnerability, run
),
steps AS (
  SELECT vulnerability, (value * 1000)::BIGINT AS value, valid_from AS began,
    coalesce(lead(valid_from) OVER (PARTITION BY vulnerability ORDER BY valid_from), $k) AS ended
  FROM (
    SELECT * FROM scores WHERE source <> $epss
    QUALIFY row_number() OVER (PARTITION BY vulnerability, valid_from ORDER BY recorded DESC, rank DESC) = 1
  )
),
latest AS (SELECT vulnerability, arg_max(value, began) AS value FROM steps WHERE began <= $k GROUP BY vulnerability),
rated AS (
  SELECT value, least(held.ended, steps.ended) - greatest(held.began, steps.began) AS length
  FROM held JOIN steps
    ON held.vulnerability = steps.vulnerability AND held.began < steps.ended AND steps.began < held.ended
)
SELECT
  (SELECT sum(value::HUGEINT * length) FROM rated),
  (SELECT sum(value::HUGEINT * (ended - began)) FROM held JOIN latest USING (vulnerability)),
  (SELECT sum(value::HUGEINT * ($k - began))
   FROM (SELECT vulnerability, min(began) AS began FROM held GROUP BY uid, vulnerability)
   JOIN latest USING (vulnerability)),
  (SELECT sum(least(died, $k) - born) FROM alive WHERE born < $k) * 1000,
  ((SELECT sum(ended - began) FROM held) - (SELECT sum(length) FROM rated)) * 1000
"""

NAMES = ("now", "rescore", "undead", "instance-hours", "unscored hours")


@contextmanager
def loaded(connection: Connection, folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB in memory with the same rows."""
    with duckdb.connect() as other:
        for name, columns in COLUMNS.items():
            typed = ", ".join(f"{one} {TYPES.get(one, 'BIGINT')}" for one in columns)
            other.execute(f"CREATE TABLE {name} ({typed})")
            file = folder / f"{name}.csv"
            with file.open("w", newline="") as written:
                table = tables.metadata.tables[name]
                csv.writer(written).writerows(connection.execute(select(*(table.c[one] for one in columns))))
            other.execute(f"COPY {name} FROM '{file}' (FORMAT csv, HEADER false)")
        yield other


def figures(other: duckdb.DuckDBPyConnection, until: int) -> dict[str, Fraction]:
    """The figures of the whole window up to that moment, exactly."""
    found = other.execute(FIGURES, {"k": until, "epss": EPSS}).fetchone()
    assert found is not None
    return {name: Fraction(int(value), 1000 * HOUR) for name, value in zip(NAMES, found, strict=True)}


def ours(report: RiskReport) -> dict[str, Fraction]:
    """The same of a report."""
    exposures = report.exposures
    found = (exposures.now, exposures.rescore, exposures.undead, report.instance_hours, report.unscored_hours)
    return dict(zip(NAMES, found, strict=True))
