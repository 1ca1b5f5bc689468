"""LicensePool on a real API server: what history.md shows is taken, defaults are visible, what must be refused is."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from exuvia.localcluster.controlplane import ControlPlane
from exuvia.model.specs.license_pool import LicensePool
from tests.deploy import calling

pytestmark = pytest.mark.cluster

EXAMPLE = calling.ROOT / "examples" / "antivirus-seats.yaml"
AGENT = {"daemonSet": "security/antivirus"}


@pytest.fixture
def admin(installed: ControlPlane) -> calling.Caller:
    return calling.admin(installed)


def test_the_full_example_is_taken_as_it_is_written(admin: calling.Caller) -> None:
    body = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    body["metadata"]["name"] = calling.fresh_name("pool")
    served = calling.accepted(admin, copy.deepcopy(body))["spec"]
    assert {key: served[key] for key in body["spec"]} == body["spec"]


def test_defaults_are_visible(admin: calling.Caller) -> None:
    spec = calling.accepted(admin, calling.license_pool(classes=[{"name": "a", "selector": {}}]))["spec"]
    assert spec == {
        "seats": 3,
        "target": {"kind": "Node", "selector": {}},
        "claim": "AtBirth",
        "classes": [{"name": "a", "selector": {}, "persistent": True, "priority": 100}],
        "grace": "0s",
        "heartbeatTimeout": "5m",
        "exhaustion": "Queue",
        "quarantined": "Keep",
        "reclaim": {"type": "None"},
    }


REFUSED = [
    ({"seats": -1}, "spec.seats"),
    ({"target": {}}, "spec.target.selector: Required value"),
    ({"claim": "AgentReady"}, "`claim` AgentReady needs `agent`"),
    ({"claim": "Later"}, 'supported values: "AtBirth", "AgentReady"'),
    ({"agent": {}}, "exactly one of `daemonSet` and `pods` must be set"),
    ({"agent": AGENT | {"pods": {"namespace": "a", "selector": {}}}}, "exactly one of `daemonSet` and `pods`"),
    ({"agent": {"daemonSet": "antivirus"}}, "`daemonSet` must be namespace/name"),
    ({"grace": "1d"}, "spec.grace"),
    ({"heartbeatTimeout": "0s"}, "`heartbeatTimeout` must be longer than 0s"),
    ({"exhaustion": "Panic"}, '"Queue", "Deny", "Overcommit", "ReclaimOldest"'),
    ({"quarantined": "Drop"}, '"Keep", "ForensicSeat", "Release"'),
    ({"reclaim": {"type": "Webhook"}}, "`webhook` must be set when `type` is Webhook, and only then"),
    ({"reclaim": {"webhook": {"url": "https://vendor.example.org"}}}, "`webhook` must be set when `type` is Webhook"),
    ({"reclaim": {"type": "Webhook", "webhook": {"url": "ftp://vendor"}}}, "`url` must begin with https://"),
    ({"classes": [{"name": "a", "selector": {}}, {"name": "a", "selector": {}}]}, "Duplicate value"),
    ({"classes": [{"name": "a", "selector": {}, "priority": -1}]}, "priority"),
    ({"seat": 3}, 'unknown field "spec.seat"'),
]


@pytest.mark.parametrize(("spec", "message"), REFUSED, ids=lambda one: one if isinstance(one, str) else "")
def test_what_cannot_be_right_is_refused_with_the_place(
    admin: calling.Caller, spec: dict[str, Any], message: str
) -> None:
    answer = admin.create(calling.license_pool(**spec))
    assert not answer.done and message in answer.said, answer.said


TAKEN = [
    {"seats": 0},
    {"claim": "AgentReady", "agent": AGENT},
    {"agent": {"pods": {"namespace": "security", "selector": {"matchLabels": {"app": "antivirus"}}}}},
    {"reclaim": {"type": "Webhook", "webhook": {"url": "https://vendor.example.org/seats", "dryRun": True}}},
    {"exhaustion": "ReclaimOldest", "quarantined": "ForensicSeat", "grace": "2h20m"},
]


@pytest.mark.parametrize("spec", TAKEN, ids=range(len(TAKEN)))
def test_what_may_be_right_is_taken(admin: calling.Caller, spec: dict[str, Any]) -> None:
    served = calling.accepted(admin, calling.license_pool(**spec))
    assert LicensePool.parse(served).spec


def test_the_kind_of_a_target_may_not_change(admin: calling.Caller) -> None:
    body = calling.license_pool()
    assert admin.create(body).done
    what = f"licensepool/{body['metadata']['name']}"
    answer = admin.patch(what, {"spec": {"target": {"kind": "VirtualMachineInstance"}}})
    assert "`target.kind` may not change" in answer.said
    assert admin.patch(what, {"spec": {"seats": 4}}).done
    assert admin.delete(what).done
