"""What is exported: counters go on from the ledger, and what concerns a policy is counted once."""

from __future__ import annotations

from typing import Any

from exuvia.app import counting, samples
from exuvia.model.blocking import Blocked
from exuvia.model.planning import Plan
from exuvia.model.reasons import BlockedReason
from exuvia.model.specs.security_policy import RuleType
from exuvia.report.metrics import Tallies
from tests.app import stage
from tests.evaluate.world import node, policy, rule

OLD = rule(RuleType.MAX_AGE, {"limit": "1m", "jitterPercent": 0})


def values(services: Any) -> dict[tuple[str, tuple[str, ...]], float]:
    return {(one.name, one.labels): one.value for one in samples._history(services)}


def test_seconds_of_violations_go_on_where_the_ledger_left_off() -> None:
    services = stage.services(tallies=Tallies())
    services.policies.refresh([policy(OLD, severity="High")])
    stage.judged(services, node("a"), node("b"))
    services.tallies.begin(samples.NONCOMPLIANT, ("workers", "High"), 1000)
    services.tallies.begin(samples.NONCOMPLIANT, ("gone", "Low"), 7)
    services.clock.seconds += 10
    found = values(services)
    assert found[(samples.NONCOMPLIANT, ("workers", "High"))] == 1020
    assert found[(samples.NONCOMPLIANT, ("gone", "Low"))] == 7


def test_a_policy_that_the_ledger_never_saw_begins_at_nothing() -> None:
    services = stage.services(tallies=Tallies())
    services.policies.refresh([policy(OLD, severity="High")])
    stage.judged(services, node("a"))
    services.clock.seconds += 3
    assert values(services) == {(samples.NONCOMPLIANT, ("workers", "High")): 3}


def test_what_waits_counts_for_the_policy_that_wants_it_and_audit_says_what_it_would_do() -> None:
    services = stage.services()
    machines = [node(f"worker-{n}") for n in range(3)]
    fleet = stage.fleet(services, *machines)
    services.policies.refresh([policy(OLD), policy(OLD, name="audited", mode="Audit", action="Quarantine")])
    stage.judged(services, *machines)
    full = Blocked(reason=BlockedReason.BUDGET_EXHAUSTED, message="budget default allows no more")
    plan = Plan(blocked={one.uid: full for one in machines[:2]})
    found = counting.standings(services, fleet, plan)
    assert counting.actions(found["workers"]).blocked == 2
    assert counting.actions(found["audited"]).blocked == 0
    assert counting.actions(found["audited"]).would_quarantine == 3
    assert counting.actions(found["workers"]).would_quarantine == 0
