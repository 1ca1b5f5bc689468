"""What `kubectl get` shows of our kinds: short names, columns, the category."""

from __future__ import annotations

import json

import pytest

from exuvia.app.manifests import crds
from exuvia.localcluster.controlplane import ControlPlane
from tests.deploy import calling

pytestmark = pytest.mark.cluster


@pytest.fixture
def admin(installed: ControlPlane) -> calling.Caller:
    return calling.admin(installed)


@pytest.fixture
def exuvia(installed: ControlPlane) -> calling.Caller:
    return calling.operator(installed)


COLUMNS = {
    "exsp": "NAME MODE READY MATCHED VIOLATING ROTATING BLOCKED AGE",
    "exfg": "NAME PAUSED DISRUPTED ALLOWED STORM AGE",
    "exrot": "NAME INSTANCE PHASE REPLACEMENT BLOCKED POLICY AGE",
    "exq": "NAME INSTANCE PHASE ISOLATED EVIDENCE POLICY AGE",
    "exlp": "NAME READY SEATS USED FREE QUEUED EXHAUSTED AGE",
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
        assert values["licensepool"] == ["True", "3", "3", "0", "2", "True"]
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
    policy = calling.policy()
    assert admin.create(policy).done
    pool = calling.license_pool()
    assert admin.create(pool).done
    assert admin.create(calling.fleet_guard()).done
    made = {
        f"securitypolicy/{policy['metadata']['name']}": {
            "conditions": [_condition("Ready")],
            "instances": {"matched": 4, "compliant": 3, "violating": 1},
            "actions": {"blocked": 2},
        },
        f"licensepool/{pool['metadata']['name']}": {
            "conditions": [_condition("Ready"), _condition("Exhausted")],
            "seats": {"total": 3, "used": 3, "free": 0, "queued": 2},
        },
        "fleetguard/default": {
            "paused": False,
            "disrupted": 1,
            "allowed": 2,
            "brakes": [{"name": "storm", "state": "Released"}],
        },
        calling.opened(exuvia, "Rotation", policy={"name": "p", "uid": "u"}): {
            "phase": "Draining",
            "replacement": {"name": "worker-9"},
            "blocked": {"reason": "PDB"},
        },
        calling.opened(exuvia, "Quarantine", policy={"name": "p", "uid": "u"}): {
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
