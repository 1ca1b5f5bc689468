"""Admission policy (b): a stolen token of exuvia changes of a Node only what exuvia has to change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from exuvia.localcluster.controlplane import ControlPlane
from tests.deploy import calling

pytestmark = pytest.mark.cluster

POLICY = "exuvia-operator"
Taint = dict[str, Any]
FOREIGN: Taint = {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}
OURS: Taint = {"key": "exuvia.dev/rotating", "effect": "NoSchedule"}


@pytest.fixture
def node(installed: ControlPlane) -> str:
    name = calling.fresh_name("work")
    body = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"team": "shop", "exuvia.dev/pool": "workers", "exuvia.dev/exempt": "true"},
            "annotations": {"note": "x", "exuvia.dev/do-not-disrupt": ""},
        },
        "spec": {"taints": [FOREIGN]},
    }
    assert calling.admin(installed).create(body).done
    return name


def _patch(installed: ControlPlane, node: str, body: dict[str, Any]) -> calling.Answer:
    return calling.operator(installed).patch(f"node/{node}", body)


def _with_taints(
    installed: ControlPlane, node: str, change: Callable[[list[Taint]], list[Taint]], **more: Any
) -> calling.Answer:
    """Patch the whole list as exuvia does: read, changed, with its resourceVersion (others write taints too)."""
    while True:
        found = calling.admin(installed).get(f"node/{node}")
        metadata = {**more.get("metadata", {}), "resourceVersion": found["metadata"]["resourceVersion"]}
        spec = {**more.get("spec", {}), "taints": change(found["spec"].get("taints", []))}
        answer = _patch(installed, node, {"metadata": metadata, "spec": spec})
        if answer.code != 409:
            return answer


def test_all_marks_of_a_quarantine_pass_in_one_patch(installed: ControlPlane, node: str) -> None:
    protections = {
        "karpenter.sh/do-not-disrupt": "true",
        "cluster-autoscaler.kubernetes.io/scale-down-disabled": "true",
        "cluster.x-k8s.io/paused": "true",
        "cluster.x-k8s.io/skip-remediation": "true",
    }
    labels = {
        "exuvia.dev/state": "quarantined",
        "node-restriction.kubernetes.io/exuvia-quarantine": "q-1",
        "node.kubernetes.io/exclude-from-external-load-balancers": "true",
    }
    annotations = {"exuvia.dev/operation": "q-1", **protections}
    answer = _with_taints(
        installed,
        node,
        lambda taints: [*taints, OURS],
        metadata={"labels": labels, "annotations": annotations},
        spec={"unschedulable": True},
    )
    assert answer.done, answer.said
    answer = _with_taints(
        installed,
        node,
        lambda taints: [one for one in taints if one != OURS],
        metadata={"labels": dict.fromkeys(labels), "annotations": dict.fromkeys(annotations)},
        spec={"unschedulable": None},
    )
    assert answer.done, answer.said


def test_marking_a_crowded_node_stays_within_the_servers_cost(installed: ControlPlane) -> None:
    name = calling.fresh_name("crowded")
    assert calling.admin(installed).create(calling.crowded_node(name)).done
    answer = _with_taints(installed, name, lambda taints: [*taints, OURS], spec={"unschedulable": True})
    assert answer.done, answer.said


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"metadata": {"labels": {"team": "mine"}}}, id="a label"),
        pytest.param({"metadata": {"labels": {"team": None}}}, id="removes a label"),
        pytest.param({"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}}, id="a role"),
        pytest.param({"metadata": {"labels": {"exuvia.dev/pool": "other"}}}, id="the pool that its owner gave it"),
        pytest.param({"metadata": {"labels": {"exuvia.dev/exempt": None}}}, id="what a policy excludes by"),
        pytest.param({"metadata": {"annotations": {"exuvia.dev/do-not-disrupt": None}}}, id="an owner's opt-out"),
        pytest.param({"metadata": {"annotations": {"note": "y"}}}, id="an annotation"),
        pytest.param({"metadata": {"annotations": {"node.alpha.kubernetes.io/ttl": "77"}}}, id="another annotation"),
        pytest.param({"metadata": {"finalizers": ["exuvia.dev/finalizer"]}}, id="a finalizer"),
        pytest.param(
            {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "x", "uid": "y"}]}},
            id="an owner",
        ),
        pytest.param({"spec": {"taints": []}}, id="removes others' taints"),
        pytest.param({"spec": {"providerID": "simulated://another"}}, id="a provider's machine"),
        pytest.param({"spec": {"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24"]}}, id="a pod range"),
    ],
)
def test_nothing_else_of_a_node_may_change(installed: ControlPlane, node: str, body: dict[str, Any]) -> None:
    answer = _patch(installed, node, body)
    assert answer.refused_by(POLICY), answer.said


def test_a_foreign_taint_may_not_change(installed: ControlPlane, node: str) -> None:
    def change(taints: list[Taint]) -> list[Taint]:
        return [one | {"value": "none"} if one["key"] == "dedicated" else one for one in taints]

    answer = _with_taints(installed, node, change)
    assert answer.refused_by(POLICY), answer.said


def test_our_taint_is_never_no_execute(installed: ControlPlane, node: str) -> None:
    answer = _with_taints(installed, node, lambda taints: [*taints, OURS | {"effect": "NoExecute"}])
    assert answer.refused_by(POLICY) and "never NoExecute" in answer.said


def test_a_taint_of_ours_that_somebody_made_no_execute_is_left_or_mended(installed: ControlPlane, node: str) -> None:
    wrong = OURS | {"effect": "NoExecute"}
    taints = calling.admin(installed).get(f"node/{node}")["spec"]["taints"]
    assert calling.admin(installed).patch(f"node/{node}", {"spec": {"taints": [*taints, wrong]}}).done
    assert _patch(installed, node, {"spec": {"unschedulable": True}}).done
    answer = _with_taints(installed, node, lambda found: [one for one in found if one["key"] != OURS["key"]] + [OURS])
    assert answer.done, answer.said


def test_even_with_the_right_the_status_of_a_node_may_not_change(installed: ControlPlane, node: str) -> None:
    """A stolen token that was also given nodes/status still writes nothing there, neither status nor labels."""
    role = calling.fresh_name("too-much")
    installed.kubectl("create", "clusterrole", role, "--verb=patch,update", "--resource=nodes/status")
    installed.kubectl(
        "create", "clusterrolebinding", role, f"--clusterrole={role}", "--serviceaccount=exuvia-system:exuvia"
    )
    try:
        operator = calling.operator(installed)
        for body in ({"status": {"phase": "Running"}}, {"metadata": {"labels": {"team": "mine"}}}):
            answer = operator.patch(f"node/{node}", body, status=True)
            assert answer.refused_by(POLICY), answer.said
    finally:
        installed.kubectl("delete", "clusterrolebinding", role)
        installed.kubectl("delete", "clusterrole", role)


def test_without_such_a_right_rbac_refuses_already(installed: ControlPlane, node: str) -> None:
    answer = calling.operator(installed).patch(f"node/{node}", {"status": {"phase": "Running"}}, status=True)
    assert answer.without_right, answer.said
