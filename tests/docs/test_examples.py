"""Every example is right: for `exuvia lint`, for the real API server, and for the engine that judges by it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from exuvia.app.manifests import crds
from exuvia.cli.main import exuvia
from exuvia.evaluate import judge
from exuvia.evaluate.expressions import Outcome, Programs, instance_seen
from exuvia.evaluate.policies import CompiledPolicy, compile_policy
from exuvia.localcluster import fleet
from exuvia.localcluster.controlplane import ControlPlane
from exuvia.model import marks
from exuvia.model.findings import Assessment, Result, Verdict
from exuvia.model.learnt import Learnt, RiskFigure, SeatSign, SeatState
from exuvia.model.specs.fleet_guard import FleetGuard
from exuvia.model.specs.security_policy import Mode, SecurityPolicy
from exuvia.observe import nodes
from tests.docs import pages
from tests.docs.pages import EXAMPLES, ROOT, Block

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
KINDS = {one.resource.kind for one in crds.DEFINITIONS}


def _bodies(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def _policies() -> list[Any]:
    found = [(path.name, one) for path in EXAMPLES for one in _bodies(path) if one["kind"] == SecurityPolicy.KIND]
    return [pytest.param(body, id=name) for name, body in found]


def _example(name: str) -> dict[str, Any]:
    (body,) = _bodies(ROOT / "examples" / name)
    return body


def test_there_is_an_example_of_every_kind() -> None:
    ours = [one for path in EXAMPLES for one in _bodies(path) if one["apiVersion"].startswith(marks.GROUP)]
    assert {one["kind"] for one in ours} == KINDS


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda one: one.name)
def test_lint_finds_nothing(path: Path) -> None:
    done = CliRunner().invoke(exuvia, ["lint", str(path)])
    assert (done.exit_code, done.stdout) == (0, "")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda one: one.name)
def test_every_example_says_what_it_is_for(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# ")


@pytest.mark.cluster
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda one: one.name)
def test_the_api_server_accepts_it(plane: ControlPlane, path: Path) -> None:
    done = plane.kubectl_run("apply", "--dry-run=server", "--validate=strict", "-f", str(path))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.cluster
@pytest.mark.parametrize("block", pages.blocks("yaml"), ids=lambda one: one.id)
def test_the_api_server_accepts_every_whole_manifest_of_the_docs(plane: ControlPlane, block: Block) -> None:
    bodies = [one for one in yaml.safe_load_all(block.text) if one.get("metadata")]
    for body in bodies:
        done = plane.kubectl_run(
            "apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump(body)
        )
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.cluster
def test_the_overlay_of_the_docs_names_the_image(plane: ControlPlane, tmp_path: Path) -> None:
    (block,) = [one for one in pages.blocks("yaml") if "kind: Kustomization" in one.text]
    for folder in ("crds", "deploy"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    mine = tmp_path / "deploy/overlays/mine"
    mine.mkdir()
    (mine / "kustomization.yaml").write_text(block.text, encoding="utf-8")
    assert "image: registry.example.com/exuvia:0.1.0\n" in plane.kubectl("kustomize", str(mine))


@pytest.mark.cluster
def test_the_questions_that_the_docs_ask_kubectl_are_understood(plane: ControlPlane) -> None:
    """Whatever only reads, as it stands there."""
    asked = [words for page in pages.PAGES for _, words in pages.calls(page, "kubectl") if _reads(words)]
    assert len(asked) > 8
    for words in asked:
        done = plane.kubectl_run(*words)
        assert done.returncode == 0 or "not found" in done.stderr, f"{words}: {done.stderr}"


def _reads(words: list[str]) -> bool:
    return words[:1] in (["get"], ["describe"]) and not {"-w", "--watch"} & set(words)


def _compiled(body: dict[str, Any]) -> CompiledPolicy:
    made = compile_policy(SecurityPolicy.parse({**body, "metadata": {**body["metadata"], "uid": "P", "generation": 1}}))
    assert isinstance(made, CompiledPolicy), made
    return made


def _node(**facts: Any) -> dict[str, Any]:
    """A Node as the API serves it, an hour old unless it says else."""
    age = facts.pop("age", timedelta(hours=1))
    body = fleet.node(fleet.Machine(name="worker-7", **{"zone": "a", **facts}), NOW)
    born = (NOW - age).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {**body, "metadata": {**body["metadata"], "uid": "N", "creationTimestamp": born}}


def _learnt(sign: SeatSign, worst: str) -> Learnt:
    risk = RiskFigure(worst=Fraction(worst), present=1, scanned=True)
    return Learnt(seats={_example("antivirus-seats.yaml")["metadata"]["name"]: sign}, risk=risk)


SEATED = SeatSign(state=SeatState.HELD)


def _judged(body: dict[str, Any], node: dict[str, Any], learnt: Learnt | None = None) -> Assessment:
    policy, instance = _compiled(body), replace(nodes.from_body(node), learnt=learnt or _learnt(SEATED, "5"))
    outcomes: dict[str, Outcome] = Programs(policy.spec).evaluate(node, instance_seen(instance), NOW)
    assert policy.selects(instance), "the example selects the machine that it is tried on"
    return judge.judge(policy, instance, outcomes, NOW)


def _results(name: str, **facts: Any) -> dict[str, Result]:
    body = _example(name)
    wanted = body["spec"]["target"]["selector"].get("matchLabels", {})
    facts["labels"] = {**wanted, **facts.get("labels", {})}
    return {one.rule: one.result for one in _judged(body, _node(**facts)).findings}


GOOD = fleet.Image(
    os_image="Talos (v1.12.0)", kubelet="v1.36.3", kernel="6.12.0", container_runtime="containerd://2.1.4"
)
AGENT = {"agent.example.org/version": "2.4.1"}


@pytest.mark.parametrize("body", _policies())
def test_a_good_machine_complies(body: dict[str, Any]) -> None:
    wanted = body["spec"]["target"]["selector"].get("matchLabels", {})
    assessment = _judged(body, _node(image=GOOD, labels={**wanted, **AGENT}))
    assert assessment.verdict is Verdict.COMPLIANT, assessment.findings


def test_what_production_workers_finds() -> None:
    name = "production-workers.yaml"
    old = _results(name, image=GOOD, age=timedelta(hours=721))
    assert old == {"max-age": Result.FAIL, "versions": Result.PASS, "image": Result.PASS}
    alpha = fleet.Image(os_image="Talos (v1.12.0-alpha.1)", kubelet="v1.35.1")
    assert _results(name, image=alpha) == {"max-age": Result.PASS, "versions": Result.FAIL, "image": Result.FAIL}


def test_what_suspicious_nodes_finds() -> None:
    marked = _results("suspicious-nodes.yaml", labels={"exuvia.example/suspicious": "true"})
    assert marked == {"marked": Result.FAIL, "tampered": Result.SKIP}
    body = _node()
    since = (NOW - timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    body["status"]["conditions"].append({"type": "FilesystemTampered", "status": "True", "lastTransitionTime": since})
    (finding,) = _judged(_example("suspicious-nodes.yaml"), body).failing
    assert (finding.rule, str(finding.action), str(finding.severity)) == ("tampered", "Quarantine", "Critical")


def test_what_desktops_finds() -> None:
    def results(sign: SeatSign, worst: str) -> list[Result]:
        node = _node(labels={"desktop": "true"})
        return [one.result for one in _judged(_example("desktops.yaml"), node, _learnt(sign, worst)).findings]

    assert results(SEATED, "7") == [Result.PASS, Result.PASS]
    assert results(SeatSign(state=SeatState.WAITING, since=NOW), "7.1") == [Result.FAIL, Result.FAIL]
    assert results(SeatSign(state=SeatState.UNKNOWN, message="?"), "0") == [Result.ERROR, Result.PASS]


def test_what_expressions_find() -> None:
    labels = {"debug.example.org/tcpdump": "on", "agent.example.org/version": "2.4.0"}
    found = _results("expressions.yaml", age=timedelta(hours=5), labels=labels, memory="4Gi")
    assert found == {
        "no-debug-leftovers": Result.FAIL,
        "agent-patched": Result.FAIL,
        "enough-memory": Result.FAIL,
        "one-provider": Result.PASS,
        "settled-in-a-day": Result.PASS,
    }
    assert _results("expressions.yaml", age=timedelta(hours=25))["settled-in-a-day"] is Result.FAIL
    assert _results("expressions.yaml")["agent-patched"] is Result.ERROR, "without the label nobody knows"
    body = _node(labels={"pool": "production", **labels}, age=timedelta(hours=5), memory="4Gi")
    said = {one.rule: one.message for one in _judged(_example("expressions.yaml"), body).findings}
    assert said["no-debug-leftovers"] == "kept debug labels for 5 hours"
    assert said["enough-memory"] == "only 4Gi of memory"


def test_the_first_example_touches_nothing() -> None:
    assert _compiled(_example("audit-everything.yaml")).spec.mode is Mode.AUDIT


def test_the_fleet_guard_is_the_default_one() -> None:
    given = FleetGuard.parse(_example("fleet-guard.yaml")).spec
    defaults = FleetGuard.parse({"metadata": {"name": "default"}}).spec
    assert given == defaults.model_copy(update={"max_per_hour": "20"})


def test_the_feeds_run_restricted_beside_the_operator() -> None:
    pod = _example("feeds-cronjob.yaml")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    deployment = next(one for one in _bodies(ROOT / "deploy/base/deployment.yaml") if one["kind"] == "Deployment")
    operator = deployment["spec"]["template"]
    (near,) = pod["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert near["labelSelector"]["matchLabels"].items() <= operator["metadata"]["labels"].items()
    assert pod["securityContext"] == operator["spec"]["securityContext"]
    assert pod["automountServiceAccountToken"] is False
    own = operator["spec"]["containers"][0]
    for one in (*pod["initContainers"], *pod["containers"]):
        assert one["securityContext"] == own["securityContext"], one["name"]
    assert {one["image"] for one in pod["containers"]} == {own["image"]}
    assert [one["volumeMounts"] for one in pod["initContainers"]] == [[{"name": "feeds", "mountPath": "/feeds"}]]


def test_examples_by_hand_name_a_uid() -> None:
    for name in ("rotate-by-hand.yaml", "quarantine-by-hand.yaml"):
        assert _example(name)["spec"]["instance"]["uid"]
        assert not _example(name)["metadata"].get("finalizers"), f"{marks.FINALIZER} is put on by exuvia"
