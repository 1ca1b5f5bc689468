"""Exposure as a counter: what the ledger knows of the past goes on in the process, by the risk of each machine now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

from exuvia.model.learnt import RiskFigure
from exuvia.model.risks import Band

BANDS = (Band.LOW, Band.MEDIUM, Band.HIGH, Band.CRITICAL)


class Exposure:
    """Score-seconds of the fleet by band. Nothing is known of them before `base` was given."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._rates = dict.fromkeys(BANDS, Fraction(0))
        self._since = monotonic()
        self._seconds = dict.fromkeys(BANDS, 0.0)
        self._base: Mapping[Band, float] | None = None

    def change(self, former: RiskFigure | None, now: RiskFigure | None) -> None:
        """A machine counts otherwise from now on."""
        old, new = (one.bands if one is not None else {} for one in (former, now))
        if old != new:
            self._settle()
            for one in BANDS:
                self._rates[one] += new.get(one, Fraction(0)) - old.get(one, Fraction(0))

    def begin(self) -> None:
        """Count from now on only: what was before is known from elsewhere, and handed in as `base` once it is."""
        self._seconds = dict.fromkeys(BANDS, 0.0)
        self._since = self._monotonic()
        self._base = None

    def base(self, past: Mapping[Band, Fraction]) -> None:
        """Score-seconds until the last `begin`."""
        self._base = {one: float(past.get(one, Fraction(0))) for one in BANDS}

    def totals(self) -> dict[Band, float]:
        """Score-seconds until now; empty while the past is not known. May be asked from another thread."""
        base, passed = self._base, max(0.0, self._monotonic() - self._since)
        if base is None:
            return {}
        return {one: base[one] + self._seconds[one] + passed * float(self._rates[one]) for one in BANDS}

    @property
    def grows(self) -> bool:
        """Whether any machine is at risk now."""
        return any(self._rates.values())

    def _settle(self) -> None:
        now = self._monotonic()
        for one in BANDS:
            self._seconds[one] += max(0.0, now - self._since) * float(self._rates[one])
        self._since = now
