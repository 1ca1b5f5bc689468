"""FleetGuard, Rotation and Quarantine on a real API server: what is fixed, and what only a newer leader may write."""

from __future__ import annotations

from typing import Any

import pytest

from exuvia.localcluster.controlplane import ControlPlane
from exuvia.model.specs.rotation import RotationPhase
from tests.deploy import calling

pytestmark = pytest.mark.cluster


@pytest.fixture
def admin(installed: ControlPlane) -> calling.Caller:
    return calling.admin(installed)


@pytest.fixture
def exuvia(installed: ControlPlane) -> calling.Caller:
    return calling.operator(installed)


def test_there_is_one_fleet_guard(admin: calling.Caller) -> None:
    answer = admin.create(calling.fleet_guard("other"))
    assert "there is one FleetGuard, named `default`" in answer.said


def test_a_fleet_guard_without_a_spec_has_its_defaults(admin: calling.Caller) -> None:
    body = calling.fleet_guard()
    del body["spec"]
    spec = calling.accepted(admin, body)["spec"]
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
    served = calling.accepted(
        admin, calling.fleet_guard(pauseRequests=[pause], poolResumes=[], uninstall=None, maxPerHour=None)
    )
    assert served["spec"]["pauseRequests"] == [{"by": "alice", "reason": "incident 42"}]


@pytest.mark.parametrize(
    "spec",
    [{"maxUnavailable": "half"}, {"minHealthy": "-1"}, {"stormCooldown": "soon"}, {"pauseRequests": [{"by": ""}]}],
    ids=str,
)
def test_a_fleet_guard_that_cannot_be_right_is_refused(admin: calling.Caller, spec: dict[str, Any]) -> None:
    assert admin.create(calling.fleet_guard(**spec)).code == 422


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
    what = calling.opened(admin, kind, policy=policy, rule="r", severity="High", reason="x")
    answer = admin.patch(what, {"spec": change})
    assert (answer.code == 422 and "may not change" in answer.said) or answer.refused_by("exuvia-authors"), answer.said
    assert not exuvia.patch(what, {"spec": change}).done


def test_an_abort_is_not_taken_back(admin: calling.Caller) -> None:
    what = calling.opened(admin, "Rotation")
    assert admin.patch(what, {"spec": {"abort": True}}).done
    for taken_back in (False, None):
        assert "`abort` may not be taken back" in admin.patch(what, {"spec": {"abort": taken_back}}).said


def test_a_release_is_rewritten_but_not_taken_out(admin: calling.Caller) -> None:
    what = calling.opened(admin, "Quarantine")
    assert admin.patch(what, {"spec": {"release": {"by": "admin", "verdict": "Rotate"}}}).done
    assert admin.patch(what, {"spec": {"release": {"verdict": "Return", "destroyUnsealed": True}}}).done
    assert "not taken out" in admin.patch(what, {"spec": {"release": None}}).said


@pytest.mark.parametrize("kind", ["Rotation", "Quarantine"])
def test_an_older_leader_is_refused_by_the_server(exuvia: calling.Caller, kind: str) -> None:
    what = calling.opened(exuvia, kind)
    assert exuvia.patch(what, {"status": {"phase": "Pending", "epoch": 7}}, status=True).done
    assert exuvia.patch(what, {"status": {"epoch": 7, "message": "x"}}, status=True).done
    for older in (6, None):
        answer = exuvia.patch(what, {"status": {"epoch": older}}, status=True)
        assert answer.code == 422 and "`epoch` must not decrease" in answer.said, answer.said
    assert exuvia.patch(what, {"status": {"epoch": 8}}, status=True).done


def test_a_phase_that_is_none_is_refused(exuvia: calling.Caller) -> None:
    what = calling.opened(exuvia, "Rotation")
    assert exuvia.patch(what, {"status": {"phase": "Sleeping"}}, status=True).code == 422
    for phase in RotationPhase:
        assert exuvia.patch(what, {"status": {"phase": phase.value}}, status=True).done


def test_a_spec_is_not_changed_by_a_status_write_nor_the_other_way_round(exuvia: calling.Caller) -> None:
    what = calling.opened(exuvia, "Rotation")
    assert exuvia.patch(what, {"spec": {"abort": True}, "status": {"phase": "Failed"}}, status=True).done
    assert "abort" not in exuvia.get(what)["spec"]
    assert exuvia.patch(what, {"metadata": {"labels": {"a": "b"}}, "status": {"phase": "Aborted"}}).done
    assert exuvia.get(what)["status"]["phase"] == "Failed"
