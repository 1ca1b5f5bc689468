"""Admission policies (c) and (d): nobody signs with another's name, and the record of an operation is exuvia's."""

from __future__ import annotations

from typing import Any

import pytest

from exuvia.localcluster.controlplane import ControlPlane
from tests.deploy import calling

pytestmark = pytest.mark.cluster

AUTHORS = "exuvia-authors"
RECORDS = "exuvia-records"
EXUVIA = "system:serviceaccount:exuvia-system:exuvia"
KINDS = ("Rotation", "Quarantine")
HOLD = {"metadata": {"finalizers": ["exuvia.dev/finalizer"]}}
LET_GO = {"metadata": {"finalizers": None}}


@pytest.fixture
def alice(installed: ControlPlane) -> calling.Caller:
    return calling.person(installed, "alice")


@pytest.fixture
def exuvia(installed: ControlPlane) -> calling.Caller:
    return calling.operator(installed)


def _opened(caller: calling.Caller, kind: str, **spec: Any) -> str:
    """A new operation; the path to patch it by."""
    name = calling.fresh_name(kind.lower())
    answer = caller.create(calling.operation(kind, name, **spec))
    assert answer.done, answer.said
    return f"{kind.lower()}/{name}"


def _held(caller: calling.Caller, exuvia: calling.Caller) -> str:
    """A new Quarantine that exuvia holds; the path to patch it by."""
    what = _opened(caller, "Quarantine")
    assert exuvia.patch(what, HOLD).done
    return what


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_bears_the_real_name(alice: calling.Caller, kind: str) -> None:
    name = calling.fresh_name("asked")
    forged = alice.create(calling.operation(kind, name, requestedBy="bob"))
    assert forged.refused_by(AUTHORS) and "must be your own user name, alice" in forged.said
    assert alice.create(calling.operation(kind, name, requestedBy="alice")).done


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_may_leave_the_name_out(alice: calling.Caller, kind: str) -> None:
    assert alice.create(calling.operation(kind, calling.fresh_name("asked"))).done


@pytest.mark.parametrize("kind", KINDS)
def test_exuvia_signs_as_itself(exuvia: calling.Caller, kind: str) -> None:
    _opened(exuvia, kind, requestedBy=EXUVIA)


def test_a_forged_release_is_refused_and_a_real_one_passes(alice: calling.Caller) -> None:
    what = _opened(alice, "Quarantine")
    forged = alice.patch(what, {"spec": {"release": {"by": "bob", "verdict": "Return"}}})
    assert forged.refused_by(AUTHORS) and "spec.release.by must be your own user name, alice" in forged.said
    assert alice.patch(what, {"spec": {"release": {"by": "alice", "reason": "clean", "verdict": "Return"}}}).done


def test_a_release_is_not_rewritten_under_the_name_of_its_author(
    installed: ControlPlane, alice: calling.Caller
) -> None:
    what = _opened(alice, "Quarantine")
    assert alice.patch(what, {"spec": {"release": {"by": "alice", "verdict": "Return"}}}).done
    mallory = calling.person(installed, "mallory")
    answer = mallory.patch(what, {"spec": {"release": {"verdict": "Rotate", "destroyUnsealed": True}}})
    assert answer.refused_by(AUTHORS), answer.said
    assert mallory.patch(what, {"metadata": {"labels": {"seen": "yes"}}}).done, "what leaves the release alone passes"


def test_a_quarantine_is_not_born_with_a_forged_release(alice: calling.Caller) -> None:
    born = calling.operation("Quarantine", calling.fresh_name("q"), release={"by": "bob", "verdict": "Rotate"})
    assert alice.create(born).refused_by(AUTHORS)


def test_an_operation_is_called_off_but_not_redirected(alice: calling.Caller) -> None:
    what = _opened(alice, "Rotation", requestedBy="alice", reason="old")
    assert alice.patch(what, {"spec": {"abort": True}}).done
    for change in ({"instance": {"uid": "other"}}, {"reason": "new"}, {"requestedBy": None}, {"severity": "High"}):
        assert not alice.patch(what, {"spec": change}).done, change


def test_our_finalizer_patch_passes(exuvia: calling.Caller, alice: calling.Caller) -> None:
    for kind in KINDS:
        what = _opened(alice, kind, requestedBy="alice")
        for finalizers in (["exuvia.dev/finalizer"], None):
            answer = exuvia.patch(what, {"metadata": {"finalizers": finalizers}})
            assert answer.done, answer.said


@pytest.mark.parametrize(("kind", "field"), [("Rotation", "releasedFrom"), ("Quarantine", "inheritedFrom")])
def test_only_exuvia_says_what_an_operation_came_from(
    alice: calling.Caller, exuvia: calling.Caller, kind: str, field: str
) -> None:
    answer = alice.create(calling.operation(kind, calling.fresh_name("from"), **{field: "q-1"}))
    assert answer.refused_by(AUTHORS) and "set by exuvia only" in answer.said
    _opened(exuvia, kind, **{field: "q-1"})


@pytest.mark.parametrize("kind", KINDS)
def test_the_status_of_an_operation_is_written_by_exuvia_only(
    alice: calling.Caller, exuvia: calling.Caller, kind: str
) -> None:
    what = _opened(alice, kind)
    refused = alice.patch(what, {"status": {"phase": "Aborted"}}, status=True)
    assert refused.refused_by(RECORDS) and "written by exuvia only" in refused.said
    answer = exuvia.patch(what, {"status": {"phase": "Pending", "epoch": 1}}, status=True)
    assert answer.done, answer.said


def test_a_quarantine_is_not_deleted_before_it_is_released(alice: calling.Caller, exuvia: calling.Caller) -> None:
    what = _held(alice, exuvia)
    refused = alice.delete(what)
    assert refused.refused_by(RECORDS) and "exuvia release" in refused.said
    assert exuvia.patch(what, {"status": {"phase": "Held"}}, status=True).done
    assert alice.delete(what).refused_by(RECORDS)
    assert exuvia.patch(what, {"status": {"phase": "Released"}}, status=True).done
    assert alice.delete(what).done


def test_deleting_all_quarantines_at_once_spares_those_that_are_held(
    alice: calling.Caller, exuvia: calling.Caller
) -> None:
    what = _held(alice, exuvia)
    answer = alice.delete("quarantine")
    assert answer.refused_by(RECORDS), answer.said
    assert alice.get(what)["metadata"]["name"]


def test_a_quarantine_that_was_let_go_may_be_deleted(alice: calling.Caller, exuvia: calling.Caller) -> None:
    """By the operator, as `exuvia uninstall` asks it to, or by an admin's own hand where there is none any more."""
    for who in (exuvia, alice):
        what = _held(alice, exuvia)
        assert exuvia.patch(what, {"status": {"phase": "Held"}}, status=True).done
        assert who.patch(what, LET_GO).done
        assert alice.delete(what).done


def test_who_may_not_uninstall_does_not_let_a_quarantine_go(
    installed: ControlPlane, alice: calling.Caller, exuvia: calling.Caller
) -> None:
    """Else whoever may release quarantines could delete them in two steps, with no word of it in the ledger."""
    bob, what = _with_rights(installed, "bob", "quarantines"), _held(alice, exuvia)
    refused = bob.patch(what, LET_GO)
    assert refused.refused_by(RECORDS) and "who may uninstall exuvia" in refused.said
    assert bob.patch(what, {"metadata": {"finalizers": ["example.org/other"]}}).refused_by(RECORDS)
    assert bob.patch(what, {"metadata": {"labels": {"seen": "yes"}}}).done
    assert bob.delete(what).refused_by(RECORDS)
    carol = _with_rights(installed, "carol", "quarantines", "fleetguards")
    assert carol.patch(what, LET_GO).done and carol.delete(what).done


def _with_rights(plane: ControlPlane, name: str, *plurals: str) -> calling.Caller:
    """A person who may patch and delete these kinds of ours, and nothing else."""
    group = f"{name}s"
    plane.kubectl(
        "create", "clusterrole", group, "--verb=get,patch,delete", *(f"--resource={one}.exuvia.dev" for one in plurals)
    )
    plane.kubectl("create", "clusterrolebinding", group, f"--clusterrole={group}", f"--group={group}")
    return calling.Caller(plane, plane.issue_kubeconfig(name, [group]))


def test_exuvia_deletes_its_own(exuvia: calling.Caller) -> None:
    for kind in KINDS:
        assert exuvia.delete(_opened(exuvia, kind)).done


def test_a_person_deletes_a_rotation(alice: calling.Caller) -> None:
    assert alice.delete(_opened(alice, "Rotation")).done
