"""What is kept of judgements: seconds of violations that go on, and an agenda that does not grow."""

from __future__ import annotations

from datetime import timedelta

import pytest

from exuvia.app.violations import Violations
from exuvia.evaluate import judge
from exuvia.model.specs.security_policy import RuleType
from tests.app import stage
from tests.evaluate.world import NOW, node, policy, rule

OLD = rule(RuleType.MAX_AGE, {"limit": "1m", "jitterPercent": 0})
YOUNG = rule(RuleType.MAX_AGE, {"limit": "720h"})


def test_seconds_of_violations_go_on_by_themselves_and_stop_with_the_violation() -> None:
    clock = stage.HandClock()
    violations = Violations(clock.monotonic)
    key = ("workers", "High")
    violations.count(key, 1)
    clock.seconds += 10
    violations.count(key, 1)
    clock.seconds += 5
    assert violations.totals() == {key: 20}
    violations.count(key, -2)
    clock.seconds += 100
    assert violations.totals() == {key: 20}


def test_what_the_ledger_counted_already_is_not_counted_again() -> None:
    clock = stage.HandClock()
    violations = Violations(clock.monotonic)
    violations.count(("workers", "High"), 3)
    clock.seconds += 60
    violations.begin()
    assert violations.totals() == {("workers", "High"): 0}
    clock.seconds += 2
    assert violations.totals() == {("workers", "High"): 6}


def test_judging_again_changes_no_seconds_and_a_death_ends_them() -> None:
    services, machine = stage.services(), node()
    services.policies.refresh([policy(OLD, severity="Critical")])
    for _ in range(3):
        stage.judged(services, machine)
        services.clock.seconds += 1
    assert services.judgements.violations.totals() == {("workers", "Critical"): pytest.approx(3)}
    services.judgements.drop(machine.uid)
    services.clock.seconds += 50
    assert services.judgements.violations.totals() == {("workers", "Critical"): pytest.approx(3)}


def test_the_agenda_does_not_grow_however_often_machines_are_judged() -> None:
    services = stage.services()
    machines = [node(f"worker-{n}") for n in range(10)]
    services.policies.refresh([policy(YOUNG)])
    for _ in range(200):
        stage.judged(services, *machines)
    assert len(services.judgements._agenda) == 10
    for n in range(200):  # every time with another moment
        moved = [node(f"worker-{m}", born=NOW - timedelta(minutes=n + m)) for m in range(10)]
        compiled = tuple(services.policies.compiled.values())
        for one in moved:
            services.judgements.put(judge.judge_all(compiled, one, {}, NOW))
    assert len(services.judgements._agenda) <= 64 + 2 * 10
    assert services.judgements.due(NOW + timedelta(hours=800)) == {one.uid for one in machines}


def test_a_verdict_that_stood_when_nobody_looked_ends_where_its_policy_is_gone() -> None:
    services, machine = stage.services(), node()
    services.policies.refresh([policy(OLD)])
    services.judgements.remember({(machine.uid, "workers"): "violating", (machine.uid, "deleted"): "violating"})
    compiled = tuple(services.policies.compiled.values())
    judgement = judge.judge_all(compiled, machine, {}, NOW)
    changes = services.judgements.put(judgement)
    assert [(one.policy, one.now) for one in changes] == [("deleted", None)]
    assert services.judgements.put(judgement) == []


def test_a_dead_machine_is_forgotten_whole() -> None:
    services, machine = stage.services(), node()
    services.policies.refresh([policy(OLD)])
    stage.judged(services, machine)
    services.judgements.drop(machine.uid)
    assert not services.judgements.by_uid and not services.judgements._known
