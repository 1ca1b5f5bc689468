"""Opt-outs: which marks protect, how long, and that what cannot be read protects (operations.md; safety.md, P13)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exuvia.decide import optouts
from exuvia.model import marks
from exuvia.model.instances import Instance
from exuvia.model.pods import Pod
from exuvia.model.reasons import BlockedReason

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BORN = NOW - timedelta(hours=2)


def _node(**facts: dict[str, str]) -> Instance:
    return Instance(name="worker-1", uid="u", born=BORN, **facts)


def _pod(**facts: object) -> Pod:
    said: dict[str, object] = {"namespace": "shop", "name": "db", "uid": "p", "created": BORN, "started": BORN}
    return Pod(**(said | facts))


@pytest.mark.parametrize("key", marks.OPT_OUTS)
@pytest.mark.parametrize("where", ["labels", "annotations"])
@pytest.mark.parametrize(
    "value", ["true", "", "yes", "True", "FALSE", "3h", "1d", "2026-11-23T12:00:01Z", "-", "never"]
)
def test_protects(key: str, where: str, value: str) -> None:
    found = optouts.node_opt_out(_node(**{where: {key: value}}), NOW)
    assert found is not None
    assert found.reason is BlockedReason.OPTED_OUT
    assert key in found.message
    assert "worker-1" in found.message
    assert optouts.pod_opt_out(_pod(**{where: {key: value}}), NOW) is not None


@pytest.mark.parametrize("key", marks.OPT_OUTS)
@pytest.mark.parametrize(
    "value",
    ["false", "0", "0s", "-1h", "2h", "119m59s", "1h59m59.5s", "2026-11-23T12:00:00Z", "2020-01-01T00:00:00+02:00"],
)
def test_does_not_protect(key: str, value: str) -> None:
    assert optouts.node_opt_out(_node(annotations={key: value}), NOW) is None
    assert optouts.pod_opt_out(_pod(annotations={key: value}), NOW) is None


def test_what_cannot_be_read_is_named() -> None:
    found = optouts.node_opt_out(_node(labels={marks.DO_NOT_DISRUPT: "1d"}), NOW)
    assert found is not None
    assert "'1d'" in found.message
    assert "neither true, false, a duration nor a time" in found.message


def test_a_duration_counts_from_the_nodes_creation_and_says_when_it_ends() -> None:
    found = optouts.node_opt_out(_node(annotations={marks.DO_NOT_DISRUPT: "2h30m"}), NOW)
    assert found is not None
    assert found.next == BORN + timedelta(hours=2, minutes=30)


def test_a_duration_counts_from_the_pods_start_and_has_not_begun_before() -> None:
    annotations = {"karpenter.sh/do-not-disrupt": "10m"}
    assert optouts.pod_opt_out(_pod(annotations=annotations, started=NOW - timedelta(minutes=11)), NOW) is None
    assert optouts.pod_opt_out(_pod(annotations=annotations, started=None), NOW) is not None


def test_of_several_marks_the_one_that_protects_longest_is_named() -> None:
    annotations = {marks.DO_NOT_DISRUPT: "3h", "karpenter.sh/do-not-disrupt": "true", "cluster.x-k8s.io/paused": "4h"}
    found = optouts.node_opt_out(_node(annotations=annotations), NOW)
    assert found is not None
    assert "karpenter.sh/do-not-disrupt" in found.message
    assert found.next is None


def test_one_that_ended_does_not_hide_one_that_did_not() -> None:
    annotations = {marks.DO_NOT_DISRUPT: "false", "cluster.x-k8s.io/skip-remediation": ""}
    assert optouts.node_opt_out(_node(annotations=annotations), NOW) is not None


@pytest.mark.parametrize(("value", "protects"), [("true", False), ("false", True), ("", True), ("maybe", True)])
def test_safe_to_evict_reads_the_other_way_round(value: str, protects: bool) -> None:
    said = optouts.pod_opt_out(_pod(annotations={marks.SAFE_TO_EVICT: value}), NOW)
    assert (said is not None) is protects
    assert optouts.pod_opt_out(_pod(), NOW) is None


def test_safe_to_evict_says_nothing_of_nodes() -> None:
    assert optouts.node_opt_out(_node(annotations={marks.SAFE_TO_EVICT: "false"}), NOW) is None


def test_marks_that_we_set_ourselves_do_not_count() -> None:
    node = _node(annotations=dict.fromkeys(marks.FOREIGN_OPT_OUTS, "true"))
    assert optouts.node_opt_out(node, NOW) is not None
    assert optouts.node_opt_out(node, NOW, ours=marks.FOREIGN_OPT_OUTS) is None


@given(st.text(max_size=80))
def test_only_what_is_understood_lets_go(value: str) -> None:
    found = optouts.node_opt_out(_node(annotations={marks.DO_NOT_DISRUPT: value}), NOW)
    understood = value == "false" or optouts.duration(value) is not None or value[:4].isdecimal()
    assert found is not None or understood


@given(st.integers(min_value=0, max_value=10**30), st.sampled_from(["ns", "us", "ms", "s", "m", "h"]))
def test_durations_of_any_length_are_read_or_protect(count: int, unit: str) -> None:
    found = optouts.node_opt_out(_node(annotations={marks.DO_NOT_DISRUPT: f"{count}{unit}"}), NOW)
    nanoseconds = count * {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}[unit]
    age = 2 * 3600 * 10**9
    if abs(nanoseconds - age) > 10**6:
        assert (found is not None) is (nanoseconds > age)
