"""The arithmetic of the benchmarks, without a cluster and without a clock: what is measured is told rightly."""

from __future__ import annotations

from typing import Any

import pytest
from bench.figures import Spread
from bench.sizes import QUICK

from bench import figures, report
from exuvia.model import marks


def entry(verb: str, resource: str, name: str, *, code: int = 200, **body: Any) -> dict[str, Any]:
    """One line of the audit log."""
    return {
        "verb": verb,
        "stage": "ResponseComplete",
        "user": {"username": marks.SERVICE_ACCOUNT_USER},
        "objectRef": {"resource": resource, "name": name},
        "responseStatus": {"code": code},
        "requestObject": body,
    }


def test_a_percentile_is_a_value_that_was_measured() -> None:
    """Nearest rank: of 200 times the 99th percentile is the third longest."""
    values = [float(one) for one in range(1, 201)]
    assert figures.percentile(values, 50) == 100
    assert figures.percentile(values, 99) == 198
    assert figures.percentile([7.0], 99) == 7.0
    with pytest.raises(ValueError, match="no values"):
        figures.percentile([], 50)


def test_a_spread_is_told_in_milliseconds() -> None:
    """As many numbers as the quick form has single facts."""
    spread = Spread.of([0.01 * one for one in range(1, QUICK.singles + 1)])
    assert spread.wire() == {"count": 6, "p50_ms": 30.0, "p99_ms": 60.0, "max_ms": 60.0}


def test_writes_are_counted_until_the_first_cordon_of_each_machine() -> None:
    """Refused writes and what comes after the cordon do not count; the median over the machines is told."""
    log = []
    for machine in ("m1", "m2", "m-3"):
        operation = f"{machine}-0a1b2c3d-1"
        log += [entry("create", "quarantines", operation), entry("patch", "quarantines", operation)]
        log += [entry("patch", "quarantines", operation, code=409), entry("patch", "quarantines", operation)]
        log += [entry("patch", "nodes", machine, spec={"unschedulable": True})]
        log += [entry("patch", "quarantines", operation)]
    assert figures.writes_before_cordon(log, "quarantines") == 3
    with pytest.raises(ValueError, match="no values"):
        figures.writes_before_cordon(log, "rotations")


def test_calls_are_those_of_one_user_by_verb_and_resource() -> None:
    """Another's requests do not count."""
    other = entry("get", "nodes", "m1") | {"user": {"username": "alice"}}
    log = [entry("get", "nodes", "m1"), entry("get", "nodes", "m2"), other]
    assert figures.calls(log) == {"get nodes": 2}


def test_goals_are_judged_beside_the_bare_loop_of_the_same_run() -> None:
    """The ratio is a goal, and growth with the fleet may not be more than the bare loop's own."""

    def fleet(operator: float, bare: float) -> dict[str, Any]:
        spread = {
            form: {"count": 9, "p50_ms": operator, "p99_ms": operator, "max_ms": operator}
            for form in ("single", "burst")
        }
        loop = {form: {**one, "p50_ms": bare, "p99_ms": bare} for form, one in spread.items()}
        ratio = dict.fromkeys(("single", "burst"), figures.ratio(operator, bare))
        return {"Quarantine": {"writes": 4, "operator": spread, "bare": loop, "p99_ratio": ratio}}

    found = {"reaction": {"1000": fleet(60, 30), "5000": fleet(120, 30)}}
    told = {one.name: one.met for one in report.goals(found)}
    assert [met for name, met in told.items() if "to the bare loop's" in name] == [True, True, False, False]
    assert [met for name, met in told.items() if "growth" in name] == [False, False]


def test_a_footprint_is_held_against_the_limit_of_its_size() -> None:
    """200 MB at 1,000 machines, 300 MB and 5% of a core at 5,000; no goal is set for another size."""
    found = {
        "footprint": {"1000": {"rss_mb": 201, "idle_cpu_percent": 1}, "5000": {"rss_mb": 299, "idle_cpu_percent": 6}}
    }
    assert [one.met for one in report.goals(found)] == [False, True, False]
