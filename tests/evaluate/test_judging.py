"""Verdicts, overlap and compiling: the same facts give the same answer, and no answer but a fail makes a wish."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exuvia.evaluate import judge, overlap
from exuvia.evaluate.policies import CompiledPolicy
from exuvia.model.findings import Finding, Result, Verdict
from exuvia.model.instances import Instance, Versions
from exuvia.model.specs.security_policy import Action, RuleType, SecurityPolicySpec, Severity
from tests.evaluate import world
from tests.evaluate.world import NOW, compiled, condition, node, rule


def finding(result: Result) -> Finding:
    return Finding(rule="r", result=result, severity=Severity.LOW, action=Action.ALERT)


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([Result.FAIL, Result.ERROR, Result.PASS], Verdict.VIOLATING),
        ([Result.ERROR, Result.PASS], Verdict.UNKNOWN),
        ([Result.ERROR, Result.SKIP, Result.WARN], Verdict.UNKNOWN),
        ([Result.PASS, Result.SKIP, Result.WARN], Verdict.COMPLIANT),
        ([Result.SKIP], Verdict.COMPLIANT),
    ],
)
def test_the_verdict_of_a_policy(results: list[Result], expected: Verdict) -> None:
    assert judge.verdict(finding(one) for one in results) is expected


LABEL = rule(RuleType.MARKS, {"requiredLabels": {"team": ""}})


def test_rules_inherit_severity_and_action() -> None:
    made = compiled(
        LABEL, rule(RuleType.IMAGE, {"allowed": ["x"]}, severity="Critical", action="Alert"), severity="Low"
    )
    assert [(one.severity, one.action) for one in made.rules] == [
        (Severity.LOW, Action.ROTATE),
        (Severity.CRITICAL, Action.ALERT),
    ]


@pytest.mark.parametrize(
    ("selector", "exclude", "labels", "selected"),
    [
        ({}, None, {}, True),
        ({"matchLabels": {"pool": "a"}}, None, {"pool": "a"}, True),
        ({"matchLabels": {"pool": "a"}}, None, {"pool": "b"}, False),
        ({}, {"matchLabels": {"exempt": "true"}}, {"exempt": "true"}, False),
        ({}, {"matchLabels": {"exempt": "true"}}, {"exempt": "false"}, True),
        ({}, {}, {}, False),
        ({"matchExpressions": [{"key": "pool", "operator": "In", "values": ["a"]}]}, None, {}, False),
        ({"matchExpressions": [{"key": "pool", "operator": "NotIn", "values": ["a"]}]}, None, {}, True),
        ({"matchExpressions": [{"key": "pool", "operator": "Exists"}]}, None, {"pool": ""}, True),
        ({"matchExpressions": [{"key": "pool", "operator": "DoesNotExist"}]}, None, {"pool": ""}, False),
    ],
)
def test_whom_a_policy_selects(selector: Any, exclude: Any, labels: dict[str, str], selected: bool) -> None:
    target = {"selector": selector} | ({} if exclude is None else {"exclude": exclude})
    assert compiled(LABEL, target=target).selects(node(labels=labels)) is selected


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        ({"target": {"kind": "VirtualMachineInstance", "selector": {}}}, "spec.target.kind"),
        ({"rotation": {"provider": "Karpenter"}}, "spec.rotation.provider"),
        ({"drain": {"evictionAPI": "Auto"}}, "spec.drain.evictionAPI"),
        ({"disruption": {"maxVerdictFlip": "30%"}}, "spec.disruption.maxVerdictFlip"),
    ],
)
def test_what_is_not_served_yet_is_refused_with_its_field(spec: dict[str, Any], place: str) -> None:
    (found,) = world.problems(LABEL, **spec)
    assert (found.place, found.reason) == (place, "NotSupported")
    assert found.remedy


def test_all_problems_are_told_at_once() -> None:
    budgets = [{"name": "b", "nodes": "1", "schedule": "61 * * * *", "duration": "1h"}]
    windows = {"allow": [{"schedule": "0 22 * * *", "duration": "1h", "timeZone": "Mars/X"}]}
    found = world.problems(
        rule(RuleType.IMAGE, {"allowed": ["("]}),
        rule(RuleType.REPORTS, {"source": "kube-bench"}),
        disruption={"budgets": budgets, "windows": windows},
    )
    assert {one.place for one in found} == {
        "spec.rules[0].image.allowed[0]",
        "spec.rules[1].type",
        "spec.disruption.budgets[0]",
        "spec.disruption.windows.allow[0]",
    }
    assert all(str(one).startswith(one.place) for one in found)


# Overlap


def failing(name: str, action: str, severity: str, **spec: Any) -> CompiledPolicy:
    """A policy that everything without the label `team` fails."""
    return compiled(LABEL, name=name, action=action, severity=severity, **spec)


def wished(*policies: CompiledPolicy, instance: Instance | None = None, enforced: bool = True) -> Any:
    machine = instance or node()
    judgement = judge.judge_all(policies, machine, {}, NOW)
    return overlap.wish(judgement, {one.name: one for one in policies}, enforced=enforced)


def test_the_strictest_action_wins_then_severity_then_name() -> None:
    assert wished(failing("b", "Rotate", "Critical"), failing("a", "Quarantine", "Low")).policy == "a"
    assert wished(failing("a", "Rotate", "Low"), failing("b", "Rotate", "High")).policy == "b"
    assert wished(failing("b", "Rotate", "High"), failing("a", "Rotate", "High")).policy == "a"
    assert wished(failing("a", "Alert", "Critical")) is None
    assert wished(failing("a", "Alert", "Critical"), failing("b", "Rotate", "Low")).policy == "b"


def test_audit_and_suspended_policies_do_not_act_but_audit_says_what_it_would() -> None:
    audit, asleep = failing("audit", "Rotate", "High", mode="Audit"), failing("asleep", "Rotate", "High", suspend=True)
    assert wished(audit, asleep) is None
    would = wished(audit, asleep, enforced=False)
    assert (would.policy, would.enforced) == ("audit", False)
    assert wished(asleep, enforced=False) is None
    assert wished(failing("live", "Rotate", "Low"), enforced=False) is None


def test_a_hard_limit_counts_whichever_rule_of_the_policy_gives_the_reason() -> None:
    age = rule(RuleType.MAX_AGE, {"limit": "1h", "hardLimit": "1h"}, severity="Low")
    made = compiled(age, LABEL)
    assert wished(made).rule == "marks"
    assert wished(made).hard is True
    assert wished(compiled(LABEL)).hard is False


def strict(text: dict[str, Any]) -> SecurityPolicySpec:
    return world.policy(LABEL, **text).spec


LOOSE = {
    "drain": {"unmanagedPods": "Evict", "emptyDirPods": "Evict", "onTimeout": "Force", "timeout": "7h"},
    "quarantine": {"onHoldExpired": "Rotate", "evidence": {"requirement": "BestEffort"}, "holdTime": "9h"},
}


@pytest.mark.parametrize(
    ("other", "path", "value"),
    [
        ({"drain": {**LOOSE["drain"], "unmanagedPods": "Block"}}, "drain.unmanaged_pods", "Block"),
        ({"drain": {**LOOSE["drain"], "emptyDirPods": "Block"}}, "drain.empty_dir_pods", "Block"),
        ({"drain": {**LOOSE["drain"], "onTimeout": "Abort"}}, "drain.on_timeout", "Abort"),
        ({"quarantine": {**LOOSE["quarantine"], "onHoldExpired": "Keep"}}, "quarantine.on_hold_expired", "Keep"),
        (
            {"quarantine": {**LOOSE["quarantine"], "evidence": {"requirement": "Required"}}},
            "quarantine.evidence.requirement",
            "Required",
        ),
    ],
)
def test_the_strictest_of_five_knobs_counts(other: dict[str, Any], path: str, value: str) -> None:
    winner = strict(LOOSE)
    whole = {**LOOSE, **other}
    for selecting in ([winner, strict(whole)], [strict(whole), winner]):
        rotation, drain, quarantine = overlap.settings(winner, selecting)
        found: Any = {"rotation": rotation, "drain": drain, "quarantine": quarantine}[path.split(".")[0]]
        loosened = found
        for part in path.split(".")[1:]:
            loosened = getattr(loosened, part)
        assert loosened == value
        assert (drain.timeout, quarantine.hold_time) == (timedelta(hours=7), timedelta(hours=9)), "the winner's"
    _, drain, quarantine = overlap.settings(winner, [winner])
    assert (drain, quarantine) == (winner.drain, winner.quarantine)


def test_without_a_winner_the_defaults_hold() -> None:
    assert overlap.settings(None, []) == overlap.settings(strict({}), [])


# Properties

members: dict[RuleType, list[dict[str, Any]]] = {
    RuleType.MAX_AGE: [{"limit": "1h"}, {"limit": "10h", "jitterPercent": 50}],
    RuleType.VERSIONS: [{"kubelet": ">=1.35"}, {"kernel": "<6.2"}],
    RuleType.IMAGE: [{"allowed": ["Talos.*"]}],
    RuleType.MARKS: [{"requiredLabels": {"team": ""}}, {"forbiddenLabels": ["debug"]}],
    RuleType.CONDITIONS: [{"sustainedFor": "5m", "bad": [{"type": "A", "status": "True"}]}],
    RuleType.EXPRESSION: [{"expression": "true"}],
}
rules = st.sampled_from([(type_, member) for type_, listed in members.items() for member in listed])


@st.composite
def policies(draw: st.DrawFn) -> list[CompiledPolicy]:
    made = []
    for name in draw(st.lists(st.sampled_from("abcd"), unique=True, max_size=4)):
        chosen = draw(st.lists(rules, min_size=1, max_size=3, unique_by=lambda one: one[0]))
        made.append(
            compiled(
                *(rule(type_, member, action=draw(st.sampled_from(list(Action)))) for type_, member in chosen),
                name=name,
                severity=draw(st.sampled_from(list(Severity))),
                mode=draw(st.sampled_from(["Enforce", "Audit"])),
                suspend=draw(st.booleans()),
            )
        )
    return made


machines = st.builds(
    node,
    uid=st.text(min_size=1, max_size=6),
    born=st.timedeltas(timedelta(0), timedelta(hours=12)).map(lambda age: NOW - age),
    labels=st.dictionaries(st.sampled_from(["team", "debug"]), st.just("x")),
    os_image=st.sampled_from(["", "Talos (v1.11)", "Ubuntu"]),
    versions=st.builds(
        Versions, kubelet=st.sampled_from(["", "v1.35.0", "v1.34.0", "?"]), kernel=st.sampled_from(["", "6.1", "6.9"])
    ),
    conditions=st.sampled_from([(), (condition("A", "True", None),), (condition("A", "True", timedelta(hours=1)),)]),
)


@given(policies(), machines, st.randoms(use_true_random=False))
def test_the_order_of_policies_does_not_matter(made: list[CompiledPolicy], machine: Instance, random: Any) -> None:
    mixed = list(made)
    random.shuffle(mixed)
    first, second = (judge.judge_all(order, machine, {}, NOW) for order in (made, mixed))
    assert first == second
    for enforced in (True, False):
        assert wished(*made, instance=machine, enforced=enforced) == wished(*mixed, instance=machine, enforced=enforced)


@given(policies(), machines)
def test_only_a_fail_makes_a_wish(made: list[CompiledPolicy], machine: Instance) -> None:
    judgement = judge.judge_all(made, machine, {}, NOW)
    found = wished(*made, instance=machine)
    by_name = {one.name: one for one in made}
    wanting = [
        one
        for name, assessment in judgement.assessments.items()
        if overlap.acts(by_name[name].spec)
        for one in assessment.findings
        if one.result is Result.FAIL and one.action is not Action.ALERT
    ]
    assert (found is not None) is bool(wanting)
    if found is not None:
        said = judgement.assessments[found.policy]
        assert said.verdict is Verdict.VIOLATING, "no compliant and no unknown machine gets a wish"
        assert found.action.rank == max(one.action.rank for one in wanting)


@given(policies(), machines)
def test_the_same_input_gives_the_same_answer(made: list[CompiledPolicy], machine: Instance) -> None:
    assert judge.judge_all(made, machine, {}, NOW) == judge.judge_all(made, machine, {}, NOW)


@given(policies(), machines, st.floats(0, 0.999))
def test_no_verdict_changes_before_until(made: list[CompiledPolicy], machine: Instance, part: float) -> None:
    first = judge.judge_all(made, machine, {}, NOW)
    span = (first.until - NOW) if first.until is not None else timedelta(days=90)
    assert span > timedelta(0)
    later = judge.judge_all(made, machine, {}, NOW + span * part)
    assert {name: one.verdict for name, one in later.assessments.items()} == {
        name: one.verdict for name, one in first.assessments.items()
    }
