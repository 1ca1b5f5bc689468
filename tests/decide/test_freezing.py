"""Which treatment a pod gets, what that does to its labels, and what keeps the isolation from being whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exuvia.decide import freezing
from exuvia.decide.freezing import Treatment
from exuvia.model import marks
from exuvia.model.pods import DisruptionBudget, Owner, Pod
from exuvia.model.quarantine_views import NetworkPolicyFacts, OwnPlace
from exuvia.model.specs.common import LabelSelector
from exuvia.model.specs.security_policy import Workloads

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
UID = "quarantine-uid"
OWNERS = ("ReplicaSet", "ReplicationController", "StatefulSet", "Job", "DaemonSet", "Foo", "")


def _pod(name: str = "cart", owner: str = "ReplicaSet", **fields: Any) -> Pod:
    controller = Owner(api_version="apps/v1", kind=owner, name="it", uid="it") if owner else None
    base = {"namespace": "shop", "name": name, "uid": f"uid-{name}", "created": NOW, "labels": {"app": name}}
    return Pod(**{**base, "owner": controller, **fields})


def _policy(name: str, namespace: str = "shop", **fields: Any) -> NetworkPolicyFacts:
    return NetworkPolicyFacts(namespace=namespace, name=name, **fields)


OURS = _policy("ours", quarantine=UID)


@pytest.mark.parametrize("owner", OWNERS)
def test_freezing_takes_only_what_an_owner_replaces(owner: str) -> None:
    expected = Treatment.FROZEN if owner in ("ReplicaSet", "ReplicationController") else Treatment.UNAVAILABLE
    assert freezing.treatment(_pod(owner=owner), Workloads.FREEZE, OwnPlace()) is expected


@pytest.mark.parametrize("owner", OWNERS)
def test_evicting_takes_all_but_daemon_sets(owner: str) -> None:
    expected = Treatment.UNAVAILABLE if owner == "DaemonSet" else Treatment.EVICT
    assert freezing.treatment(_pod(owner=owner), Workloads.EVICT, OwnPlace()) is expected


@pytest.mark.parametrize("workloads", list(Workloads))
@pytest.mark.parametrize(
    "fields",
    [
        {"mirror": True},
        {"owned_by_node": True},
        {"phase": "Failed"},
        {"uid": "our-pod"},
        {"namespace": "exuvia-system", "service_account": "exuvia"},
    ],
)
def test_what_is_left_alone_is_so_in_every_mode(workloads: Workloads, fields: dict[str, Any]) -> None:
    own = OwnPlace(pod_uid="our-pod", node_name="worker-7")
    assert freezing.treatment(_pod(**fields), workloads, own) is Treatment.LEFT_ALONE


def test_a_pod_of_our_namespace_that_is_not_ours_is_treated() -> None:
    other = _pod(namespace="exuvia-system", service_account="default")
    assert freezing.treatment(other, Workloads.FREEZE, OwnPlace()) is Treatment.FROZEN


def test_one_that_came_after_the_marks_keeps_its_labels() -> None:
    late = _pod(created=NOW + timedelta(seconds=1))
    assert freezing.treatment(late, Workloads.FREEZE, OwnPlace(), NOW) is Treatment.UNAVAILABLE
    assert freezing.treatment(_pod(), Workloads.FREEZE, OwnPlace(), NOW) is Treatment.FROZEN


@given(
    labels=st.dictionaries(st.sampled_from(("app", "tier", marks.QUARANTINE_POD_LABEL)), st.sampled_from(("a", UID))),
    given_=st.sampled_from(list(Treatment)),
)
def test_changes_hold_once_they_were_made(labels: dict[str, str], given_: Treatment) -> None:
    pod = _pod(labels=labels)
    changes = freezing.label_changes(pod, given_, UID)
    after = {key: value for key, value in {**labels, **changes}.items() if value is not None}
    assert freezing.label_changes(_pod(labels=after), given_, UID) == {}
    if given_ is Treatment.FROZEN:
        assert after == {marks.QUARANTINE_POD_LABEL: UID}
    if given_ is Treatment.LEFT_ALONE:
        assert after == labels
    if given_ in (Treatment.UNAVAILABLE, Treatment.EVICT):
        assert after == {**labels, marks.QUARANTINE_POD_LABEL: UID}


@pytest.mark.parametrize(
    ("owner", "given_", "leaves"),
    [
        ("StatefulSet", Treatment.UNAVAILABLE, True),
        ("Job", Treatment.UNAVAILABLE, True),
        ("DaemonSet", Treatment.UNAVAILABLE, False),
        ("", Treatment.UNAVAILABLE, False),
        ("ReplicaSet", Treatment.FROZEN, False),
        ("ReplicaSet", Treatment.EVICT, True),
        ("", Treatment.EVICT, True),
        ("StatefulSet", Treatment.LEFT_ALONE, False),
    ],
)
def test_who_leaves_once_sealed(owner: str, given_: Treatment, leaves: bool) -> None:
    assert freezing.leaves_once_sealed(_pod(owner=owner), given_) is leaves
    assert freezing.leaves_once_sealed(_pod(owner=owner, phase="Succeeded"), given_) is False


def test_a_budget_is_broken_when_more_go_than_it_allows() -> None:
    pods = [_pod("a"), _pod("b"), _pod("c", namespace="other")]
    both = DisruptionBudget(namespace="shop", name="all", selects_all=True, allowed=1)
    one = DisruptionBudget(namespace="shop", name="a", match_labels=(("app", "a"),), allowed=1)
    assert freezing.broken_budgets(pods, [both, one]) == {"uid-a": "shop/all", "uid-b": "shop/all"}
    assert freezing.broken_budgets(pods[:1], [both, one]) == {}


@pytest.mark.parametrize(
    ("fields", "selects"),
    [
        ({}, False),
        ({"selects_all": True}, True),
        ({"match_labels": (("app", "cart"),)}, True),
        ({"match_labels": (("app", "other"),)}, False),
        ({"match_expressions": (("app", "In", ("cart", "x")),)}, True),
        ({"match_expressions": (("app", "DoesNotExist", ()),)}, False),
        ({"match_labels": (("app", "cart"),), "match_expressions": (("tier", "Exists", ()),)}, False),
    ],
)
def test_an_absent_selector_selects_nothing(fields: dict[str, Any], selects: bool) -> None:
    assert freezing.selects(DisruptionBudget(namespace="shop", name="it", **fields), _pod()) is selects


def test_whole_isolation_needs_our_policy_in_every_namespace() -> None:
    pods = [(_pod("a"), Treatment.FROZEN), (_pod("b", namespace="batch"), Treatment.UNAVAILABLE)]
    whole = freezing.isolation(pods, [OURS, _policy("ours", "batch", quarantine=UID)], UID, network=True)
    assert (whole.state, whole.because) == ("Isolated", ())
    part = freezing.isolation(pods, [OURS], UID, network=True)
    assert part.state == "Partial"
    assert "batch/b" in part.because[0]


def test_a_policy_of_another_quarantine_is_not_ours() -> None:
    other = _policy("other", quarantine="another")
    assert freezing.isolation([(_pod(), Treatment.FROZEN)], [other], UID, network=True).state == "Partial"


def test_who_selects_and_allows_is_named_and_who_only_denies_is_not() -> None:
    selector = LabelSelector(match_labels={"app": "cart"})
    allowing = _policy("open", selector=selector, allows=True)
    denying = _policy("closed", selector=selector)
    elsewhere = _policy("open", "batch", allows=True)
    found = freezing.isolation([(_pod(), Treatment.EVICT)], [OURS, allowing, denying, elsewhere], UID, network=True)
    assert (found.state, found.because) == (
        "Partial",
        ("network policy shop/open selects pod shop/cart and allows traffic",),
    )


def test_host_network_outweighs_and_pods_left_alone_do_not_count() -> None:
    host = (_pod("agent", host_network=True), Treatment.UNAVAILABLE)
    mirror = (_pod("proxy", host_network=True, mirror=True), Treatment.LEFT_ALONE)
    assert freezing.isolation([host], [OURS], UID, network=True).state == "Unsupported"
    assert freezing.isolation([mirror], [OURS], UID, network=True).state == "Isolated"


def test_reasons_are_bounded() -> None:
    pods = [(_pod(f"p{n}", namespace="x" * 60), Treatment.UNAVAILABLE) for n in range(200)]
    assert len(freezing.isolation(pods, [], UID, network=True).because) == freezing.BECAUSE_LIMIT
