"""The catalogue of metrics is a contract: names and labels as the API page lists them, and nothing else."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from exuvia.report.metrics import BY_NAME, CATALOGUE, Durations, Sample, StateCollector, Tallies, Type

CONTRACT = """
exuvia_build_info{version,python_version}
exuvia_leader
exuvia_policy_info{policy,mode}
exuvia_policy_status_condition{policy,condition,status}
exuvia_instances{kind,pool,phase}
exuvia_policy_instances{policy,result}
exuvia_rule_instances{policy,rule,result}
exuvia_compliance_ratio{policy}
exuvia_noncompliant_instance_seconds_total{policy,severity}
exuvia_rotations{policy,phase}
exuvia_rotations_total{policy,outcome}
exuvia_rotation_duration_seconds{step}
exuvia_blocked{policy,reason}
exuvia_disruption_allowed{policy,budget}
exuvia_brake_engaged{brake}
exuvia_eviction_requests_total{code}
exuvia_quarantines{policy,phase}
exuvia_quarantine_duration_seconds
exuvia_evidence_captures_total{collector,outcome}
exuvia_evidence_bytes_total{collector}
exuvia_reaction_seconds{action}
exuvia_instance_births_total{kind,pool}
exuvia_instance_deaths_total{kind,pool,reason}
exuvia_instance_lifetime_seconds
exuvia_instances_unscanned_at_death_total{pool}
exuvia_ledger_records_total{type}
exuvia_ledger_lag_seconds
exuvia_ledger_verify_failures_total
exuvia_watch_last_event_timestamp_seconds{resource}
exuvia_license_seats{pool,state}
exuvia_license_unmet_demand_seat_seconds_total{pool}
exuvia_license_seat_seconds_total{pool}
exuvia_license_reclaim_latency_seconds{cause}
exuvia_license_high_water_seats{pool,period}
exuvia_license_high_water_demanded_seats{pool,period}
exuvia_risk_score{policy,aggregation}
exuvia_exposure_score_seconds_total{severity}
exuvia_risk_skew_ratio{model}
exuvia_sweep_duration_seconds
exuvia_loop_lag_seconds
"""
LATER = ("exuvia_signals_received_total",)
EVERYWHERE = {
    "exuvia_build_info",
    "exuvia_leader",
    "exuvia_ledger_lag_seconds",
    "exuvia_ledger_verify_failures_total",
    "exuvia_watch_last_event_timestamp_seconds",
    "exuvia_loop_lag_seconds",
}


def test_the_catalogue_is_the_contract() -> None:
    found = {one.name + (f"{{{','.join(one.labels)}}}" if one.labels else "") for one in CATALOGUE}
    assert found == set(CONTRACT.split())
    assert len(found) == len(CATALOGUE)
    assert not [one.name for one in CATALOGUE if one.name.startswith(LATER)]


@pytest.mark.parametrize("card", CATALOGUE, ids=lambda card: card.name)
def test_names_follow_the_conventions_of_prometheus(card: object) -> None:
    from exuvia.report.metrics import MetricCard

    assert isinstance(card, MetricCard)
    assert card.help.endswith(".")
    assert card.name.endswith("_total") is (card.type is Type.COUNTER)
    assert bool(card.buckets) is (card.type is Type.HISTOGRAM)
    assert list(card.buckets) == sorted(card.buckets)
    assert not {"uid", "user", "ip", "cve", "node"} & set(card.labels), "nothing that grows without end"


def exported(samples: list[Sample], *, leads: bool) -> dict[str, list[tuple[dict[str, str], float]]]:
    registry = CollectorRegistry()
    registry.register(StateCollector(lambda: samples, lambda: leads))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        one.name: [(one.labels, one.value) for one in family.samples] for family in families for one in family.samples
    }


def test_every_state_metric_is_exported_under_its_name() -> None:
    state = [one for one in CATALOGUE if one.type is not Type.HISTOGRAM]
    samples = [Sample(name=one.name, value=1.5, labels=tuple(f"v-{label}" for label in one.labels)) for one in state]
    found = exported(samples, leads=True)
    assert set(found) == {one.name for one in state}
    for card in state:
        assert found[card.name] == [({label: f"v-{label}" for label in card.labels}, 1.5)]


def test_a_standby_says_only_what_would_not_double() -> None:
    samples = [Sample(name=one.name, value=1, labels=one.labels) for one in CATALOGUE if one.type is not Type.HISTOGRAM]
    assert set(exported(samples, leads=False)) == EVERYWHERE
    assert {one.name for one in CATALOGUE if one.everywhere and one.type is not Type.HISTOGRAM} == EVERYWHERE


def test_samples_of_one_metric_may_come_in_any_order() -> None:
    samples = [
        Sample(name="exuvia_brake_engaged", value=1, labels=("Storm",)),
        Sample(name="exuvia_leader", value=1),
        Sample(name="exuvia_brake_engaged", value=0, labels=('odd "name"\n',)),
    ]
    found = exported(samples, leads=True)
    assert found["exuvia_brake_engaged"] == [({"brake": "Storm"}, 1), ({"brake": 'odd "name"\n'}, 0)]


def test_what_is_gone_is_not_exported_any_more() -> None:
    samples = [Sample(name="exuvia_leader", value=1)]
    registry = CollectorRegistry()
    registry.register(StateCollector(lambda: samples, lambda: True))
    assert b"exuvia_leader 1.0" in generate_latest(registry)
    samples.clear()
    assert b"exuvia_leader" not in generate_latest(registry)


def test_counters_go_on_from_history() -> None:
    tallies = Tallies()
    tallies.begin("exuvia_rotations_total", ("workers", "Succeeded"), 41)
    tallies.add("exuvia_rotations_total", "workers", "Succeeded")
    tallies.add("exuvia_rotations_total", "workers", "Failed", by=2)
    assert {one.labels: one.value for one in tallies.samples()} == {
        ("workers", "Succeeded"): 42,
        ("workers", "Failed"): 2,
    }


def test_every_histogram_can_be_observed() -> None:
    registry = CollectorRegistry()
    durations = Durations(registry)
    for card in CATALOGUE:
        if card.type is Type.HISTOGRAM:
            durations.observe(card.name, -1.0, *card.labels)
            durations.observe(card.name, card.buckets[0], *card.labels)
    text = generate_latest(registry).decode()
    for card in CATALOGUE:
        if card.type is Type.HISTOGRAM:
            labels = ",".join(f'{label}="{label}"' for label in card.labels)
            assert f"{card.name}_count{'{' + labels + '}' if labels else ''} 2.0" in text
    assert BY_NAME["exuvia_reaction_seconds"].buckets[0] <= 0.01
