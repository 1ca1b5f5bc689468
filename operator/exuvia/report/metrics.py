"""Metrics: the catalogue of what is exported, and a collector over our own state.

State is never counted up and down: a gauge is asked for at scrape time, so a dead node disappears by itself. Counters
that say history (rotations, births, deaths, noncompliant seconds) start from the ledger, so they go on after a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class Type(StrEnum):
    """What kind of metric it is."""

    GAUGE = "gauge"  # how it is now
    COUNTER = "counter"  # how much there has been
    HISTOGRAM = "histogram"  # how values are spread


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricCard:
    """One metric: its name, labels, and a sentence of help. `everywhere`: a standby exports it too."""

    name: str
    type: Type
    help: str
    labels: tuple[str, ...] = ()
    everywhere: bool = False
    buckets: tuple[float, ...] = ()


def _gauge(name: str, help_: str, *labels: str, everywhere: bool = False) -> MetricCard:
    return MetricCard(name=name, type=Type.GAUGE, help=help_, labels=labels, everywhere=everywhere)


def _counter(name: str, help_: str, *labels: str, everywhere: bool = False) -> MetricCard:
    return MetricCard(name=name, type=Type.COUNTER, help=help_, labels=labels, everywhere=everywhere)


def _histogram(name: str, help_: str, *labels: str, buckets: tuple[float, ...]) -> MetricCard:
    return MetricCard(name=name, type=Type.HISTOGRAM, help=help_, labels=labels, everywhere=True, buckets=buckets)


MINUTES = tuple(60.0 * n for n in (0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 240, 480))
LIFETIMES = tuple(3600.0 * n for n in (1 / 60, 1 / 6, 0.5, 1, 3, 6, 12, 24, 72, 168, 336, 720, 1440))
REACTIONS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
PASSES = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)

CATALOGUE: tuple[MetricCard, ...] = (
    _gauge(
        "exuvia_build_info", "Version of exuvia and Python; always 1.", "version", "python_version", everywhere=True
    ),
    _gauge("exuvia_leader", "1 on the replica that acts, else 0.", everywhere=True),
    _gauge("exuvia_policy_info", "A SecurityPolicy and its mode; always 1.", "policy", "mode"),
    _gauge(
        "exuvia_policy_status_condition",
        "1 for the status that a condition of a policy has now.",
        "policy",
        "condition",
        "status",
    ),
    _gauge("exuvia_instances", "Machines by kind, pool and phase.", "kind", "pool", "phase"),
    _gauge("exuvia_policy_instances", "Machines that a policy matches, by verdict.", "policy", "result"),
    _gauge("exuvia_rule_instances", "Machines by the result of one rule.", "policy", "rule", "result"),
    _gauge("exuvia_compliance_ratio", "Compliant machines among those that a policy matches, 0 to 1.", "policy"),
    _counter(
        "exuvia_noncompliant_instance_seconds_total",
        "Seconds that machines spent violating a policy.",
        "policy",
        "severity",
    ),
    _gauge("exuvia_rotations", "Open Rotations by phase.", "policy", "phase"),
    _counter("exuvia_rotations_total", "Ended Rotations by outcome.", "policy", "outcome"),
    _histogram("exuvia_rotation_duration_seconds", "Seconds a step of a Rotation took.", "step", buckets=MINUTES),
    _gauge("exuvia_blocked", "What waits now, by reason.", "policy", "reason"),
    _gauge("exuvia_disruption_allowed", "Machines that a budget still allows to be disrupted.", "policy", "budget"),
    _gauge("exuvia_brake_engaged", "1 while a brake of the fleet holds starts.", "brake"),
    _counter("exuvia_eviction_requests_total", "Evictions asked for, by HTTP code.", "code"),
    _gauge("exuvia_quarantines", "Open Quarantines by phase.", "policy", "phase"),
    _histogram(
        "exuvia_quarantine_duration_seconds", "Seconds from the start of a Quarantine to its end.", buckets=LIFETIMES
    ),
    _counter("exuvia_evidence_captures_total", "Evidence items by result.", "collector", "outcome"),
    _counter("exuvia_evidence_bytes_total", "Bytes of evidence kept.", "collector"),
    _histogram(
        "exuvia_reaction_seconds",
        "Seconds from a fact seen to the API write that answers it committed.",
        "action",
        buckets=REACTIONS,
    ),
    _counter("exuvia_instance_births_total", "Machines that were born.", "kind", "pool"),
    _counter("exuvia_instance_deaths_total", "Machines that died, by reason.", "kind", "pool", "reason"),
    _histogram("exuvia_instance_lifetime_seconds", "Seconds that machines lived.", buckets=LIFETIMES),
    _counter(
        "exuvia_instances_unscanned_at_death_total",
        "Machines that died before any vulnerability report of an image on them was there.",
        "pool",
    ),
    _counter("exuvia_ledger_records_total", "Entries of the ledger by type.", "type"),
    _gauge("exuvia_ledger_lag_seconds", "Age of the oldest fact that waits to be durable.", everywhere=True),
    _counter("exuvia_ledger_verify_failures_total", "Failed checks of the ledger's chain.", everywhere=True),
    _gauge(
        "exuvia_watch_last_event_timestamp_seconds",
        "When a watch was last heard of (list, event or bookmark).",
        "resource",
        everywhere=True,
    ),
    _gauge(
        "exuvia_license_seats",
        "Seats of a LicensePool by state: total, used, free, queued, overcommitted, ghosts, demanded.",
        "pool",
        "state",
    ),
    _counter(
        "exuvia_license_unmet_demand_seat_seconds_total",
        "Seconds that machines lived without the seat that they wanted.",
        "pool",
    ),
    _counter(
        "exuvia_license_seat_seconds_total",
        "Seconds that seats of a LicensePool were in use, all together; 3600 are one seat-hour.",
        "pool",
    ),
    _histogram(
        "exuvia_license_reclaim_latency_seconds",
        "Seconds from the death of a machine to the return of its seat.",
        "cause",
        buckets=REACTIONS,
    ),
    _gauge(
        "exuvia_license_high_water_seats",
        "The most seats in use at one moment of the current calendar month (UTC).",
        "pool",
        "period",
    ),
    _gauge(
        "exuvia_license_high_water_demanded_seats",
        "The most machines that wanted a seat at one moment of the current calendar month (UTC).",
        "pool",
        "period",
    ),
    _gauge(
        "exuvia_risk_score",
        "Point risk of the machines that a policy selects, in scores: the worst one (max), or all added up (sum).",
        "policy",
        "aggregation",
    ),
    _counter(
        "exuvia_exposure_score_seconds_total",
        "Score-seconds that machines were exposed, by the band of the score as known now.",
        "severity",
    ),
    _gauge(
        "exuvia_risk_skew_ratio",
        "How far a naive model was off in the last 30 days, as a share of the true exposure; reckoned each hour, and "
        "soon after the first machine is at risk.",
        "model",
    ),
    _histogram("exuvia_sweep_duration_seconds", "Seconds of one pass over what changed.", buckets=PASSES),
    _gauge("exuvia_loop_lag_seconds", "How late the event loop woke, the worst of the last minute.", everywhere=True),
)

BY_NAME = {card.name: card for card in CATALOGUE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One value of one metric of the catalogue; `labels` in the card's order."""

    name: str
    value: float
    labels: tuple[str, ...] = ()


class StateCollector(Collector):
    """Asks for the state at scrape time. What a standby may not say (it would double every sum) is left out."""

    def __init__(self, read: Callable[[], Iterable[Sample]], leads: Callable[[], bool]) -> None:
        self._read = read
        self._leads = leads

    def collect(self) -> Iterator[Metric]:
        """The families of the catalogue that have samples now."""
        leads = self._leads()
        families: dict[str, Metric] = {}
        for sample in self._read():
            card = BY_NAME[sample.name]
            if not (leads or card.everywhere):
                continue
            family = families.get(sample.name)
            if family is None:
                family = families[sample.name] = _family(card)
            family.add_metric(list(sample.labels), sample.value)  # type: ignore[attr-defined]
        yield from families.values()


def _family(card: MetricCard) -> Metric:
    if card.type is Type.COUNTER:
        return CounterMetricFamily(card.name.removesuffix("_total"), card.help, labels=card.labels)
    return GaugeMetricFamily(card.name, card.help, labels=card.labels)


class Tallies:
    """Counters that can begin where the ledger left off. Plain numbers, read by the collector."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, tuple[str, ...]], float] = {}

    def add(self, name: str, *labels: str, by: float = 1.0) -> None:
        """Count up."""
        key = (name, labels)
        self._values[key] = self._values.get(key, 0.0) + by

    def begin(self, name: str, labels: tuple[str, ...], value: float) -> None:
        """Start a counter from its history."""
        self._values[(name, labels)] = value

    def raise_to(self, name: str, labels: tuple[str, ...], value: float) -> None:
        """Go on from at least so much. What was counted beyond stays: a counter that falls counts as a new one."""
        self._values[(name, labels)] = max(value, self._values.get((name, labels), 0.0))

    def samples(self) -> list[Sample]:
        """All of them, now."""
        return [Sample(name=name, labels=labels, value=value) for (name, labels), value in list(self._values.items())]


class Durations:
    """The histograms of the catalogue, on a registry of one's own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._by_name = {
            card.name: Histogram(card.name, card.help, card.labels, buckets=card.buckets, registry=registry)
            for card in CATALOGUE
            if card.type is Type.HISTOGRAM
        }

    def observe(self, name: str, seconds: float, *labels: str) -> None:
        """Note one duration, in seconds."""
        histogram = self._by_name[name]
        (histogram.labels(*labels) if labels else histogram).observe(max(0.0, seconds))
