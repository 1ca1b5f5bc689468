"""`exuvia lint`: every mistake with its line, before a manifest reaches a cluster."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.app.manifests import crds
from exuvia.cli import linting, phrasing
from tests.cli.calling import answer, call

GOOD = """\
apiVersion: exuvia.dev/v1alpha1
kind: SecurityPolicy
metadata: {name: workers}
spec:
  mode: Enforce
  target: {selector: {matchLabels: {pool: blue}}}
  action: Rotate
  rules:
  - {name: age, type: MaxAge, maxAge: {limit: 720h, hardLimit: 900h}}
  - name: no-debug
    type: Expression
    expression:
      expression: |
        !object.metadata.labels.exists(k, k.startsWith('debug'))
  - {name: image, type: Image, image: {allowed: ["Talos .*"]}}
  disruption:
    budgets:
    - {name: freeze, nodes: "0", schedule: "0 8 * * mon-fri", duration: 10h, timeZone: Europe/Berlin}
---
apiVersion: exuvia.dev/v1alpha1
kind: FleetGuard
metadata: {name: default}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: Not_Ours}
"""


def said(text: str) -> list[str]:
    return [f"{one.line} {one.place}: {one.message}" for one in linting.lint("f", text).mistakes]


def mistake(text: str, *, old: str, new: str) -> linting.Mistake:
    """The one mistake that a change makes."""
    assert old in text
    found = linting.lint("f", text.replace(old, new)).mistakes
    assert len(found) == 1, [str(one) for one in found]
    return found[0]


def test_good_manifests_pass_and_other_groups_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "good.yaml"
    file.write_text(GOOD)
    assert call("lint", file).stderr == "2 checked, 1 of other groups passed over: no mistake\n"
    assert answer("lint", file) == []


@pytest.mark.parametrize(
    ("old", "new", "line", "place", "words"),
    [
        ("mode: Enforce", "mode: Enforced", 5, "spec.mode", "must be `Audit` or `Enforce`: did you mean `Enforce`?"),
        ("mode: Enforce", "moode: Enforce", 5, "spec.moode", "did you mean `mode`?"),
        ("mode: Enforce", "mode: Enforce\n  suspend: 'true'", 6, "spec.suspend", "true or false, without quotes"),
        ("limit: 720h", "limit: 30d", 9, "spec.rules[0].maxAge.limit", "like 720h, 2h20m or 30s; 30d is 720h."),
        ("hardLimit: 900h", "hardLimit: 1h", 9, "spec.rules[0].maxAge", "`hardLimit` must not be below `limit`"),
        ("name: image, type", "name: age, type", 15, "spec.rules[2]", "stands in this list twice"),
        ("type: Image, image: {", "type: Image, maxAge: {limit: 1h}, image: {", 15, "spec.rules[2]", "and only then"),
        ('["Talos .*"]', '["Talos (.*"]', 15, "spec.rules[2].image.allowed[0]", "is meant literally with a backslash"),
        ('nodes: "0"', "nodes: 0", 18, "spec.disruption.budgets[0].nodes", 'write it in quotes, "0"'),
        ("mon-fri", "mon-fry", 18, "spec.disruption.budgets[0]", "Write minute, hour, day, month and weekday"),
        ("Europe/Berlin", "Europe/Berln", 18, "spec.disruption.budgets[0]", "no IANA time zone"),
        (" duration: 10h,", "", 18, "spec.disruption.budgets[0]", "must be set together"),
        ("{name: default}", "{name: other}", 20, "", "one FleetGuard, named `default`"),
        ("metadata: {name: workers}", "metadata: {}", 3, "metadata.name", "must be a name"),
        ("v1alpha1\nkind: FleetGuard", "v1\nkind: FleetGuard", 20, "apiVersion", "must be exuvia.dev/v1alpha1"),
        ("kind: FleetGuard", "kind: CloneScan", 21, "kind", "no kind that this version serves"),
        ("kind: FleetGuard", "kind: FleetGard", 21, "kind", "did you mean `FleetGuard`?"),
        (".dev/v1alpha1\nkind: FleetG", ".io/v1alpha1\nkind: FleetG", 20, "apiVersion", "must be exuvia.dev/v1alpha1"),
        ("apiVersion: exuvia.dev/v1alpha1\nkind: FleetG", "kind: FleetG", 20, "apiVersion", "must be exuvia.dev"),
        ("name: age, type", "name: Max_Age, type", 9, "spec.rules[0].name", "lower-case letters, digits and '-'"),
        ("name: age, type", "name: y, type", 9, "spec.rules[0].name", '`y` as a boolean; write it in quotes: "y"'),
        ("name: workers}", "name: n}", 3, "metadata.name", 'YAML reads `n` as a boolean; write it in quotes: "n"'),
        ("name: workers}", "name: 12e3}", 3, "metadata.name", 'this is a number: write it in quotes, "12e3"'),
        ("{pool: blue}", "{on: blue}", 6, "spec.target.selector.matchLabels.on", "YAML reads `on` as a boolean"),
        ("{pool: blue}", "{pool: 1.10}", 6, "spec.target.selector.matchLabels.pool", 'write it in quotes, "1.10"'),
        ("{name: workers}", "{name: workers, labels: {a: yes}}", 3, "metadata.labels.a", "`yes` as a boolean"),
        ("mode: Enforce", "mode: On", 5, "spec.mode", "must be `Audit` or `Enforce`, and YAML reads `On` as true"),
        ("action: Rotate", "action: Rotate\n  severity: hihg", 8, "spec.severity", "did you mean `High`?"),
        ("limit: 720h", "jitterPercent: '1', limit: 1h", 9, "spec.rules[0].maxAge.jitterPercent", "1 without quotes"),
        ("limit: 720h", "jitterPercent: 101, limit: 1h", 9, "spec.rules[0].maxAge.jitterPercent", "100 or less"),
        ('["Talos .*"]', '"Talos"', 15, "spec.rules[2].image.allowed", 'a list, and this is "Talos": write ["Talos"]'),
        ('nodes: "0"', 'nodes: "ten"', 18, "spec.disruption.budgets[0].nodes", "a number of machines or a share"),
        ("  action: Rotate", "  action: Rotate\n  action: Alert", 8, "spec.action", "twice, before on line 7"),
    ],
)  # fmt: skip
def test_each_mistake_has_its_line_and_place(old: str, new: str, line: int, place: str, words: str) -> None:
    found = mistake(GOOD, old=old, new=new)
    assert (found.line, found.place) == (line, place), str(found)
    assert words in found.message


def test_every_mistake_is_a_sentence_in_our_own_words() -> None:
    """Neither a pattern nor a type of a language is shown."""
    value = {"a": [1, None, "x"]}
    for field in yaml.safe_load(GOOD.split("---")[0])["spec"]:
        for wrong in ("x", 7, 1.5, True, None, [], ["x"], [None], value, [value]):
            policy = yaml.safe_load(GOOD.split("---")[0])
            policy["spec"][field] = wrong
            for one in linting.lint("f", yaml.safe_dump(policy)).mistakes:
                assert not re.search(r"Input should|String should|Tuple|valid \w+|\^|object has", one.message), str(one)
                assert one.message.split("\n")[0].rstrip().endswith((".", "?", ")")), str(one)


def test_every_pattern_of_the_schema_has_words() -> None:
    """Durations and times are put into words by the model itself."""
    durations = re.compile(r"h\|m\|s")
    for kind in crds.DEFINITIONS:
        for pattern in patterns(kind.spec.model_json_schema(by_alias=True)):
            assert pattern in phrasing.PATTERNS or phrasing.choices(pattern) or durations.search(pattern), pattern


def patterns(schema: object) -> set[str]:
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    own = {schema["pattern"]} if isinstance(schema, dict) and isinstance(schema.get("pattern"), str) else set()
    return own.union(*(patterns(one) for one in inner))


def test_numbers_to_the_base_of_60_are_text_to_the_server() -> None:
    assert said(GOOD.replace("{pool: blue}", "{pool: 1:30}")) == []


def test_cel_has_line_and_caret_in_the_file() -> None:
    found = mistake(GOOD, old="k.startsWith('debug'))", new="k.startsWith('debug'))\n          &&& true")
    assert found.line == 15
    assert found.message.split("\n")[0].startswith("line 2, column 5: Syntax error")
    assert "Mend the expression where the caret stands." in found.message.split("\n")[0]
    assert found.message.endswith("^")


def test_what_is_not_served_is_named_with_the_way_out() -> None:
    new = "name: image, type: Reports, reports: {source: kube-bench}}"
    found = mistake(GOOD, old='name: image, type: Image, image: {allowed: ["Talos .*"]}}', new=new)
    assert found.place == "spec.rules[2].type"
    assert "Take out the rule image" in found.message
    assert found.message.endswith("(NotSupported)")


def test_exit_code_and_lines_of_text(tmp_path: Path) -> None:
    file = tmp_path / "bad.yml"
    file.write_text(GOOD.replace("mode: Enforce", "mode: Yes"))
    result = call("lint", tmp_path, code=1)
    assert result.stdout.startswith(f"{file}:5: SecurityPolicy workers: spec.mode: ")
    assert [one["line"] for one in answer("lint", file, code=1)] == [5]


def test_lists_are_opened_and_stdin_is_read() -> None:
    policy = yaml.safe_load(GOOD.split("---")[0])
    policy["spec"]["mode"] = "Off"
    text = yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [policy]})
    assert "spec.mode" in call("lint", "-", stdin=text, code=1).stdout


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    assert "cannot be read" in call("lint", tmp_path / "missing.yaml", code=2).stderr
    (tmp_path / "image.yaml").write_bytes(b"\xff\xfe\x00")
    assert "no text in UTF-8" in call("lint", tmp_path / "image.yaml", code=2).stderr


def test_what_is_no_yaml_is_a_mistake_on_its_line() -> None:
    assert said("a: b\n c: [") != []
    expected = "2 : this is no YAML: while parsing a block node expected the node content, but found '}'."
    assert said("a: 1\nb: }") == [expected]


def test_bombs_are_refused() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
    )
    assert "aliases counted" in said(bomb)[0]
    assert "nested too deeply" in said("[" * 5000)[0]


@settings(deadline=None)
@given(st.text(max_size=200))
def test_never_raises_for_any_text(text: str) -> None:
    for one in linting.lint("f", text).mistakes:
        assert one.line >= 1


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.sampled_from(["mode", "rules", "target", "disruption", "drain", "quarantine"]), _VALUES)
def test_never_raises_for_any_value_of_a_field(field: str, value: object) -> None:
    policy = yaml.safe_load(GOOD.split("---")[0])
    policy["spec"][field] = value
    assert linting.lint("f", yaml.safe_dump(policy)).ours == 1
