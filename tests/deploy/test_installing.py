"""`kubectl apply -k deploy/` on a real API server, and what the operator may do after it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from exuvia.app.manifests import declared, rbac
from exuvia.localcluster.controlplane import ControlPlane
from exuvia.model.permissions import Duty, Permission
from tests.deploy import calling
from tests.deploy.conftest import INTAKE, MADE, OPERATIONS, READS, REVIEWS, STATUS, WRITES, ReadOnly, WithIntake

pytestmark = pytest.mark.cluster

COMPONENT = "deploy/components/intake"

FORBIDDEN = (
    ("get", "secrets"),
    ("list", "secrets"),
    ("get", "nodes/proxy"),
    ("create", "pods/exec"),
    ("create", "pods/attach"),
    ("create", "pods"),
    ("update", "nodes"),
    ("patch", "nodes/status"),
    ("impersonate", "users"),
    ("bind", "clusterroles"),
    ("create", "serviceaccounts/token"),
    ("patch", "validatingadmissionpolicies.admissionregistration.k8s.io"),
    ("patch", "customresourcedefinitions.apiextensions.k8s.io"),
    *REVIEWS,
)


def _items(installed: ControlPlane, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(installed.kubectl("get", kind, "-o", "json"))["items"]
    return found


@pytest.mark.parametrize("folder", ["crds", "deploy", "deploy/overlays/read-only", INTAKE])
@pytest.mark.parametrize("side", ["--server-side", "--server-side=false"])
def test_every_manifest_passes_the_servers_own_validation(installed: ControlPlane, folder: str, side: str) -> None:
    path = str(calling.ROOT / folder)
    force = ["--force-conflicts", "--field-manager=test"] if side == "--server-side" else []
    done = installed.kubectl_run("apply", "-k", path, side, *force, "--dry-run=server", "--validate=strict")
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr


def test_applying_twice_changes_nothing(installed: ControlPlane) -> None:
    assert installed.kubectl_run("diff", "-k", str(calling.ROOT / "deploy")).returncode == 0


def test_the_policies_expressions_pass_the_servers_type_check(installed: ControlPlane) -> None:
    policies = _items(installed, "validatingadmissionpolicies")
    assert {one["metadata"]["name"] for one in policies} == {
        "exuvia-kubelets",
        "exuvia-operator",
        "exuvia-authors",
        "exuvia-records",
    }
    for one in policies:
        assert one["status"]["typeChecking"] == {}, one["metadata"]["name"]


def test_the_pod_passes_the_restricted_standard(installed: ControlPlane) -> None:
    """The namespace enforces it, and the ReplicaSet's controller could create the pod."""
    namespace = json.loads(installed.kubectl("get", "namespace", "exuvia-system", "-o", "json"))
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    made = "--for=jsonpath={.status.updatedReplicas}=1"
    installed.kubectl("wait", "-n", "exuvia-system", "deployment/exuvia", made, "--timeout=30s")


@pytest.mark.parametrize(("verb", "what"), FORBIDDEN)
def test_the_operator_has_no_dangerous_right(installed: ControlPlane, verb: str, what: str) -> None:
    assert not calling.operator(installed).may_what(verb, what)


def test_the_operator_has_every_right_that_the_code_declares(installed: ControlPlane) -> None:
    operator = calling.operator(installed)
    wanted = [one for one in declared.permissions() if one.duty is not Duty.INTAKE]
    assert [one for one in wanted for verb in one.verbs if not _may(operator, verb, one)] == []


def _may(operator: calling.Caller, verb: str, one: Permission) -> bool:
    what = one.resource.partition("/")
    path = f"{what[0]}.{one.group}" if one.group else what[0]
    name = f"/{one.names[0]}" if one.names else ""
    namespace = "exuvia-system" if one.own_namespace else ""
    return operator.may(verb, path + name, subresource=what[2], namespace=namespace)


def test_leases_elsewhere_are_not_the_operators(installed: ControlPlane) -> None:
    operator = calling.operator(installed)
    assert operator.may("patch", "leases.coordination.k8s.io/exuvia-leader", namespace="exuvia-system")
    assert not operator.may("patch", "leases.coordination.k8s.io/other", namespace="exuvia-system")
    assert not operator.may("patch", "leases.coordination.k8s.io/exuvia-leader", namespace="kube-system")


def test_whoever_may_view_sees_our_kinds(installed: ControlPlane) -> None:
    rules = json.loads(installed.kubectl("get", "clusterrole", "view", "-o", "json"))["rules"]
    ours = [one for one in rules if one.get("apiGroups") == ["exuvia.dev"]]
    assert {verb for one in ours for verb in one["verbs"]} == {"get", "list", "watch"}
    assert {"rotations", "quarantines", "securitypolicies", "fleetguards"} <= {
        r for one in ours for r in one["resources"]
    }


@pytest.mark.parametrize(("verb", "what"), (*WRITES, *OPERATIONS))
def test_read_only_writes_no_node_no_pod_and_no_operation(read_only: ReadOnly, verb: str, what: str) -> None:
    assert not read_only.may[(verb, what)]


@pytest.mark.parametrize(("verb", "what"), (*READS, *STATUS))
def test_read_only_still_sees_and_says(read_only: ReadOnly, verb: str, what: str) -> None:
    assert read_only.may[(verb, what)]


def test_read_only_tells_the_operator_so(read_only: ReadOnly) -> None:
    assert "--read-only" in read_only.arguments


def test_read_only_drops_bindings_and_roles_of_the_writing_duties() -> None:
    text = (calling.ROOT / "deploy/overlays/read-only/kustomization.yaml").read_text(encoding="utf-8")
    assert rbac.role_name(rbac.Duty.ROTATE) in text and rbac.role_name(rbac.Duty.QUARANTINE) in text


@pytest.mark.parametrize(("verb", "what"), (*REVIEWS, *READS))
def test_with_the_intake_exuvia_may_ask_who_sends_it_something(with_intake: WithIntake, verb: str, what: str) -> None:
    assert with_intake.may[(verb, what)]


def test_the_intake_is_served_where_its_service_sends(with_intake: WithIntake) -> None:
    (container,) = with_intake.pod["containers"]
    (port,) = with_intake.service["spec"]["ports"]
    assert {"name": port["targetPort"], "containerPort": 8443, "protocol": "TCP"} in container["ports"]
    (mount,) = [one for one in container["volumeMounts"] if one["name"] == "intake"]
    given = {word.partition("=")[0]: word.partition("=")[2] for word in container["args"] if "=" in word}
    named = [given["--intake-cert"], given["--intake-key"]]
    assert named == [f"{mount['mountPath']}/tls.crt", f"{mount['mountPath']}/tls.key"] and mount["readOnly"]
    (volume,) = [one for one in with_intake.pod["volumes"] if one["name"] == "intake"]
    assert volume["secret"]["secretName"] == "exuvia-intake"
    assert with_intake.left_over == ()


def test_the_intake_goes_with_a_read_only_installation(bare: ControlPlane, tmp_path: Path) -> None:
    parts = [os.path.relpath(calling.ROOT / one, tmp_path) for one in ("deploy/overlays/read-only", COMPONENT)]
    text = {"kind": "Kustomization", "resources": parts[:1], "components": parts[1:]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(text), encoding="utf-8")
    built = list(yaml.safe_load_all(bare.kubectl("kustomize", "--load-restrictor=LoadRestrictionsNone", str(tmp_path))))
    bound = {one["metadata"]["name"] for one in built if one["kind"] == "ClusterRoleBinding"}
    assert bound == {"exuvia-observe", "exuvia-explain", "exuvia-intake"}
    (deployment,) = [one for one in built if one["kind"] == "Deployment"]
    args = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    assert {"--read-only", "--intake-cert=/tls/tls.crt", "--intake-key=/tls/tls.key"} <= set(args)


def test_deleting_the_installation_leaves_nothing(left_over: tuple[str, ...]) -> None:
    assert left_over == ()


def test_everything_that_is_installed_is_looked_for_by_its_label() -> None:
    """Else the test above would pass without looking."""
    bodies = [
        one
        for folder in ("deploy/base", COMPONENT, "crds")
        for path in (calling.ROOT / folder).glob("*.yaml")
        for one in yaml.safe_load_all(path.read_text("utf-8"))
        if "metadata" in one
    ]
    assert all(one["metadata"]["labels"]["app.kubernetes.io/part-of"] == "exuvia" for one in bodies)
    plurals = {re.sub("y$", "ie", one["kind"].lower()) + "s" for one in bodies}
    assert plurals == set(MADE)


def test_deploy_holds_no_custom_resource_of_ours() -> None:
    for path in sorted(Path(calling.ROOT / "deploy").rglob("*.yaml")):
        assert "apiVersion: exuvia.dev/" not in path.read_text(encoding="utf-8"), path
