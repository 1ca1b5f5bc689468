"""Our kinds on a real API server: what api.md shows is taken, defaults are visible, what must be refused is."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from exuvia.localcluster.controlplane import ControlPlane
from exuvia.model.specs import security_policy
from tests.deploy import calling

pytestmark = pytest.mark.cluster

FULL = calling.ROOT / "tests" / "deploy" / "full_policy.yaml"
RULE = calling.RULE


@pytest.fixture
def admin(installed: ControlPlane) -> calling.Caller:
    return calling.admin(installed)


@pytest.fixture
def exuvia(installed: ControlPlane) -> calling.Caller:
    return calling.operator(installed)


def test_the_full_example_is_taken_as_it_is_written(admin: calling.Caller) -> None:
    body = yaml.safe_load(FULL.read_text(encoding="utf-8"))
    body["metadata"]["name"] = calling.fresh_name("full")
    served = calling.accepted(admin, copy.deepcopy(body))["spec"]
    assert {key: served[key] for key in body["spec"]} == body["spec"]


def test_defaults_are_visible(admin: calling.Caller) -> None:
    spec = calling.accepted(admin, calling.policy())["spec"]
    assert (spec["mode"], spec["suspend"], spec["severity"], spec["action"]) == ("Audit", False, "Medium", "Alert")
    assert spec["target"]["kind"] == "Node"
    assert spec["disruption"] == {"minInterval": "0s"}
    assert spec["rotation"] == {
        "provider": "Auto",
        "strategy": "ReplaceFirst",
        "replacementTimeout": "20m",
        "soakTime": "1m",
        "maxFailedReplacements": 3,
        "onFailure": "Restore",
    }
    assert spec["drain"] == {
        "timeout": "1h",
        "onTimeout": "Abort",
        "gracePeriodSeconds": -1,
        "unmanagedPods": "Block",
        "emptyDirPods": "Evict",
        "evictionAPI": "Eviction",
        "volumeDetachTimeout": "10m",
    }
    assert spec["quarantine"] == {
        "isolation": ["Taint", "NetworkPolicy", "LoadBalancerExclusion"],
        "workloads": "Freeze",
        "replaceCapacity": True,
        "evidence": {
            "requirement": "Required",
            "timeout": "30m",
            "collectors": [
                {"name": "api", "type": "APIObjects"},
                {"name": "logs", "type": "PodLogs", "podLogs": {"since": "24h"}},
            ],
            "destination": {"type": "Filesystem"},
        },
        "holdTime": "168h",
        "onHoldExpired": "Keep",
    }


def test_what_later_versions_serve_has_no_default(admin: calling.Caller) -> None:
    served = calling.accepted(admin, calling.policy())
    assert security_policy.not_supported(security_policy.SecurityPolicy.parse(served).spec) == ()


def _rule(**more: Any) -> dict[str, Any]:
    return {"rules": [{"name": "r", **more}]}


def _budget(**more: Any) -> dict[str, Any]:
    return {"disruption": {"budgets": [{"name": "b", "nodes": "1", **more}]}}


REFUSED = [
    ({"target": {}}, "spec.target.selector: Required value"),
    ({"rules": []}, "spec.rules"),
    ({"rules": [RULE, RULE]}, "Duplicate value"),
    ({"mode": "enforce"}, 'Unsupported value: "enforce": supported values: "Audit", "Enforce"'),
    ({"action": "Delete"}, 'supported values: "Alert", "Rotate", "Quarantine"'),
    ({"color": "red"}, 'unknown field "spec.color"'),
    ({"drain": {"timout": "1h"}}, 'unknown field "spec.drain.timout"'),
    ({"drain": {"timeout": "1d"}}, "spec.drain.timeout"),
    ({"drain": {"gracePeriodSeconds": -2}}, "spec.drain.gracePeriodSeconds"),
    ({"drain": {"podRules": [{"name": "p", "behavior": "Skip"}]}}, "selector: Required value"),
    ({"rotation": {"maxFailedReplacements": 0}}, "spec.rotation.maxFailedReplacements"),
    ({"quarantine": {"isolation": []}}, "spec.quarantine.isolation"),
    ({"quarantine": {"isolation": ["Taint", "Taint"]}}, "Duplicate value"),
    (
        {"quarantine": {"evidence": {"collectors": [{"name": "a", "type": "APIObjects", "podLogs": {}}]}}},
        "`podLogs` goes with `type` PodLogs only",
    ),
    (_rule(type="MaxAge"), "`maxAge` must be set when `type` is MaxAge, and only then"),
    (
        _rule(type="MaxAge", maxAge={"limit": "1h"}, image={"allowed": ["x"]}),
        "`image` must be set when `type` is Image",
    ),
    (_rule(type="MaxAge", maxAge={"limit": "2h", "hardLimit": "1h"}), "`hardLimit` must not be below `limit`"),
    (_rule(type="MaxAge", maxAge={"limit": "1h", "jitterPercent": 101}), "jitterPercent"),
    (_rule(type="MaxAge", maxAge={"limit": "1h"}, failurePolicy="Fail"), "`failurePolicy` goes with `type` Expression"),
    (_rule(type="Versions", versions={}), "at least one of `kubelet`, `containerRuntime`, `kernel` must be set"),
    (_rule(type="Versions", versions={"kubelet": "1.35"}), "versions.kubelet"),
    (_rule(type="Image", image={"allowed": []}), "image.allowed"),
    (_rule(type="Marks", marks={}), "at least one of `requiredLabels`, `requiredAnnotations`"),
    (_rule(type="Conditions", conditions={"bad": [{"type": "Ready", "status": "No"}]}), "status"),
    (_rule(type="Expression", expression={"expression": ""}), "expression.expression"),
    (_rule(type="Wish"), "Unsupported value"),
    (_budget(nodes="a few"), "nodes"),
    (_budget(nodes="101%"), "nodes"),
    (_budget(nodes=3), "nodes"),
    (_budget(schedule="0 8 * * *"), "`schedule` and `duration` must be set together"),
    (_budget(duration="1h"), "`schedule` and `duration` must be set together"),
    (_budget(timeZone="UTC"), "`timeZone` goes with `schedule`"),
    (_budget(actions=[]), "actions"),
    ({"disruption": {"windows": {"allow": [{"schedule": "0 1 * * *"}]}}}, "duration: Required value"),
    ({"disruption": {"bypass": {"minSeverity": "High", "brakes": ["Pause"]}}}, "Unsupported value"),
]


@pytest.mark.parametrize(("spec", "message"), REFUSED, ids=lambda one: one if isinstance(one, str) else "")
def test_what_cannot_be_right_is_refused_with_the_place(
    admin: calling.Caller, spec: dict[str, Any], message: str
) -> None:
    answer = admin.create(calling.policy(**spec))
    assert not answer.done and message in answer.said, answer.said


TAKEN = [
    {"target": {"selector": {}, "exclude": None}},
    {"target": {"selector": {"matchExpressions": [{"key": "pool", "operator": "Exists"}]}}},
    {"target": {"kind": "VirtualMachineInstance", "selector": {}}},
    _rule(type="MaxAge", maxAge={"limit": "1h", "hardLimit": "1h"}),
    _rule(type="MaxAge", maxAge={"limit": "1h", "hardLimit": None}, severity=None, image=None),
    _rule(type="Versions", versions={"kernel": ">= 6.1.90, < 7, != 6.5"}),
    _rule(type="Expression", expression={"expression": "true"}, failurePolicy="Fail"),
    _rule(type="Image", image={"allowed": ["a"], "forbidden": ["b"]}),
    _rule(type="Marks", marks={"forbiddenTaints": ["a=b:NoSchedule"]}),
    _budget(nodes="0%"),
    _budget(nodes="100%"),
    _budget(schedule="@daily", duration="2h20m", timeZone="Europe/Berlin"),
    _budget(actions=["Quarantine"], topologyKey="zone"),
    {"disruption": {"windows": None, "bypass": None, "gates": None}},
    {"disruption": {"windows": {}}},
    {"drain": {"podRules": [{"name": "p", "selector": {}, "behavior": "Anything", "order": -3}]}},
    {"quarantine": {"evidence": {"collectors": [{"name": "api", "type": "APIObjects"}]}}},
]


@pytest.mark.parametrize("spec", TAKEN, ids=range(len(TAKEN)))
def test_what_may_be_right_is_taken(admin: calling.Caller, spec: dict[str, Any]) -> None:
    served = calling.accepted(admin, calling.policy(**spec))
    assert security_policy.SecurityPolicy.parse(served).spec


def test_every_policy_as_large_as_its_bounds_stays_within_the_servers_cost(admin: calling.Caller) -> None:
    rules = [
        {"name": f"r{n}", "type": "Marks", "marks": {"forbiddenLabels": [f"{m}".zfill(300) for m in range(32)]}}
        for n in range(64)
    ]
    budgets = [{"name": f"b{n}", "nodes": "1", "schedule": "@daily", "duration": "1h"} for n in range(32)]
    calling.accepted(admin, calling.policy(rules=rules, disruption={"budgets": budgets}))


def test_the_kind_of_a_target_may_not_change(admin: calling.Caller) -> None:
    body = calling.policy()
    assert admin.create(body).done
    what = f"securitypolicy/{body['metadata']['name']}"
    answer = admin.patch(what, {"spec": {"target": {"kind": "VirtualMachineInstance"}}})
    assert "`target.kind` may not change" in answer.said
    assert admin.patch(what, {"spec": {"target": {"selector": {"matchLabels": {"a": "b"}}}}}).done
    assert admin.delete(what).done
