"""The control plane comes up quickly, stops cleanly, lives beside others, and never outlives its parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from exuvia import errors
from exuvia.localcluster import processes
from exuvia.localcluster.components import Options
from exuvia.localcluster.controlplane import STATE_FILE, ControlPlane

pytestmark = pytest.mark.cluster

_PARENT = """
import sys, time
from pathlib import Path
from exuvia.localcluster.controlplane import ControlPlane
plane = ControlPlane(Path(sys.argv[1]), Path(sys.argv[2]))
plane.start()
print("up", flush=True)
time.sleep(600)
"""


def _identities(folder: Path) -> list[processes.Identity]:
    state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
    return [processes.Identity(**one) for one in state["processes"]]


def _all_gone(identities: list[processes.Identity], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(one.alive() for one in identities):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_second_one_comes_up_beside_the_first_and_stops_without_a_trace(
    plane: ControlPlane, executables: Path, tmp_path: Path
) -> None:
    began = time.monotonic()
    with ControlPlane(tmp_path / "second", executables) as second:
        took = time.monotonic() - began
        identities = _identities(second.folder)
        assert second.server != plane.server
        assert set(second.components().values()) == {True}
        uid = "-o=jsonpath={.metadata.uid}"
        assert second.kubectl("get", "ns", "default", uid) != plane.kubectl("get", "ns", "default", uid)

    assert took < 30
    assert not any(one.alive() for one in identities)
    assert not (tmp_path / "second" / STATE_FILE).exists()
    assert plane.kubectl("get", "--raw", "/readyz") == "ok"


def test_an_identity_of_ones_own_has_only_the_rights_it_is_given(plane: ControlPlane) -> None:
    stranger = plane.issue_kubeconfig("stranger", ["visitors"])

    done = plane.kubectl_run("get", "nodes", kubeconfig=stranger)

    assert done.returncode == 1
    assert 'User "stranger" cannot list resource "nodes"' in done.stderr
    assert json.loads(plane.kubectl("auth", "whoami", "-o", "json", kubeconfig=stranger))["status"]["userInfo"][
        "groups"
    ] == ["visitors", "system:authenticated"]


def test_what_users_do_is_in_the_audit_log(plane: ControlPlane) -> None:
    plane.kubectl("create", "configmap", "audited", "-n", "default")
    plane.kubectl("delete", "configmap", "audited", "-n", "default")

    lines = [json.loads(line) for line in plane.audit_log.read_text(encoding="utf-8").splitlines()]

    verbs = {one["verb"] for one in lines if one.get("objectRef", {}).get("name") == "audited"}
    assert "delete" in verbs


def test_a_killed_parent_leaves_nothing_behind(executables: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _PARENT, str(tmp_path), str(executables)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "up\n"
        identities = _identities(tmp_path)
        assert all(one.alive() for one in identities)
        os.kill(parent.pid, signal.SIGKILL)

    assert _all_gone(identities, seconds=10)


def test_a_component_that_cannot_run_is_named_with_its_last_words(executables: Path, tmp_path: Path) -> None:
    options = Options(api_flags=("--no-such-flag=1",), kwok=False)
    with pytest.raises(errors.SettingsError, match=r"kube-apiserver ended: .*unknown flag: --no-such-flag") as caught:
        ControlPlane(tmp_path, executables, options).start()

    assert "kube-apiserver.log" in caught.value.remedy
    assert not (tmp_path / STATE_FILE).exists(), "what had been started was stopped again"


def test_another_system_than_linux_is_refused_in_words(
    executables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")

    with pytest.raises(errors.SettingsError, match=r"needs Linux, this is Darwin\."):
        ControlPlane(tmp_path, executables).start()
