"""`make kind`: what is missing is said with the way out, and with everything there the steps come in their order."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.calling import ROOT

KIND = ROOT / "deploy" / "kind"
NEEDED = ("sh", "sed", "grep", "cat", "dirname")


def _up(tmp_path: Path, tools: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run up.sh with these tools alone on the PATH; each is a shell script that notes how it was called."""
    for name in NEEDED:
        found = shutil.which(name)
        assert found, name
        (tmp_path / name).symlink_to(found)
    for name, script in tools.items():
        (tmp_path / name).write_text(f'#!/bin/sh\necho "{name} $*" >> "{tmp_path}/calls"\n{script}\n', encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    command = [str(tmp_path / "sh"), str(KIND / "up.sh")]
    return subprocess.run(
        command, env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("tools", "message"),
    [
        ({}, "kind is not installed"),
        ({"kind": ""}, "kubectl is not installed"),
        ({"kind": "", "kubectl": ""}, "No container engine answers"),
        ({"kind": "", "kubectl": "", "docker": "exit 1"}, "No container engine answers"),
    ],
)
def test_what_is_missing_is_said_with_the_way_out(tmp_path: Path, tools: dict[str, str], message: str) -> None:
    done = _up(tmp_path, tools)
    assert done.returncode == 2 and message in done.stderr and "make demo" in done.stderr


def test_the_steps_come_in_their_order(tmp_path: Path) -> None:
    done = _up(tmp_path, {"kind": "", "kubectl": "", "docker": ""})
    assert done.returncode == 0, done.stderr
    calls = [line.replace(str(ROOT), ".") for line in (tmp_path / "calls").read_text("utf-8").splitlines()]
    image = next(
        one["spec"]["template"]["spec"]["containers"][0]["image"]
        for one in yaml.safe_load_all((ROOT / "deploy/base/deployment.yaml").read_text("utf-8"))
        if one["kind"] == "Deployment"
    )
    assert calls == [
        "docker info",
        "kind get clusters",
        "kind create cluster --name exuvia --config ./deploy/kind/cluster.yaml --wait 120s",
        f"docker build --tag {image} .",
        f"kind load docker-image {image} --name exuvia",
        "kubectl --context kind-exuvia apply -k ./deploy",
        "kubectl --context kind-exuvia -n exuvia-system rollout restart deployment/exuvia",
        "kubectl --context kind-exuvia -n exuvia-system rollout status deployment/exuvia --timeout=180s",
    ]


def test_an_existing_cluster_is_used(tmp_path: Path) -> None:
    done = _up(tmp_path, {"kind": '[ "$1" = get ] && echo exuvia || true', "kubectl": "", "docker": ""})
    assert done.returncode == 0, done.stderr
    assert "kind create" not in (tmp_path / "calls").read_text("utf-8")


def test_the_cluster_has_a_pool_in_two_zones() -> None:
    nodes = yaml.safe_load((KIND / "cluster.yaml").read_text("utf-8"))["nodes"]
    workers = [one["labels"] for one in nodes if one["role"] == "worker"]
    assert {one["exuvia.dev/pool"] for one in workers} == {"workers"}
    assert len({one["topology.kubernetes.io/zone"] for one in workers}) == 2
