"""`exuvia dev up`, `status` and `down`: detached, several side by side, nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from exuvia.localcluster.controlplane import ControlPlane

pytestmark = pytest.mark.cluster


def _exuvia(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "exuvia.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_up_status_and_down(executables: Path, tmp_path: Path) -> None:
    folder = tmp_path / "dev"
    up = _exuvia("dev", "up", "--cloud", "--folder", str(folder), "--binaries", str(executables))
    try:
        _check_running(folder, up, executables)
        again = _exuvia("dev", "up", "--folder", str(folder))
        assert again.returncode == 2
        assert again.stderr.startswith(f"error: There is a control plane in {folder}. Stop and remove it with")
        _check_a_lost_component_is_seen(folder)
        (folder / "ledger.db").write_text("of the operator")
    finally:
        down = _exuvia("dev", "down", "--folder", str(folder))

    removed, kept = down.stdout.splitlines()
    assert removed == f"stopped and removed the control plane in {folder}"
    assert kept == f"kept in {folder}, which is not of it (a ledger, evidence): ledger.db"
    (folder / "ledger.db").unlink()
    folder.rmdir()
    assert not folder.exists()
    nothing = _exuvia("dev", "status", "--folder", str(folder))
    assert (nothing.returncode, nothing.stdout) == (1, f"no control plane in {folder}\n")
    assert _exuvia("dev", "down", "--folder", str(folder)).returncode == 0, "down twice is fine"


def _check_running(folder: Path, up: subprocess.CompletedProcess[str], executables: Path) -> None:
    assert up.returncode == 0, up.stderr
    variables = dict(line.removeprefix("export ").split("=", 1) for line in up.stdout.splitlines())
    assert set(variables) == {"KUBECONFIG", "EXUVIA_SIMULATED_CLOUD"}
    with urllib.request.urlopen(f"{variables['EXUVIA_SIMULATED_CLOUD']}/healthz", timeout=5) as answer:
        assert answer.status == 200
    command = [str(executables / "kubectl"), "get", "rotations"]
    environment = {**os.environ, "KUBECONFIG": variables["KUBECONFIG"]}
    served = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "No resources found" in served.stderr
    status = _exuvia("dev", "status", "--folder", str(folder))
    assert status.returncode == 0
    assert status.stdout.count("running") == 6
    assert status.stdout.endswith(up.stdout)


def _check_a_lost_component_is_seen(folder: Path) -> None:
    plane = ControlPlane.attach(folder)
    assert plane is not None
    plane.stop_process("kube-scheduler", kill=True)

    status = _exuvia("dev", "status", "--folder", str(folder))

    assert status.returncode == 1
    assert "kube-scheduler           gone" in status.stdout
