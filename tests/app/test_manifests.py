"""The generated files: fresh, complete, and with no right beyond what the code declares."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from exuvia.act.evidence import COLLECTORS
from exuvia.act.providers import PROVIDERS
from exuvia.app.manifests import admission, alerts, crds, declared, names, rbac, tree
from exuvia.app.settings import Settings
from exuvia.model import marks
from exuvia.model.permissions import Duty, Permission
from exuvia.model.specs.security_policy import InstanceCounts
from exuvia.report.metrics import BY_NAME

ROOT = Path(__file__).parents[2]
FILES = tree.files()
LIMIT = 200_000  # bytes: `kubectl apply` keeps the whole object in an annotation


def _documents(folder: str = "deploy/base/") -> list[dict[str, Any]]:
    """The objects of the base, say."""
    files = [text for name, text in FILES.items() if name.startswith(folder) and "kustomization" not in name]
    return [one for text in files for one in yaml.safe_load_all(text)]


def _roles() -> list[dict[str, Any]]:
    found = [*_documents(), *_documents("deploy/overlays/"), *_documents("deploy/components/")]
    return [one for one in found if one["kind"] in ("ClusterRole", "Role")]


def _check(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "exuvia.app.manifests", "--check"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_files_in_the_repository_are_fresh() -> None:
    done = _check(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_stale_a_missing_and_a_stray_file_are_named(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert _check(tmp_path).returncode == 0
    (tmp_path / "crds/rotations.yaml").write_text("", encoding="utf-8")
    (tmp_path / "deploy/base/pdb.yaml").unlink()
    (tmp_path / "deploy/base/old.yaml").write_text(tree.HEADER, encoding="utf-8")
    done = _check(tmp_path)
    assert done.returncode == 1
    for name in ("crds/rotations.yaml", "deploy/base/pdb.yaml", "deploy/base/old.yaml"):
        assert f"stale: {name}" in done.stdout


def test_writing_mends_all_of_it(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/old.yaml").write_text(tree.HEADER, encoding="utf-8")
    (tmp_path / "deploy/own.yaml").write_text("# by hand\n", encoding="utf-8")
    subprocess.run([sys.executable, "-m", "exuvia.app.manifests"], cwd=tmp_path, capture_output=True, check=True)
    assert _check(tmp_path).returncode == 0
    assert not (tmp_path / "deploy/old.yaml").exists() and (tmp_path / "deploy/own.yaml").exists()


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".yaml")])
def test_every_file_is_yaml_and_small_enough_for_client_side_apply(name: str) -> None:
    assert list(yaml.safe_load_all(FILES[name]))
    assert len(FILES[name].encode()) < LIMIT


def _declaring_modules() -> list[str]:
    """Modules with a constant PERMISSIONS at their top level."""
    source = ROOT / "operator"
    found = [one for one in source.rglob("*.py") if re.search(r"^PERMISSIONS\b", one.read_text("utf-8"), re.MULTILINE)]
    assert found
    return [".".join(one.relative_to(source).with_suffix("").parts).removesuffix(".__init__") for one in sorted(found)]


@pytest.mark.parametrize("name", _declaring_modules())
def test_what_a_module_declares_is_gathered(name: str) -> None:
    assert set(importlib.import_module(name).PERMISSIONS) <= set(declared.permissions())


@pytest.mark.parametrize("card", [one.card for one in (*COLLECTORS, *PROVIDERS)], ids=lambda card: str(card.name))
def test_what_a_card_declares_is_gathered(card: Any) -> None:
    assert set(card.permissions) <= set(declared.permissions())


def _grants(role: dict[str, Any], one: Permission, verb: str) -> bool:
    return any(
        one.group in rule["apiGroups"]
        and one.resource in rule["resources"]
        and verb in rule["verbs"]
        and set(rule.get("resourceNames", ())) <= set(one.names)
        for rule in role["rules"]
    )


def test_every_declared_right_lands_in_the_role_of_its_duty() -> None:
    roles = {(one["kind"], one["metadata"]["name"]): one for one in _roles()}
    for one in declared.permissions():
        role = roles[("Role", "exuvia") if one.own_namespace else ("ClusterRole", rbac.role_name(one.duty))]
        for verb in one.verbs:
            assert _grants(role, one, verb), f"{one} is not in {role['metadata']['name']}"


def test_no_role_grants_what_was_not_declared() -> None:
    declared_ = {(one.group, one.resource, verb) for one in declared.permissions() for verb in one.verbs}
    for role in _roles():
        if role["metadata"]["name"] == "exuvia-view":
            continue
        for rule in role["rules"]:
            granted = {(g, r, v) for g in rule["apiGroups"] for r in rule["resources"] for v in rule["verbs"]}
            assert granted <= declared_


def test_no_role_has_a_wildcard_or_a_dangerous_resource() -> None:
    forbidden = {"secrets", "nodes/proxy", "nodes/status", "pods/exec", "pods/attach", "pods/portforward"}
    for role in _roles():
        for rule in role["rules"]:
            said = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert not any("*" in word for word in said), rule
            assert not forbidden & set(rule["resources"]), rule
            assert not {"impersonate", "bind", "escalate", "deletecollection"} & set(rule["verbs"]), rule


def test_observing_writes_no_node_and_no_pod() -> None:
    role = next(one for one in _roles() if one["metadata"]["name"] == "exuvia-observe")
    for rule in role["rules"]:
        asked = {one.partition("/")[0] for one in rule["resources"]}
        if asked & {"nodes", "pods", "rotations", "quarantines"}:
            assert set(rule["verbs"]) <= {"get", "list", "watch"}, rule


@pytest.mark.parametrize(
    ("duty", "other"), [("rotate", "quarantines"), ("quarantine", "rotations"), ("observe", "rotations")]
)
def test_no_duty_can_start_what_another_would_have_to_finish(duty: str, other: str) -> None:
    """A start is a write of the status: a machine would be cordoned, and nothing could follow."""
    roles = [one for one in _roles() if one["metadata"]["name"] in ("exuvia-observe", f"exuvia-{duty}")]
    granted = {r for one in roles for rule in one["rules"] if "patch" in rule["verbs"] for r in rule["resources"]}
    assert f"{other}/status" not in granted


def test_only_a_read_only_installation_is_bound_to_explain() -> None:
    assert "exuvia-explain" not in {one["metadata"]["name"] for one in _documents()}
    role, binding = yaml.safe_load_all(FILES["deploy/overlays/read-only/rbac.yaml"])
    assert binding["roleRef"]["name"] == role["metadata"]["name"] == rbac.role_name(Duty.EXPLAIN)
    assert role["rules"] == [
        {"apiGroups": [marks.GROUP], "resources": ["quarantines/status", "rotations/status"], "verbs": ["patch"]}
    ]


def test_only_an_installation_with_the_intake_may_ask_who_sends_something() -> None:
    reviews = {"tokenreviews", "subjectaccessreviews"}
    assert not {r for one in _documents() for rule in one.get("rules", ()) for r in rule["resources"]} & reviews
    role, binding = yaml.safe_load_all(FILES["deploy/components/intake/rbac.yaml"])
    assert binding["roleRef"]["name"] == role["metadata"]["name"] == rbac.role_name(Duty.INTAKE)
    assert {r for rule in role["rules"] for r in rule["resources"]} == reviews


def test_the_intakes_port_is_the_one_that_the_operator_listens_on() -> None:
    assert Settings().intake_port == names.INTAKE_PORT
    service, policy = (
        yaml.safe_load(FILES[f"deploy/components/intake/{one}.yaml"]) for one in ("service", "networkpolicy")
    )
    assert [one["port"] for one in service["spec"]["ports"]] == [names.INTAKE_PORT]
    assert policy["spec"]["ingress"] == [{"ports": [{"protocol": "TCP", "port": names.INTAKE_PORT}]}]


def test_rights_of_one_resource_are_joined_and_names_kept_apart() -> None:
    some = (
        Permission(duty=Duty.OBSERVE, resource="pods", verbs=("watch",)),
        Permission(duty=Duty.OBSERVE, resource="pods", verbs=("get",)),
        Permission(duty=Duty.OBSERVE, resource="nodes", verbs=("get", "watch")),
        Permission(duty=Duty.OBSERVE, resource="leases", names=("a",), verbs=("patch",)),
        Permission(duty=Duty.OBSERVE, resource="leases", verbs=("create",)),
    )
    assert rbac.rules(some) == [
        {"apiGroups": [""], "resources": ["leases"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["leases"], "resourceNames": ["a"], "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["nodes", "pods"], "verbs": ["get", "watch"]},
    ]


def test_the_installation_bears_the_names_of_the_contract() -> None:
    found = {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]) for one in _documents()}
    own = {
        (kind, "exuvia-system", "exuvia") for kind in ("ServiceAccount", "Deployment", "Service", "PodDisruptionBudget")
    }
    roles = {("ClusterRole", "", f"exuvia-{duty}") for duty in ("observe", "rotate", "quarantine")}
    assert {("Namespace", "", "exuvia-system"), *own, *roles} <= found
    assert f"system:serviceaccount:{marks.SYSTEM_NAMESPACE}:exuvia" == marks.SERVICE_ACCOUNT_USER


def test_every_binding_binds_the_one_service_account() -> None:
    for one in _documents():
        if one["kind"].endswith("RoleBinding"):
            account = {"kind": "ServiceAccount", "name": "exuvia", "namespace": "exuvia-system"}
            assert one["subjects"] == [account]


def _pod() -> dict[str, Any]:
    spec: dict[str, Any] = next(one for one in _documents() if one["kind"] == "Deployment")["spec"]
    assert spec["replicas"] == 1 and spec["strategy"] == {"type": "Recreate"}
    pod: dict[str, Any] = spec["template"]["spec"]
    return pod


def test_the_pod_is_not_root_and_writes_only_its_one_volume() -> None:
    pod, (container,) = _pod(), _pod()["containers"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert [one["name"] for one in pod["volumes"]] == ["state"] == [one["name"] for one in container["volumeMounts"]]
    (mount,) = container["volumeMounts"]
    paths = [word.partition("=")[2] for word in container["args"] if word.startswith(("--ledger", "--evidence-dir"))]
    assert len(paths) == 2 and all(path.startswith(f"{mount['mountPath']}/") for path in paths)


def test_the_pod_knows_which_pod_and_node_it_is() -> None:
    (container,) = _pod()["containers"]
    fields = {one["name"]: one["valueFrom"]["fieldRef"]["fieldPath"] for one in container["env"] if "valueFrom" in one}
    assert fields == {
        "POD_UID": "metadata.uid",
        "POD_NAME": "metadata.name",
        "POD_NAMESPACE": "metadata.namespace",
        "NODE_NAME": "spec.nodeName",
    }


def test_every_policy_has_a_binding_that_denies_and_fails_closed() -> None:
    for guard in admission.GUARDS:
        assert admission.policy(guard)["spec"]["failurePolicy"] == "Fail"
        assert admission.binding(guard)["spec"] == {"policyName": guard.name, "validationActions": ["Deny"]}


def test_no_expression_looks_into_an_optional_field_unguarded() -> None:
    """`object.metadata.labels` fails where there are none, and a failing expression refuses: `.?labels` it must be."""
    unguarded = re.compile(r"[oO]bject\.\??\w+\.(?!\?)")
    for guard in admission.GUARDS:
        for word in (*(expression for _, expression in guard.variables), *(one.expression for one in guard.checks)):
            assert not unguarded.search(word), word


@pytest.mark.parametrize("alert", alerts.ALERTS, ids=lambda alert: alert.name)
def test_an_alert_asks_only_for_metrics_and_labels_that_are_exported(alert: alerts.Alert) -> None:
    names = set(re.findall(r"\bexuvia_[a-z_]+\b", alert.expression))
    assert names and names <= set(BY_NAME)
    for name, labels in re.findall(r"(exuvia_[a-z_]+)\{([^}]*)\}", alert.expression):
        assert set(re.findall(r"(\w+)[!=]?[=~]", labels)) <= set(BY_NAME[name].labels)


def test_an_operator_outside_needs_no_workload() -> None:
    kinds = {one["kind"] for one in tree.without_workload()}
    assert "Deployment" not in kinds and "PersistentVolumeClaim" not in kinds
    assert {"CustomResourceDefinition", "Namespace", "ClusterRoleBinding", "ValidatingAdmissionPolicy"} <= kinds


@pytest.mark.parametrize("one", crds.DEFINITIONS, ids=lambda one: one.resource.kind)
def test_a_definition_is_cluster_scoped_with_status_and_category(one: crds.Definition) -> None:
    spec = crds.manifest(one)["spec"]
    (version,) = spec["versions"]
    assert spec["scope"] == "Cluster" and spec["names"]["categories"] == ["exuvia"]
    assert version["subresources"] == {"status": {}} and version["additionalPrinterColumns"][-1]["name"] == "Age"


def test_a_policy_shows_in_wide_how_many_machines_are_unknown() -> None:
    """Neither compliant nor violating: nobody would look for them otherwise."""
    (policy,) = (one for one in crds.DEFINITIONS if one.short == "exsp")
    shown = crds.manifest(policy)["spec"]["versions"][0]["additionalPrinterColumns"]
    (unknown,) = (one for one in shown if one["name"] == "Unknown")
    assert unknown["jsonPath"] == ".status.instances.unknown" and unknown["priority"] == 1
    assert "unknown" in InstanceCounts.model_fields
