"""What the metrics say now: every gauge from the state as it is, so that a dead machine disappears by itself."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata

from exuvia.app import counting, operations
from exuvia.app.operations import Operation
from exuvia.app.services import Services
from exuvia.app.statuses import Statuses
from exuvia.app.telling import policy_of
from exuvia.model.findings import Verdict
from exuvia.model.instances import Instance
from exuvia.model.specs.quarantine import Quarantine
from exuvia.report.metrics import Sample

NONCOMPLIANT = "exuvia_noncompliant_instance_seconds_total"


def build_info() -> Sample:
    """The version of exuvia and of Python."""
    return Sample(name="exuvia_build_info", value=1, labels=(metadata.version("exuvia"), platform.python_version()))


def of_leader(services: Services, statuses: Statuses) -> Iterator[Sample]:
    """Everything that only the leader may say."""
    yield from _policies(services)
    yield from _instances(services)
    yield from _operations(services)
    yield from _brakes(services, statuses)
    yield from _history(services)


def _policies(services: Services) -> Iterator[Sample]:
    for name, policy in services.policies.objects.items():
        yield Sample(name="exuvia_policy_info", value=1, labels=(name, str(policy.spec.mode)))
        for one in policy.status.conditions:
            yield Sample(name="exuvia_policy_status_condition", value=1, labels=(name, one.type, one.status))
    for name in services.policies.compiled:
        counts = services.judgements.verdicts.get(name, Counter())
        matched = sum(counts.values())
        for verdict in Verdict:
            yield Sample(name="exuvia_policy_instances", value=counts[verdict], labels=(name, str(verdict)))
        if matched:
            ratio = counts[Verdict.COMPLIANT] / matched
            yield Sample(name="exuvia_compliance_ratio", value=ratio, labels=(name,))
        for rule in counting.rules(services, name):
            for result, value in (("pass", rule.passed), ("fail", rule.fail), ("error", rule.error)):
                yield Sample(name="exuvia_rule_instances", value=value, labels=(name, rule.name, result))


def _instances(services: Services) -> Iterator[Sample]:
    phases: Counter[tuple[str, str, str]] = Counter()
    operated = {
        one.spec.instance.uid: _state(one) for one in operations.under_way(services.view) if one.status.started_at
    }
    for one in services.view.nodes.store:
        phases[(str(one.kind), one.pool, operated.get(one.uid) or _phase(one))] += 1
    for labels, count in phases.items():
        yield Sample(name="exuvia_instances", value=count, labels=labels)


def _phase(one: Instance) -> str:
    if one.deleting:
        return "Deleting"
    return "Ready" if one.ready else "NotReady"


def _state(one: Operation) -> str:
    return "Quarantined" if isinstance(one, Quarantine) else "Rotating"


def _operations(services: Services) -> Iterator[Sample]:
    phases: Counter[tuple[str, str, str]] = Counter()
    for one in operations.under_way(services.view):
        name = "exuvia_quarantines" if isinstance(one, Quarantine) else "exuvia_rotations"
        phases[(name, policy_of(one), str(one.status.phase))] += 1
    for (name, policy, phase), count in phases.items():
        yield Sample(name=name, value=count, labels=(policy, phase))


def _history(services: Services) -> Iterator[Sample]:
    """Counters. Machines that violate now do so for some seconds longer than the ledger can know."""
    lasting = services.judgements.violations.totals()
    for one in services.tallies.samples():
        more = lasting.pop((one.labels[0], one.labels[1]), 0.0) if one.name == NONCOMPLIANT else 0.0
        yield replace(one, value=one.value + more)
    for labels, seconds in lasting.items():
        yield Sample(name=NONCOMPLIANT, value=seconds, labels=labels)


def _brakes(services: Services, statuses: Statuses) -> Iterator[Sample]:
    plan = statuses.plan
    for brake in plan.brakes:
        yield Sample(name="exuvia_brake_engaged", value=float(brake.state == "Engaged"), labels=(brake.name,))
    for (policy, budget), allowed in plan.allowed.items():
        yield Sample(name="exuvia_disruption_allowed", value=max(0, allowed), labels=(policy, budget))
    now = services.clock.now()
    for name, standing in statuses.standings.items():
        for one in counting.grouped(standing.waits, now):
            yield Sample(name="exuvia_blocked", value=one.count or 0, labels=(name, one.reason))
