"""CEL: what expressions see, what an error is, and how a problem names its place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exuvia.evaluate import cel, judge
from exuvia.evaluate.expressions import Outcome, Programs, instance_seen
from exuvia.model.specs.security_policy import RuleType
from tests.evaluate import world

OBJECT = {
    "metadata": {
        "name": "worker-7",
        "creationTimestamp": "2026-11-25T02:00:00Z",
        "labels": {"debug.example.org/x": ""},
    },
    "spec": {"unschedulable": True},
    "status": {"nodeInfo": {"kubeletVersion": "v1.35.2"}, "capacity": {"memory": "16Gi", "cpu": "3500m"}},
}
INSTANCE = {
    "kind": "Node",
    "name": "worker-7",
    "uid": "A",
    "providerID": "x://1",
    "pool": "p",
    "zone": "z",
    "born": datetime(2026, 11, 25, 2, tzinfo=UTC),
}


def evaluated(text: str, **variables: Any) -> cel.Answer:
    program = cel.compile_(text, "any")
    assert isinstance(program, cel.Program), program
    seen = cel.activation(object_=OBJECT, instance=INSTANCE, now=world.NOW, variables=variables)
    return program.evaluate(seen)


@pytest.mark.parametrize(
    "text",
    [
        "object.metadata.name == 'worker-7'",
        "instance.pool == 'p' && instance.zone == 'z' && instance.uid == 'A' && instance.providerID == 'x://1'",
        "now == timestamp('2026-11-25T12:00:00Z')",
        "(now - timestamp(object.metadata.creationTimestamp)).getHours() == 10",
        "variables.n == 3",
        "now - instance.born > duration('9h59m') && instance.born < now",
        "timestamp(instance.born) == instance.born && string(instance.born) == '2026-11-25T02:00:00Z'",
        "object.metadata.labels.exists(k, k.startsWith('debug.example.org/'))",
        "bool(object.spec.unschedulable)",
        "!has(object.spec.taints)",
        "true || object.nope",
        "semver('1.9.0').isLessThan(semver('1.10.0'))",
        "semver('1.0.0-rc.1').isLessThan(semver('1.0.0'))",
        "semver('1.0.0-alpha.9').isLessThan(semver('1.0.0-alpha.10'))",
        "semver('1.0.0-1').isLessThan(semver('1.0.0-alpha'))",
        "semver('1.0.0+a').compareTo(semver('1.0.0+b')) == 0",
        "semver('2.3.4').major() == 2 && semver('2.3.4').minor() == 3 && semver('2.3.4').patch() == 4",
        "isSemver('1.2.3') && !isSemver('v1.2.3') && !isSemver('1.2')",
        "isSemver('1.2.3-a.1+b.2') && !isSemver('1.2.3-01') && !isSemver('1.2.3-a..b') && !isSemver('1.2.3+a..b')",
        "!isSemver('1.2.3\\n') && !isSemver('1.2.\u0663') && !isSemver('01.2.3')",
        "!isSemver('99999999999999999999.0.0') && !isSemver('1.0.0-99999999999999999999')",
        "isSemver('1.2.3', false) && !isSemver('v1.2.3', false)",
        "semver(object.status.nodeInfo.kubeletVersion, true).compareTo(semver('1.35.2')) == 0",
        "semver('v1', true).compareTo(semver('1.0.0')) == 0 && semver('1.2', true).compareTo(semver('1.2.0')) == 0",
        "semver('01.02.003', true).compareTo(semver('1.2.3')) == 0 && semver('00.0', true).major() == 0",
        "semver('v1.2.03-rc.1+x', true).compareTo(semver('1.2.3-rc.1')) == 0",
        "semver('1.2.00-rc.1', true).compareTo(semver('1.2.0-rc.1')) == 0",
        "isSemver('v1.2', true) && !isSemver('vv1.2', true) && !isSemver('V1.2', true) && !isSemver(' 1.2', true)",
        "!isSemver('1.2-rc.1', true) && !isSemver('1+x', true) && !isSemver('', true) && !isSemver('v', true)",
        "!isSemver('1..2', true) && !isSemver('1.2.3.4', true) && !isSemver('1.2.3-01', true)",
        "semver('v1.35.2-eks-1a2b', true).isLessThan(semver('1.35.2'))",
        "quantity(object.status.capacity.memory).isGreaterThan(quantity('16G'))",
        "quantity('1Gi').compareTo(quantity('1024Mi')) == 0",
        "quantity('3500m').isLessThan(quantity('4'))",
        "quantity('1e3').asInteger() == 1000",
        "quantity('1.5').asApproximateFloat() == 1.5",
        "quantity('1Ki').add(quantity('24')).sub(quantity('48')).asInteger() == 1000",
        "isQuantity('500m') && !isQuantity('500mm') && !isQuantity('')",
    ],
)
def test_what_is_true(text: str) -> None:
    assert evaluated(text, n=3) == cel.Answer(value=True)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("object.nope == 1", "nope"),
        ("1 / 0 > 0", "divide by zero"),
        ("variables.nope", "nope"),
        ("semver('nope').major() > 0", "'nope' is no semantic version"),
        ("semver('v1.2.3', false).major() > 0", "'v1.2.3' is no semantic version"),
        ("semver('1.2-rc', true).major() > 0", "a short one has no suffix"),
        ("quantity('x').asInteger() > 0", "'x' is no quantity"),
        ("quantity('1Gi\\n').asInteger() > 0", "is no quantity"),
        ("quantity('1.5').asInteger() > 0", "is no integer"),
        ("semver('1.0.0').isLessThan(quantity('1'))", "cannot be compared"),
        ("object.metadata.name < 3", "no matching overload"),
        ("timestamp(object.metadata.name) < now", "timestamp"),
        ("'a'.matches('(')", "missing )"),
        (f"[{','.join('1' * 200)}].all(a, [{','.join('1' * 200)}].all(b, a == b))", "iteration"),
    ],
)
def test_an_error_is_a_value(text: str, word: str) -> None:
    said = evaluated(text)
    assert said.value is None
    assert word.lower() in said.error.lower()
    assert "\n" not in said.error


@pytest.mark.parametrize(
    ("text", "wanted", "said"),
    [
        ("1 + ", "bool", "line 1, column 5: Syntax error"),
        ("true &&\n  nope", "bool", "line 2, column 3: undeclared reference to 'nope'"),
        ("foo(1)", "bool", "line 1, column 4: undeclared reference to 'foo'"),
        ("1 + 'a' == 2", "bool", "line 1, column 3: found no matching overload"),
        ("1", "bool", "the value must be true or false, this is int"),
        ("object.spec.unschedulable", "bool", "Write `bool(object.spec.unschedulable)`"),
        ("true", "string", "the value must be a string, this is bool"),
        ("object.metadata.name", "string", "Write `string(object.metadata.name)`"),
    ],
)
def test_what_does_not_compile_is_named_with_its_place(text: str, wanted: str, said: str) -> None:
    problem = cel.compile_(text, wanted)
    assert isinstance(problem, str)
    assert said in problem


def test_a_problem_shows_where_with_a_caret() -> None:
    problem = cel.compile_("true && nope", "bool")
    assert isinstance(problem, str)
    assert problem.splitlines()[1:] == [" | true && nope", " | ........^"]


@given(st.text(max_size=60))
def test_no_text_breaks_the_compiler(text: str) -> None:
    assert isinstance(cel.compile_(text, "bool"), str | cel.Program)


def outcome(expression: str, message: str | None = None, variables: Any = (), **more: Any) -> Outcome:
    member = {"expression": expression} | ({"messageExpression": message} if message else {})
    made = world.policy(world.rule(RuleType.EXPRESSION, member, **more), variables=list(variables))
    return Programs(made.spec).evaluate(OBJECT, INSTANCE, world.NOW)["expression"]


def test_variables_are_shared_and_build_on_each_other() -> None:
    hours = {"name": "hours", "expression": "(now - timestamp(object.metadata.creationTimestamp)).getHours()"}
    twice = {"name": "twice", "expression": "variables.hours * 2"}
    assert outcome("variables.twice == 20 && variables.hours == 10", variables=[hours, twice]) == Outcome(True)
    assert outcome("variables.twice == 20", variables=[twice, hours]).compliant is None, "in order"


@pytest.mark.parametrize(
    "expression",
    [
        "variables.age > duration('9h') && variables.age < duration('11h')",
        "now - variables.born == variables.age",
        "variables.late < now + duration('1h') && variables.n == 3",
        "variables.age.getHours() == 10",
    ],
)
def test_variables_may_hold_moments_and_spans(expression: str) -> None:
    variables = [
        {"name": "born", "expression": "timestamp(object.metadata.creationTimestamp)"},
        {"name": "age", "expression": "now - variables.born"},
        {"name": "late", "expression": "instance.born + variables.age"},
        {"name": "n", "expression": "3"},
    ]
    assert outcome(expression, variables=variables) == Outcome(True)


def test_a_time_of_unknown_type_breaks_only_who_reads_it() -> None:
    variables = [{"name": "hidden", "expression": "[now]"}, {"name": "n", "expression": "3"}]
    assert outcome("variables.n == 3", variables=variables) == Outcome(True)
    said = outcome("variables.hidden[0] == now", variables=variables)
    assert said.compliant is None
    assert "variables.hidden: a time of unknown type" in said.message


def test_a_moment_is_not_compared_with_a_number() -> None:
    variables = [{"name": "age", "expression": "now - instance.born"}]
    found = {one.place: one.message for one in world.problems(_rule("variables.age > 3"), variables=variables)}
    assert "line 1, column 15: found no matching overload" in found["spec.rules[0].expression.expression"]
    variables = [*variables, {"name": "old", "expression": "variables.age > 3"}]
    found = {one.place: one.message for one in world.problems(_rule("true"), variables=variables)}
    assert "found no matching overload" in found["spec.variables[1].expression"]


def _rule(expression: str) -> Any:
    return world.rule(RuleType.EXPRESSION, {"expression": expression})


def test_an_instance_as_expressions_see_it_has_a_moment_of_birth() -> None:
    seen = instance_seen(world.node(born=world.NOW - timedelta(hours=30)))
    made = world.policy(_rule("now - instance.born > duration('24h') && instance.kind == 'Node'"))
    assert Programs(made.spec).evaluate(OBJECT, seen, world.NOW) == {"expression": Outcome(True)}


def test_a_broken_variable_breaks_only_who_reads_it() -> None:
    broken = {"name": "broken", "expression": "object.nope"}
    assert outcome("true", variables=[broken]) == Outcome(True)
    said = outcome("variables.broken == 1", variables=[broken])
    assert said.compliant is None
    assert 'variables.broken: NOT_FOUND: Key not found in map : "nope"' in said.message


def test_the_message_is_an_expression_too() -> None:
    message = "'kept debug labels on ' + object.metadata.name"
    assert outcome("false", message) == Outcome(False, "kept debug labels on worker-7")
    assert outcome("true", message) == Outcome(True)
    assert outcome("false") == Outcome(False, "the expression is false")
    assert outcome("false", "string(object.nope)") == Outcome(False, "the expression is false")
    assert outcome("false", "'a\\n  b' + 'c'") == Outcome(False, "a bc")
    long = outcome("false", "'" + "x" * 2000 + "'")
    assert len(long.message) == cel.MESSAGE_LIMIT


@pytest.mark.parametrize(
    ("failure_policy", "verdict"), [(None, "unknown"), ("Ignore", "unknown"), ("Fail", "violating")]
)
def test_the_failure_policy_says_what_an_error_counts_as(failure_policy: str | None, verdict: str) -> None:
    more = {"failurePolicy": failure_policy} if failure_policy else {}
    made = world.compiled(world.rule(RuleType.EXPRESSION, {"expression": "object.nope == 1"}, **more))
    answers = {"expression": outcome("object.nope == 1", **more)}
    said = judge.judge(made, world.node(), answers, world.NOW)
    assert said.verdict == verdict
    assert "nope" in said.findings[0].message
    stopped = {"expression": Outcome(None, judge.STOPPED + "too much time")}
    assert judge.judge(made, world.node(), stopped, world.NOW).verdict == "unknown", "stopped is never a fail"


def test_without_an_answer_an_expression_is_unknown() -> None:
    made = world.compiled(world.rule(RuleType.EXPRESSION, {"expression": "true"}))
    assert judge.judge(made, world.node(), {}, world.NOW).verdict == "unknown"


def test_a_policy_knows_whether_time_changes_its_expressions() -> None:
    def uses_now(expression: str, **more: Any) -> bool:
        return world.compiled(world.rule(RuleType.EXPRESSION, {"expression": expression}), **more).uses_now

    old = "now - timestamp(object.metadata.creationTimestamp) > duration('1h')"
    assert uses_now(old)
    assert uses_now("bool(variables.old)", variables=[{"name": "old", "expression": old}])
    assert not uses_now("true")


def test_problems_of_expressions_name_field_line_and_column() -> None:
    rule = world.rule(RuleType.EXPRESSION, {"expression": "true", "messageExpression": "1 +"})
    variables = [{"name": "a", "expression": "nope"}, {"name": "a", "expression": "1"}]
    found = {one.place: one.message for one in world.problems(rule, variables=variables)}
    assert "line 1, column 4" in found["spec.rules[0].expression.messageExpression"]
    assert "undeclared reference to 'nope'" in found["spec.variables[0].expression"]
    assert "the name a is there twice" in found["spec.variables[1].expression"]


def test_moments_are_timestamps() -> None:
    assert evaluated("now + duration('1h')").value == datetime(2026, 11, 25, 13, tzinfo=UTC)
    assert evaluated("now - timestamp('2026-11-25T11:00:00Z')").value == timedelta(hours=1)
