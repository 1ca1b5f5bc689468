"""A problem says what to do about it wherever it is told: condition, Event, log and `exuvia lint` have one source."""

from __future__ import annotations

from typing import Any

import pytest

from exuvia.app.statuses import _invalid
from exuvia.cli.linting import _problem
from exuvia.evaluate.policies import compile_policy
from exuvia.model.problems import HINTS, Problem
from exuvia.model.specs.security_policy import SecurityPolicy


def found(expression: str = "true", schedule: str = "@daily") -> Problem:
    spec: dict[str, Any] = {
        "target": {"selector": {}},
        "rules": [{"name": "r", "type": "Expression", "expression": {"expression": expression}}],
        "disruption": {"windows": {"allow": [{"schedule": schedule, "duration": "1h"}]}},
    }
    made = compile_policy(SecurityPolicy.parse({"metadata": {"name": "p", "uid": "u"}, "spec": spec}))
    assert isinstance(made, tuple)
    (one,) = made
    return one


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (
            {"schedule": "0 25 * * *"},
            "'0 25 * * *' is no schedule: Bad hour. Write minute, hour, day, month and weekday",
        ),
        ({"expression": "1 + 1"}, "the value must be true or false, this is int. Compare it with something"),
        ({"expression": "nothing.at.all"}, "An expression sees `object`, `instance`, `variables` and `now`"),
    ],
)
def test_the_remedy_is_told_everywhere(one: dict[str, str], words: str) -> None:
    problem = found(**one)
    ready = next(said for said in _invalid([problem]) if said.type == "Ready")
    assert words in str(problem)
    assert words in ready.message
    assert words in _problem(problem)


def test_a_remedy_of_its_own_comes_first_and_carets_come_last() -> None:
    hinted = next(iter(HINTS))
    own = Problem(place="spec.x", message=f"it {hinted}\n | x(\n | .^", remedy="Do this.")
    assert str(own) == f"spec.x: it {hinted}. Do this.\n | x(\n | .^"
    assert str(Problem(place="spec.x", message="is not set.")) == "spec.x: is not set."
