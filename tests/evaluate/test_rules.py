"""Every row of the table of rules (api.md), with its edges. What is unknown is an error, neither pass nor fail."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exuvia.evaluate import cel
from exuvia.evaluate.rules import BY_TYPE, RULES
from exuvia.evaluate.rules.max_age import own_limit
from exuvia.evaluate.versions import Comparison, comparisons, parse, parse_kernel
from exuvia.model.instances import Condition, Instance, Versions
from exuvia.model.problems import Problem
from exuvia.model.specs.security_policy import SERVED_RULES, Rule, RuleType
from tests.evaluate import world
from tests.evaluate.world import NOW, ask, condition, node, taint

HOUR = timedelta(hours=1)


def test_every_served_rule_has_one_line_and_a_card() -> None:
    assert [one.type for one in RULES] == list(SERVED_RULES)
    assert all(one.card.name == one.type and one.card.description and one.card.example for one in RULES)


@pytest.mark.parametrize("kind", RULES, ids=lambda kind: str(kind.type))
def test_a_rule_without_its_member_is_a_problem(kind: Any) -> None:
    made = kind.compile(Rule(name="x", type=kind.type), "spec.rules[3]")
    assert isinstance(made, Problem)
    assert made.place.startswith("spec.rules[3].")


# MaxAge


@given(st.text(min_size=1, max_size=40), st.integers(0, 100), st.integers(1, 10_000_000))
def test_the_own_limit_is_the_formula(uid: str, jitter: int, seconds: int) -> None:
    u = Fraction(int.from_bytes(hashlib.sha256(uid.encode()).digest()[:8], "big"), 2**64)
    exact = Fraction(seconds) * (1 - Fraction(jitter, 100) * u)
    found = own_limit(timedelta(seconds=seconds), jitter, uid)
    assert 0 <= exact - Fraction(found // timedelta(microseconds=1), 10**6) < Fraction(1, 10**6)
    assert timedelta(0) <= found <= timedelta(seconds=seconds), "nobody is late"


def test_a_worked_own_limit() -> None:
    assert hashlib.sha256(b"abc").hexdigest().startswith("ba7816bf8f01cfea")
    share = 0xBA7816BF8F01CFEA / 2**64
    assert abs(own_limit(720 * HOUR, 10, "abc") - 720 * HOUR * (1 - 0.1 * share)) < timedelta(seconds=1)
    assert own_limit(720 * HOUR, 0, "abc") == 720 * HOUR


@pytest.mark.parametrize(
    ("age", "result", "hard"),
    [
        (timedelta(0), "pass", False),
        (10 * HOUR - timedelta(microseconds=1), "pass", False),
        (10 * HOUR, "fail", False),
        (12 * HOUR - timedelta(microseconds=1), "fail", False),
        (12 * HOUR, "fail", True),
        (-HOUR, "pass", False),
    ],
)
def test_max_age(age: timedelta, result: str, hard: bool) -> None:
    said = ask(RuleType.MAX_AGE, {"limit": "10h", "hardLimit": "12h"}, node(born=NOW - age))
    assert (said.result, said.hard) == (result, hard)


def test_max_age_says_when_it_is_due() -> None:
    born = NOW - HOUR
    assert ask(RuleType.MAX_AGE, {"limit": "10h"}, node(born=born)).until == born + 10 * HOUR
    assert ask(RuleType.MAX_AGE, {"limit": "1h", "hardLimit": "3h"}, node(born=born)).until == born + 3 * HOUR
    assert ask(RuleType.MAX_AGE, {"limit": "1h"}, node(born=born)).until is None
    assert "limit of 1h" in ask(RuleType.MAX_AGE, {"limit": "1h"}, node(born=born)).message


# Versions


@pytest.mark.parametrize(
    ("wanted", "reported", "result"),
    [
        (">=1.35.2", "v1.35.2", "pass"),
        (">=1.35.2", "1.35.10", "pass"),
        (">=1.35.2", "v1.35.1", "fail"),
        (">1.35.2", "v1.35.2", "fail"),
        ("<=1.35.2", "v1.35.2", "pass"),
        ("<1.35.2", "v1.35.2", "fail"),
        ("=1.35.2", "v1.35.2", "pass"),
        ("!=1.35.2", "v1.35.2", "fail"),
        (">=1.34, <1.36", "v1.35.2", "pass"),
        (">=1.34, <1.36", "v1.36.0", "fail"),
        (">=1.34,<1.36,!=1.35.2", "v1.35.2", "fail"),
        (">=v1.35.2", "1.35.2", "pass"),
        (">=1.35.2", "v1.35.2-eks-1a2b", "pass"),
        ("=1.35.2", "v1.35.2-gke.100", "pass"),
        ("<=1.35.2", "v1.35.2+k3s1", "pass"),
        (">=1.36.0", "v1.36.0-alpha.1", "fail"),
        (">=1.36.0", "v1.36.0-alpha.1.123+abcdef", "fail"),
        (">=1.36.0", "v1.36.0-beta.0", "fail"),
        (">=1.36.0", "v1.36.0-rc.1", "fail"),
        (">=1.36.0", "v1.36.0-RC1", "fail"),
        (">=1.36.0-beta.0", "v1.36.0-rc.0", "pass"),
        (">=1.36.0-rc.2", "v1.36.0-rc.10", "pass"),
        (">=1.36.0-beta.9", "v1.36.0-alpha.10", "fail"),
        (">=1.36.0-rc.1", "v1.36.0", "pass"),
        (">=1.36.0", "v1.36.0-alphabet", "pass"),
        (">=1.35.2", "", "error"),
        (">=1.35.2", "unknown", "error"),
        (">=1.35.2", "1.x", "error"),
        (">=1.35.2", "version 1.35.2", "error"),
        (">=1.35.2", "9" * 10_000, "error"),
    ],
)
def test_versions_of_the_kubelet(wanted: str, reported: str, result: str) -> None:
    said = ask(RuleType.VERSIONS, {"kubelet": wanted}, node(versions=Versions(kubelet=reported)))
    assert said.result == result, said.message
    assert result == "pass" or "kubelet" in said.message


@pytest.mark.parametrize(
    ("wanted", "reported", "result"),
    [
        (">=2.0.0", "containerd://2.0.0", "pass"),
        (">=2.0.0", "containerd://2.0.0-rc.1", "fail"),
        (">=1.7.0", "containerd://1.7.0~rc1", "fail"),
        (">=1.34", "cri-o://1.34.1", "pass"),
        (">=2.0.0", "containerd://Unknown", "error"),
        (">=2.0.0", "containerd://", "error"),
    ],
)
def test_versions_of_the_container_runtime(wanted: str, reported: str, result: str) -> None:
    said = ask(RuleType.VERSIONS, {"containerRuntime": wanted}, node(versions=Versions(container_runtime=reported)))
    assert said.result == result, said.message


@pytest.mark.parametrize(
    ("wanted", "reported", "result"),
    [
        (">=6.1.90", "6.1.90-1-amd64", "pass"),
        (">=6.1.90", "6.1.90", "pass"),
        (">=6.1.90", "6.1.9-300.fc40.x86_64", "fail"),
        (">6.1.90", "6.1.90-cloud", "fail"),
        (">=6.1", "6.1.0-rc1", "pass"),
        ("=6.1", "6.1.0.0", "pass"),
        (">=5.15.0.1", "5.15.0-1057-aws", "fail"),
        (">=6.1.90", "", "error"),
        (">=6.1.90", "Linux 6.1.90", "error"),
    ],
)
def test_a_kernel_counts_by_its_leading_numbers(wanted: str, reported: str, result: str) -> None:
    said = ask(RuleType.VERSIONS, {"kernel": wanted}, node(versions=Versions(kernel=reported)))
    assert said.result == result, said.message


def test_a_failing_component_outweighs_an_unknown_one() -> None:
    member = {"kubelet": ">=1.35.0", "kernel": ">=6.1"}
    assert ask(RuleType.VERSIONS, member, node(versions=Versions(kubelet="v1.34.0"))).result == "fail"
    assert ask(RuleType.VERSIONS, member, node(versions=Versions(kubelet="v1.36.0"))).result == "error"


@pytest.mark.parametrize("text", [">=1.x", "1.35", "~1.35", ">=", ">=1.35 || <1.20", ">=6.1.9o", ">=6.x", ""])
def test_what_is_no_comparison_is_named(text: str) -> None:
    said = comparisons(text, kernel=True)
    assert isinstance(said, str)
    assert "is no comparison" in said
    assert isinstance(comparisons(text, kernel=False), str) or text == ">=6.1.9o"


numbers = st.tuples(*[st.integers(0, 30)] * 3)
stages = st.sampled_from(["", "-alpha.1", "-beta.2", "-rc.0", "-rc.3", "+k3s1", "-eks-5"])


@given(numbers, stages, numbers, stages)
def test_versions_are_in_one_order(a: tuple[int, ...], a_end: str, b: tuple[int, ...], b_end: str) -> None:
    one, other = (parse(".".join(map(str, n)) + end) for n, end in ((a, a_end), (b, b_end)))
    assert one is not None and other is not None
    held = {sign: Comparison(sign, other, "").holds(one) for sign in (">", "<", "=", ">=", "<=", "!=")}
    assert sum(held[sign] for sign in (">", "<", "=")) == 1
    assert held[">="] is (held[">"] or held["="])
    assert held["<="] is (held["<"] or held["="])
    assert held["!="] is not held["="]
    if a != b:
        assert held["<"] is (a < b), "numbers count first"


@given(st.text(max_size=40))
def test_no_report_breaks_a_rule(text: str) -> None:
    parse(text)
    parse_kernel(text)
    machine = node(versions=Versions(kubelet=text, kernel=text, container_runtime=text), os_image=text)
    member = {"kubelet": ">=1", "kernel": ">=1", "containerRuntime": ">=1"}
    assert str(ask(RuleType.VERSIONS, member, machine).result) in ("pass", "fail", "error")
    assert str(ask(RuleType.IMAGE, {"allowed": ["a.*"]}, machine).result) in ("pass", "fail", "error")


# Image


@pytest.mark.parametrize(
    ("member", "image", "result"),
    [
        ({"allowed": ["Talos \\(v1\\.1[0-9].*\\)"]}, "Talos (v1.11.2)", "pass"),
        ({"allowed": ["Talos \\(v1\\.1[0-9].*\\)"]}, "Talos (v1.9.0)", "fail"),
        ({"allowed": ["Talos"]}, "Talos (v1.11.2)", "fail"),
        ({"allowed": ["Ubuntu.*", "Talos.*"]}, "Talos (v1.11.2)", "pass"),
        ({"allowed": [".*"], "forbidden": ["Ubuntu.*"]}, "Ubuntu 20.04", "fail"),
        ({"allowed": [".*"], "forbidden": ["Ubuntu"]}, "Ubuntu 20.04", "pass"),
        ({"allowed": ["a|b"]}, "ab", "fail"),
        ({"allowed": ["(?i)talos"]}, "TALOS", "pass"),
        ({"allowed": [".*"]}, "", "error"),
    ],
)
def test_image(member: dict[str, Any], image: str, result: str) -> None:
    assert ask(RuleType.IMAGE, member, node(os_image=image)).result == result


@pytest.mark.parametrize("pattern", ["(", "a)|(.*", "(?=x)", "((a{100}){100}){100}", "[z-a]", "*"])
@pytest.mark.parametrize("field", ["allowed", "forbidden"])
def test_a_bad_pattern_is_a_problem(pattern: str, field: str) -> None:
    member = {"allowed": ["ok"], "forbidden": ["ok"]} | {field: ["ok", pattern]}
    (found,) = world.problems(world.rule(RuleType.IMAGE, member))
    assert found.place == f"spec.rules[0].image.{field}[1]"
    assert "is no regular expression" in found.message


def test_patterns_take_linear_time() -> None:
    assert cel.full_match("(a+)+$", "a" * 5000 + "!") is False


# Marks


@pytest.mark.parametrize(
    ("member", "facts", "result"),
    [
        ({"requiredLabels": {"team": ""}}, {"labels": {"team": "x"}}, "pass"),
        ({"requiredLabels": {"team": ""}}, {"labels": {"team": ""}}, "pass"),
        ({"requiredLabels": {"team": ""}}, {}, "fail"),
        ({"requiredLabels": {"team": "a"}}, {"labels": {"team": "b"}}, "fail"),
        ({"requiredLabels": {"team": "a"}}, {"labels": {"team": "a"}}, "pass"),
        ({"requiredAnnotations": {"owner": "me"}}, {"annotations": {"owner": "me"}}, "pass"),
        ({"requiredAnnotations": {"owner": ""}}, {"labels": {"owner": "me"}}, "fail"),
        ({"forbiddenLabels": ["debug"]}, {"labels": {"debug": "no"}}, "fail"),
        ({"forbiddenLabels": ["debug=yes"]}, {"labels": {"debug": "no"}}, "pass"),
        ({"forbiddenLabels": ["debug=yes"]}, {"labels": {"debug": "yes"}}, "fail"),
        ({"forbiddenLabels": ["debug="]}, {"labels": {"debug": ""}}, "fail"),
        ({"forbiddenLabels": ["debug"]}, {"labels": {"debugger": ""}}, "pass"),
        ({"forbiddenTaints": ["debug"]}, {"taints": (taint("debug=x:NoSchedule"),)}, "fail"),
        ({"forbiddenTaints": ["debug=x"]}, {"taints": (taint("debug=x:NoSchedule"),)}, "fail"),
        ({"forbiddenTaints": ["debug=y"]}, {"taints": (taint("debug=x:NoSchedule"),)}, "pass"),
        ({"forbiddenTaints": ["debug:NoExecute"]}, {"taints": (taint("debug=x:NoSchedule"),)}, "pass"),
        ({"forbiddenTaints": ["debug:NoSchedule"]}, {"taints": (taint("debug=x:NoSchedule"),)}, "fail"),
        ({"forbiddenTaints": ["debug=x:NoSchedule"]}, {"taints": (taint("debug=x:NoSchedule"),)}, "fail"),
        ({"forbiddenTaints": ["debug=x:NoExecute"]}, {"taints": (taint("debug=x:NoSchedule"),)}, "pass"),
        (
            {"forbiddenTaints": ["debug=x:NoExecute"]},
            {"taints": (taint("debug=x:NoSchedule"), taint("debug=x:NoExecute"))},
            "fail",
        ),
        ({"forbiddenTaints": ["debug=x:NoExecute"]}, {"taints": (taint("debug=y:NoExecute"),)}, "pass"),
    ],
)
def test_marks(member: dict[str, Any], facts: dict[str, Any], result: str) -> None:
    assert ask(RuleType.MARKS, member, node(**facts)).result == result


def test_all_that_is_wrong_with_marks_is_said() -> None:
    member = {"requiredLabels": {"team": ""}, "forbiddenTaints": ["debug"], "forbiddenLabels": ["old"]}
    said = ask(RuleType.MARKS, member, node(labels={"old": "1"}, taints=(taint("debug:NoSchedule"),)))
    assert said.message == "label team is missing; label old is forbidden; taint debug is forbidden"


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("forbiddenTaints", "debug:NoExec"),
        ("forbiddenTaints", "debug:"),
        ("forbiddenTaints", ":NoExecute"),
        ("forbiddenTaints", "=x"),
        ("forbiddenLabels", "=x"),
        ("forbiddenLabels", " "),
    ],
)
def test_a_mark_that_nothing_could_bear_is_a_problem(field: str, text: str) -> None:
    (found,) = world.problems(world.rule(RuleType.MARKS, {field: ["ok", text]}))
    assert found.place == f"spec.rules[0].marks.{field}[1]"


@pytest.mark.parametrize("type_", [RuleType.MARKS, RuleType.VERSIONS])
def test_a_rule_that_names_nothing_is_a_problem(type_: RuleType) -> None:
    (found,) = world.problems(world.rule(type_, {}))
    assert found.remedy == "Name at least one."


# Conditions


def bad(type_: str = "KernelDeadlock", status: str = "True") -> dict[str, str]:
    return {"type": type_, "status": status}


@pytest.mark.parametrize(
    ("found", "wanted", "result"),
    [
        (condition("KernelDeadlock", "True", timedelta(minutes=15)), bad(), "fail"),
        (condition("KernelDeadlock", "True", timedelta(minutes=14, seconds=59)), bad(), "pass"),
        (condition("KernelDeadlock", "False", timedelta(hours=9)), bad(), "pass"),
        (condition("KernelDeadlock", "Unknown", timedelta(hours=9)), bad(), "pass"),
        (condition("KernelDeadlock", "Unknown", timedelta(hours=9)), bad(status="Unknown"), "fail"),
        (condition("KernelDeadlock", "True", None), bad(), "error"),
        (condition("KernelDeadlock", "False", None), bad(), "pass"),
        (condition("KernelDeadlock", "True", -timedelta(hours=1)), bad(), "pass"),
        (condition("Other", "True", timedelta(hours=9)), bad(), "skip"),
        (condition("Other", "True", timedelta(hours=9)), bad(status="False"), "skip"),
        (condition("Other", "True", timedelta(hours=9)), bad(status="Unknown"), "fail"),
    ],
)
def test_conditions(found: Condition, wanted: dict[str, str], result: str) -> None:
    said = ask(RuleType.CONDITIONS, {"sustainedFor": "15m", "bad": [wanted]}, node(conditions=(found,)))
    assert said.result == result, said.message


def test_an_absent_condition_is_unknown_since_birth() -> None:
    member = {"sustainedFor": "15m", "bad": [bad("Ready", "Unknown")]}
    young = node(born=NOW - timedelta(minutes=5))
    assert ask(RuleType.CONDITIONS, member, young).until == NOW + timedelta(minutes=10)
    assert ask(RuleType.CONDITIONS, member, node(born=NOW - timedelta(minutes=15))).result == "fail"


def test_several_conditions_together() -> None:
    member = {"sustainedFor": "15m", "bad": [bad("A"), bad("B"), bad("C")]}

    def said(*conditions: Condition) -> str:
        return str(ask(RuleType.CONDITIONS, member, node(conditions=conditions)).result)

    long = timedelta(hours=1)
    assert said(condition("A", "True", long), condition("B", "True", None)) == "fail"
    assert said(condition("A", "False", long), condition("B", "True", None)) == "error"
    assert said(condition("A", "False", long)) == "pass"
    assert said() == "skip"


def test_an_unknown_condition_does_not_hide_when_another_is_due() -> None:
    member = {"sustainedFor": "15m", "bad": [bad("A"), bad("B")]}
    machine = node(conditions=(condition("A", "True", None), condition("B", "True", timedelta(minutes=5))))
    said = ask(RuleType.CONDITIONS, member, machine)
    assert (said.result, said.until) == ("error", NOW + timedelta(minutes=10))
    assert ask(RuleType.CONDITIONS, member, machine, NOW + timedelta(minutes=10)).result == "fail"


# until is sound: before it the answer of no rule changes by time alone

ages = st.timedeltas(-timedelta(minutes=30), timedelta(hours=30))


@st.composite
def machines(draw: st.DrawFn) -> Instance:
    conditions = tuple(
        condition(type_, draw(st.sampled_from(["True", "False", "Unknown"])), draw(st.none() | ages))
        for type_ in draw(st.lists(st.sampled_from(["A", "B", "C"]), unique=True))
    )
    return node(uid=draw(st.text(min_size=1, max_size=8)), born=NOW - draw(ages), conditions=conditions)


@st.composite
def timed_rules(draw: st.DrawFn) -> tuple[RuleType, dict[str, Any]]:
    if draw(st.booleans()):
        limit = draw(st.integers(1, 1440))
        member: dict[str, Any] = {"limit": f"{limit}m", "jitterPercent": draw(st.integers(0, 100))}
        if draw(st.booleans()):
            member["hardLimit"] = f"{limit + draw(st.integers(0, 600))}m"
        return RuleType.MAX_AGE, member
    listed = draw(st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from(["True", "Unknown"])), min_size=1))
    return RuleType.CONDITIONS, {
        "sustainedFor": f"{draw(st.integers(0, 120))}m",
        "bad": [bad(type_, status) for type_, status in listed[:5]],
    }


@given(machines(), timed_rules(), st.floats(0, 0.999))
def test_until_is_sound(machine: Instance, rule: tuple[RuleType, dict[str, Any]], part: float) -> None:
    first = ask(*rule, machine)
    span = (first.until - NOW) if first.until is not None else timedelta(days=90)
    if first.until is not None:
        assert span > timedelta(0), "it lies ahead"
    later = ask(*rule, machine, NOW + span * part)
    assert (later.result, later.hard) == (first.result, first.hard)


@pytest.mark.parametrize("type_", [one.type for one in RULES])
def test_the_example_of_a_card_compiles(type_: RuleType) -> None:
    import yaml

    example = yaml.safe_load(BY_TYPE[type_].card.example)
    made = BY_TYPE[type_].compile(Rule.model_validate(example), "spec.rules[0]")
    assert not isinstance(made, Problem), made
