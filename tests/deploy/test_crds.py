"""Our kinds on a real API server: what api.md shows is taken, defaults are visible, what must be refused is."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml

from exuvia.app.manifests import crds
from exuvia.localcluster.controlplane import ControlPlane
from exuvia.model.specs import security_policy
from exuvia.model.specs.rotation import RotationPhase
from tests.deploy import calling

pytestmark = pytest.mark.cluster

FULL = calling.ROOT / "tests" / "deploy" / "full_policy.yaml"
RULE = {"name": "age", "type": "MaxAge", "maxAge": {"limit": "720h"}}


@pytest.fixture
def admin(installed: ControlPlane) -> calling.Caller:
    return calling.admin(installed)


@pytest.fixture
def exuvia(installed: ControlPlane) -> calling.Caller:
    return calling.operator(installed)


def _policy(**spec: Any) -> dict[str, Any]:
    least = {"target": {"selector": {}}, "rules": [RULE]}
    return {
        "apiVersion": "exuvia.dev/v1alpha1",
        "kind": "SecurityPolicy",
        "metadata": {"name": calling.fresh_name("policy")},
        "spec": least | spec,
    }


def _accepted(admin: calling.Caller, body: dict[str, Any]) -> dict[str, Any]:
    """As served after it was taken, and removed again."""
    answer = admin.create(body)
    assert answer.done, answer.said
    assert admin.delete(f"{body['kind'].lower()}/{answer.body['metadata']['name']}").done
    return answer.body


def test_the_full_example_is_taken_as_it_is_written(admin: calling.Caller) -> None:
    body = yaml.safe_load(FULL.read_text(encoding="utf-8"))
    body["metadata"]["name"] = calling.fresh_name("full")
    served = _accepted(admin, copy.deepcopy(body))["spec"]
    assert {key: served[key] for key in body["spec"]} == body["spec"]


def test_defaults_are_visible(admin: calling.Caller) -> None:
    spec = _accepted(admin, _policy())["spec"]
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
    served = _accepted(admin, _policy())
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
    answer = admin.create(_policy(**spec))
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
    served = _accepted(admin, _policy(**spec))
    assert security_policy.SecurityPolicy.parse(served).spec


def test_every_policy_as_large_as_its_bounds_stays_within_the_servers_cost(admin: calling.Caller) -> None:
    rules = [
        {"name": f"r{n}", "type": "Marks", "marks": {"forbiddenLabels": [f"{m}".zfill(300) for m in range(32)]}}
        for n in range(64)
    ]
    budgets = [{"name": f"b{n}", "nodes": "1", "schedule": "@daily", "duration": "1h"} for n in range(32)]
    _accepted(admin, _policy(rules=rules, disruption={"budgets": budgets}))


def test_the_kind_of_a_target_may_not_change(admin: calling.Caller) -> None:
    body = _policy()
    assert admin.create(body).done
    what = f"securitypolicy/{body['metadata']['name']}"
    answer = admin.patch(what, {"spec": {"target": {"kind": "VirtualMachineInstance"}}})
    assert "`target.kind` may not change" in answer.said
    assert admin.patch(what, {"spec": {"target": {"selector": {"matchLabels": {"a": "b"}}}}}).done
    assert admin.delete(what).done


def _guard(name: str = "default", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "exuvia.dev/v1alpha1", "kind": "FleetGuard", "metadata": {"name": name}, "spec": spec}


def test_there_is_one_fleet_guard(admin: calling.Caller) -> None:
    answer = admin.create(_guard("other"))
    assert "there is one FleetGuard, named `default`" in answer.said


def test_a_fleet_guard_without_a_spec_has_its_defaults(admin: calling.Caller) -> None:
    body = _guard()
    del body["spec"]
    spec = _accepted(admin, body)["spec"]
    assert spec == {
        "maxUnavailable": "5%",
        "oneZoneAtATime": True,
        "minHealthy": "60%",
        "stormCooldown": "10m",
        "maxLeaseExpiry": "30%",
        "quarantine": {"maxAtOnce": "10%", "maxPerHour": "10"},
    }


def test_the_fleet_guard_of_the_design_is_taken_with_its_nulls(admin: calling.Caller) -> None:
    pause = {"by": "alice", "reason": "incident 42", "until": None}
    served = _accepted(admin, _guard(pauseRequests=[pause], poolResumes=[], uninstall=None, maxPerHour=None))
    assert served["spec"]["pauseRequests"] == [{"by": "alice", "reason": "incident 42"}]


@pytest.mark.parametrize(
    "spec",
    [{"maxUnavailable": "half"}, {"minHealthy": "-1"}, {"stormCooldown": "soon"}, {"pauseRequests": [{"by": ""}]}],
    ids=str,
)
def test_a_fleet_guard_that_cannot_be_right_is_refused(admin: calling.Caller, spec: dict[str, Any]) -> None:
    assert admin.create(_guard(**spec)).code == 422


def _opened(caller: calling.Caller, kind: str, **spec: Any) -> str:
    name = calling.fresh_name(kind.lower())
    answer = caller.create(calling.operation(kind, name, **spec))
    assert answer.done, answer.said
    return f"{kind.lower()}/{name}"


@pytest.mark.parametrize("kind", ["Rotation", "Quarantine"])
def test_an_operation_needs_the_uid_of_its_machine(admin: calling.Caller, kind: str) -> None:
    body = calling.operation(kind, calling.fresh_name("x"))
    del body["spec"]["instance"]["uid"]
    assert "spec.instance.uid: Required value" in admin.create(body).said
    body["spec"]["instance"]["uid"] = ""
    assert admin.create(body).code == 422


@pytest.mark.parametrize("kind", ["Rotation", "Quarantine"])
@pytest.mark.parametrize(
    "change",
    [
        {"instance": {"uid": "other"}},
        {"instance": {"providerID": "other"}},
        {"policy": {"name": "other"}},
        {"policy": None},
        {"rule": "other"},
        {"severity": "Low"},
        {"reason": None},
        {"requestedBy": "other"},
    ],
    ids=str,
)
def test_the_spec_of_an_operation_is_fixed(
    admin: calling.Caller, exuvia: calling.Caller, kind: str, change: dict[str, Any]
) -> None:
    policy = {"name": "p", "uid": "u", "generation": 1}
    what = _opened(admin, kind, policy=policy, rule="r", severity="High", reason="x")
    answer = admin.patch(what, {"spec": change})
    assert (answer.code == 422 and "may not change" in answer.said) or answer.refused_by("exuvia-authors"), answer.said
    assert not exuvia.patch(what, {"spec": change}).done


def test_an_abort_is_not_taken_back(admin: calling.Caller) -> None:
    what = _opened(admin, "Rotation")
    assert admin.patch(what, {"spec": {"abort": True}}).done
    for taken_back in (False, None):
        assert "`abort` may not be taken back" in admin.patch(what, {"spec": {"abort": taken_back}}).said


def test_a_release_is_rewritten_but_not_taken_out(admin: calling.Caller) -> None:
    what = _opened(admin, "Quarantine")
    assert admin.patch(what, {"spec": {"release": {"by": "admin", "verdict": "Rotate"}}}).done
    assert admin.patch(what, {"spec": {"release": {"verdict": "Return", "destroyUnsealed": True}}}).done
    assert "not taken out" in admin.patch(what, {"spec": {"release": None}}).said


@pytest.mark.parametrize("kind", ["Rotation", "Quarantine"])
def test_an_older_leader_is_refused_by_the_server(exuvia: calling.Caller, kind: str) -> None:
    what = _opened(exuvia, kind)
    assert exuvia.patch(what, {"status": {"phase": "Pending", "epoch": 7}}, status=True).done
    assert exuvia.patch(what, {"status": {"epoch": 7, "message": "x"}}, status=True).done
    for older in (6, None):
        answer = exuvia.patch(what, {"status": {"epoch": older}}, status=True)
        assert answer.code == 422 and "`epoch` must not decrease" in answer.said, answer.said
    assert exuvia.patch(what, {"status": {"epoch": 8}}, status=True).done


def test_a_phase_that_is_none_is_refused(exuvia: calling.Caller) -> None:
    what = _opened(exuvia, "Rotation")
    assert exuvia.patch(what, {"status": {"phase": "Sleeping"}}, status=True).code == 422
    for phase in RotationPhase:
        assert exuvia.patch(what, {"status": {"phase": phase.value}}, status=True).done


def test_a_spec_is_not_changed_by_a_status_write_nor_the_other_way_round(exuvia: calling.Caller) -> None:
    what = _opened(exuvia, "Rotation")
    assert exuvia.patch(what, {"spec": {"abort": True}, "status": {"phase": "Failed"}}, status=True).done
    assert "abort" not in exuvia.get(what)["spec"]
    assert exuvia.patch(what, {"metadata": {"labels": {"a": "b"}}, "status": {"phase": "Aborted"}}).done
    assert exuvia.get(what)["status"]["phase"] == "Failed"


COLUMNS = {
    "exsp": "NAME MODE READY MATCHED VIOLATING ROTATING BLOCKED AGE",
    "exfg": "NAME PAUSED DISRUPTED ALLOWED STORM AGE",
    "exrot": "NAME INSTANCE PHASE REPLACEMENT BLOCKED POLICY AGE",
    "exq": "NAME INSTANCE PHASE ISOLATED EVIDENCE POLICY AGE",
}


@pytest.mark.parametrize(("short", "columns"), COLUMNS.items())
def test_kubectl_shows_the_columns_under_the_short_name(
    installed: ControlPlane, admin: calling.Caller, exuvia: calling.Caller, short: str, columns: str
) -> None:
    made = _one_of_each(admin, exuvia)
    try:
        lines = installed.kubectl("get", short).splitlines()
        assert " ".join(lines[0].split()) == columns
    finally:
        for what in made:
            assert exuvia.delete(what).done or admin.delete(what).done


def test_the_columns_hold_what_the_status_says(
    installed: ControlPlane, admin: calling.Caller, exuvia: calling.Caller
) -> None:
    made = _one_of_each(admin, exuvia)
    try:
        shown = {what: installed.kubectl("get", *what.split("/"), "--no-headers").split() for what in made}
        values = {what.split("/")[0]: row[1:-1] for what, row in shown.items()}
        assert values["securitypolicy"] == ["Audit", "True", "4", "1", "0", "2"]
        assert values["fleetguard"] == ["false", "1", "2", "Released"]
        assert values["rotation"][1:] == ["Draining", "worker-9", "PDB", "p"]
        assert values["quarantine"][1:] == ["Held", "Partial", "True", "p"]
    finally:
        for what in made:
            assert exuvia.delete(what).done or admin.delete(what).done


def test_one_category_shows_all_kinds(installed: ControlPlane, admin: calling.Caller, exuvia: calling.Caller) -> None:
    made = _one_of_each(admin, exuvia)
    try:
        found = {one["kind"] for one in json.loads(installed.kubectl("get", "exuvia", "-o", "json"))["items"]}
        assert found == {one.resource.kind for one in crds.DEFINITIONS}
    finally:
        for what in made:
            assert exuvia.delete(what).done or admin.delete(what).done


def _one_of_each(admin: calling.Caller, exuvia: calling.Caller) -> list[str]:
    """One object of each kind, each with a status."""
    policy = _policy()
    assert admin.create(policy).done
    assert admin.create(_guard()).done
    made = {
        f"securitypolicy/{policy['metadata']['name']}": {
            "conditions": [_condition("Ready")],
            "instances": {"matched": 4, "compliant": 3, "violating": 1},
            "actions": {"blocked": 2},
        },
        "fleetguard/default": {
            "paused": False,
            "disrupted": 1,
            "allowed": 2,
            "brakes": [{"name": "storm", "state": "Released"}],
        },
        _opened(exuvia, "Rotation", policy={"name": "p", "uid": "u"}): {
            "phase": "Draining",
            "replacement": {"name": "worker-9"},
            "blocked": {"reason": "PDB"},
        },
        _opened(exuvia, "Quarantine", policy={"name": "p", "uid": "u"}): {
            "phase": "Held",
            "isolation": {"state": "Partial"},
            "conditions": [_condition("EvidenceSealed")],
        },
    }
    for what, status in made.items():
        answer = exuvia.patch(what, {"status": status}, status=True)
        assert answer.done, answer.said
    return list(made)


def _condition(type_: str) -> dict[str, str]:
    return {"type": type_, "status": "True", "reason": "X", "lastTransitionTime": "2026-01-01T00:00:00Z"}
