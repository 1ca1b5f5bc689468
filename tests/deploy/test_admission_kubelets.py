"""Admission policy (a): a compromised kubelet cannot mark, unmark or uncordon its own node. Heartbeats pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from exuvia.localcluster.controlplane import ControlPlane
from tests.deploy import calling

pytestmark = pytest.mark.cluster

POLICY = "exuvia-kubelets"
TAINT = {"key": "exuvia.dev/quarantined", "effect": "NoSchedule"}
LABELS = {
    "exuvia.dev/state": "quarantined",
    "exuvia.dev/pool": "workers",
    "karpenter.sh/do-not-disrupt": "true",
    "node.kubernetes.io/exclude-from-external-load-balancers": "true",
    "team": "shop",
}
ANNOTATIONS = {"exuvia.dev/operation": "q-1", "cluster.x-k8s.io/paused": "", "own": "x"}


@dataclass(frozen=True, slots=True)
class Held:
    """A node in quarantine, and its kubelet."""

    name: str
    kubelet: calling.Caller

    def patch(self, body: dict[str, Any], *, status: bool = False) -> calling.Answer:
        return self.kubelet.patch(f"node/{self.name}", body, status=status)


def _node(name: str, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, **metadata}}


@pytest.fixture
def held(installed: ControlPlane) -> Held:
    name = calling.fresh_name("held")
    body = _node(name, labels=LABELS, annotations=ANNOTATIONS)
    body["spec"] = {"unschedulable": True, "taints": [TAINT, {"key": "own", "effect": "NoSchedule"}]}
    assert calling.admin(installed).create(body).done
    return Held(name, calling.kubelet(installed, name))


def test_a_plain_heartbeat_passes(held: Held) -> None:
    beat = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}
    assert held.patch({"status": {"conditions": [beat]}}, status=True).done


def test_a_heartbeat_of_a_node_without_any_marks_passes(installed: ControlPlane) -> None:
    name = calling.fresh_name("plain")
    assert calling.kubelet(installed, name).create(_node(name)).done
    answer = calling.kubelet(installed, name).patch(f"node/{name}", {"status": {"phase": "Running"}}, status=True)
    assert answer.done, answer.said


def test_a_heartbeat_of_a_crowded_node_stays_within_the_servers_cost(installed: ControlPlane) -> None:
    name = calling.fresh_name("crowded")
    assert calling.admin(installed).create(calling.crowded_node(name)).done
    answer = calling.kubelet(installed, name).patch(f"node/{name}", {"status": {"phase": "Running"}}, status=True)
    assert answer.done, answer.said


def test_a_kubelet_may_change_what_is_not_ours(held: Held) -> None:
    assert held.patch({"metadata": {"labels": {"team": "ops"}, "annotations": {"own": "y", "other": "z"}}}).done


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({"labels": {"exuvia.dev/state": None}}, id="removes the state label"),
        pytest.param({"labels": {"exuvia.dev/state": "rotating"}}, id="changes the state label"),
        pytest.param({"labels": {"exuvia.dev/do-not-disrupt": "true"}}, id="opts itself out"),
        pytest.param({"labels": {"exuvia.dev/pool": "other"}}, id="changes its pool after joining"),
        pytest.param({"labels": {"karpenter.sh/do-not-disrupt": None}}, id="removes a foreign opt-out"),
        pytest.param({"annotations": {"cluster.x-k8s.io/paused": None}}, id="removes a foreign opt-out annotation"),
        pytest.param({"annotations": {"cluster.x-k8s.io/skip-remediation": ""}}, id="sets a foreign opt-out"),
        pytest.param({"annotations": {"exuvia.dev/operation": "other"}}, id="names another operation"),
        pytest.param(
            {"labels": {"node.kubernetes.io/exclude-from-external-load-balancers": None}}, id="back to the balancers"
        ),
    ],
)
@pytest.mark.parametrize("status", [False, True], ids=["node", "by a status write"])
def test_a_kubelet_may_not_edit_our_marks(held: Held, metadata: dict[str, Any], status: bool) -> None:
    answer = held.patch({"metadata": metadata}, status=status)
    assert answer.refused_by(POLICY), answer.said


def test_the_refusal_names_the_labels(held: Held) -> None:
    answer = held.patch({"metadata": {"labels": {"exuvia.dev/state": None, "exuvia.dev/x": "y"}}})
    assert "a kubelet may not change these labels of a node: exuvia.dev/x, exuvia.dev/state" in answer.said


def test_a_kubelet_may_not_uncordon_a_node_that_bears_our_taint(held: Held) -> None:
    answer = held.patch({"spec": {"unschedulable": None}})
    assert answer.refused_by(POLICY) and "may not uncordon" in answer.said


def test_a_kubelet_may_uncordon_a_node_without_our_taint(installed: ControlPlane) -> None:
    name = calling.fresh_name("cordoned")
    body = _node(name) | {"spec": {"unschedulable": True, "taints": [{"key": "own", "effect": "NoSchedule"}]}}
    assert calling.admin(installed).create(body).done
    answer = calling.kubelet(installed, name).patch(f"node/{name}", {"spec": {"unschedulable": None}})
    assert answer.done, answer.said


def test_a_kubelet_may_not_take_off_our_taint(held: Held) -> None:
    assert not held.patch({"spec": {"taints": None}}).done


def test_a_node_joins_with_its_pool_and_nothing_else_of_ours(installed: ControlPlane) -> None:
    joining, marking = calling.fresh_name("joins"), calling.fresh_name("marks")
    assert calling.kubelet(installed, joining).create(_node(joining, labels={"exuvia.dev/pool": "workers"})).done
    for metadata in ({"labels": {"exuvia.dev/exempt": "true"}}, {"annotations": {"exuvia.dev/do-not-disrupt": ""}}):
        answer = calling.kubelet(installed, marking).create(_node(marking, **metadata))
        assert answer.refused_by(POLICY), answer.said


def test_a_node_may_not_join_with_a_taint_of_ours(installed: ControlPlane) -> None:
    name = calling.fresh_name("tainted")
    answer = calling.kubelet(installed, name).create(_node(name) | {"spec": {"taints": [TAINT]}})
    assert answer.refused_by(POLICY), answer.said


def test_others_may_do_all_of_it(installed: ControlPlane, held: Held) -> None:
    answer = calling.admin(installed).patch(
        f"node/{held.name}", {"metadata": {"labels": {"exuvia.dev/state": None}}, "spec": {"unschedulable": None}}
    )
    assert answer.done, answer.said
