"""Answers about risk over time (history.md, Risk as it really was): exact fractions of hours, and
decimals of 50 digits where a logarithm or a power leaves none.

Moments are whole microseconds since 1970 UTC, as in `model.histories`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from enum import StrEnum
from fractions import Fraction

HOUR = 3_600_000_000
"""Microseconds."""

DIGITS = 50
"""Of a logarithm or a power: as decimals they are the same on every machine."""


class Band(StrEnum):
    """The bands of CVSS v4; lower bounds inclusive."""

    NONE = "None"  # 0, and what no score is known of
    LOW = "Low"  # above 0
    MEDIUM = "Medium"  # from 4
    HIGH = "High"  # from 7
    CRITICAL = "Critical"  # from 9


class Closing(StrEnum):
    """Why a vulnerability is no longer on a machine."""

    PATCHED = "patched"  # it was mended, the machine lives on
    ROTATED = "rotated"  # exuvia replaced the machine
    DIED = "died"  # the machine died of something else
    UNKNOWN = "unknown"  # nobody knows, or said a word that means none of these


class Aggregation(StrEnum):
    """How the scores of one moment become one figure."""

    MAX = "max"  # the worst one
    SUM = "sum"  # all together


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The time `[began, ended)` that is asked about."""

    began: int
    ended: int

    def until(self, as_of: int) -> Window:
        """Cut at the moment after which nothing is known; never backwards."""
        return Window(began=self.began, ended=max(self.began, min(self.ended, as_of)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposures:
    """Score-hours by each way to count them. `then`: as could be known at the time; `now`: the best account as of K;
    the other three are what reports commonly say instead."""

    now: Fraction = Fraction(0)
    then: Fraction = Fraction(0)
    rescore: Fraction = Fraction(0)
    undead: Fraction = Fraction(0)
    live_only: Fraction = Fraction(0)

    def __add__(self, other: Exposures) -> Exposures:
        return Exposures(
            now=self.now + other.now,
            then=self.then + other.then,
            rescore=self.rescore + other.rescore,
            undead=self.undead + other.undead,
            live_only=self.live_only + other.live_only,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A part of the window by itself, for a plot."""

    window: Window
    exposures: Exposures
    instance_hours: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew:
    """How far a naive model is off: naive - now, and that as a share of now (None where now is 0)."""

    absolute: Fraction
    ratio: Fraction | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskReport:
    """Everything that `exuvia risk report` says. None: there is nothing to take it of."""

    window: Window
    as_of: int
    quarantine_factor: Fraction
    instance_hours: Fraction
    vulnerable_hours: Fraction
    exposures: Exposures
    band_hours: Mapping[Band, Fraction]
    hazard: Fraction
    closures: Mapping[Closing, int]
    mttr_patched_hours: Fraction | None
    mean_exposure_hours: Fraction | None
    restricted_mean_hours: Fraction | None
    unscored_hours: Fraction
    course: tuple[Stretch, ...] = field(default=())
    band_exposures: Mapping[Band, Fraction] = field(default_factory=dict)

    @property
    def vulnerable_fraction(self) -> Fraction | None:
        """The share of instance-hours with anything present."""
        return _share(self.vulnerable_hours, self.instance_hours)

    @property
    def normalised_now(self) -> Fraction | None:
        """Mean score of a machine, by the lens now."""
        return _share(self.exposures.now, self.instance_hours)

    @property
    def normalised_then(self) -> Fraction | None:
        """Mean score of a machine, by the lens then, over the hours known at K."""
        return _share(self.exposures.then, self.instance_hours)

    @property
    def hindsight_gap(self) -> Fraction:
        """What was there and could not be known: now - then."""
        return self.exposures.now - self.exposures.then

    @property
    def index(self) -> float:
        """Exposure-adjusted EPSS: for comparison, not the probability that a machine was exploited."""
        with localcontext(prec=DIGITS):
            return float(1 - (-Decimal(self.hazard.numerator) / Decimal(self.hazard.denominator)).exp())

    @property
    def skew(self) -> Mapping[str, Skew]:
        """By naive model, under its name in the report."""
        found = self.exposures
        naive = {"rescore": found.rescore, "undead": found.undead, "liveOnly": found.live_only}
        return {
            name: Skew(absolute=value - found.now, ratio=_share(value - found.now, found.now))
            for name, value in naive.items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of time in which one vulnerability on one machine had one score from one source.

    `source` is "" where no score is known (`score` 0). `factor` is the exposure factor: 1 running, less while frozen.
    """

    vulnerability: str
    window: Window
    factor: Fraction
    score: Fraction = Fraction(0)
    source: str = ""
    basis: str = ""

    @property
    def hours(self) -> Fraction:
        """Its length."""
        return Fraction(self.window.ended - self.window.began, HOUR)

    @property
    def score_hours(self) -> Fraction:
        """What it adds to the exposure."""
        return self.hours * self.factor * self.score


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Where each score-hour of one machine comes from, by both lenses, in order of vulnerability and time."""

    uid: str
    window: Window
    as_of: int
    now: tuple[Piece, ...]
    then: tuple[Piece, ...]


def _share(part: Fraction, whole: Fraction) -> Fraction | None:
    return part / whole if whole else None
