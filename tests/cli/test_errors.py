"""What is missing is said in one sentence with the next step: no cluster, no rights, no kinds, no port."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exuvia.localcluster.controlplane import ControlPlane
from tests.cli.calling import call

pytestmark = pytest.mark.cluster

READERS = (("status",), ("explain", "worker"), ("rotate", "worker"), ("pause", "--reason", "x"))
RUN = ("run", "--ledger", "LEDGER", "--evidence-dir", "EVIDENCE", "--http-host", "127.0.0.1", "--http-port", "PORT")
EVERY = pytest.mark.parametrize("command", [RUN, *READERS], ids=lambda one: one[0])


@pytest.fixture(scope="module")
def bare(executables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane that knows none of our kinds."""
    with ControlPlane(tmp_path_factory.mktemp("bare"), executables) as started:
        yield started


def said(folder: Path, kubeconfig: Path, command: tuple[str, ...], *, port: int = 0) -> str:
    """What a command says on stderr before it gives up; it must be one sentence with a next step."""
    words = {"LEDGER": str(folder / "ledger.db"), "EVIDENCE": str(folder / "evidence"), "PORT": str(port)}
    arguments = [words.get(one, one) for one in command]
    errs = _run(arguments, kubeconfig) if command is RUN else _read(arguments, kubeconfig)
    (line,) = [one for one in errs.splitlines() if one.startswith("error: ")]
    assert re.fullmatch(r"error: [^\n]+[.:`)/a-z]( [A-Z`][^\n]+)", line), f"no next step in: {line}"
    return line


def _read(arguments: list[str], kubeconfig: Path) -> str:
    return call(*arguments, code=2, env={"KUBECONFIG": str(kubeconfig)}).stderr


def _run(arguments: list[str], kubeconfig: Path) -> str:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("EXUVIA_", "KUBE"))}
    done = subprocess.run(
        [sys.executable, "-m", "exuvia.cli.main", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=40,
        env=clean | {"KUBECONFIG": str(kubeconfig), "NO_COLOR": "1"},
    )
    assert done.returncode > 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done.stderr


@EVERY
def test_no_kubeconfig(tmp_path: Path, command: tuple[str, ...]) -> None:
    line = said(tmp_path, tmp_path / "none", command)

    assert "There is no kubeconfig at" in line
    assert "--kubeconfig" in line


@EVERY
def test_a_kubeconfig_that_is_none(tmp_path: Path, command: tuple[str, ...]) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("clusters: [}")

    assert "cannot be used" in said(tmp_path, wrong, command)


@EVERY
def test_no_server(tmp_path: Path, plane: ControlPlane, command: tuple[str, ...]) -> None:
    dead = tmp_path / "dead"
    dead.write_text(plane.kubeconfig.read_text().replace(plane.server, "https://127.0.0.1:1"))

    line = said(tmp_path, dead, command)

    assert "127.0.0.1:1" in line
    assert "does not answer" in line


@EVERY
def test_no_rights(tmp_path: Path, plane: ControlPlane, command: tuple[str, ...]) -> None:
    assert "forbidden" in said(tmp_path, plane.issue_kubeconfig("nobody"), command)


@pytest.mark.parametrize("command", [RUN, ("status",), ("pause", "--reason", "x")], ids=lambda one: one[0])
def test_our_kinds_are_missing(tmp_path: Path, bare: ControlPlane, command: tuple[str, ...]) -> None:
    line = said(tmp_path, bare.kubeconfig, command)

    assert "does not know" in line
    assert "kubectl apply --server-side -k crds/" in line


def test_a_port_that_is_taken(tmp_path: Path, plane: ControlPlane) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        line = said(tmp_path, plane.kubeconfig, RUN, port=port)

    assert f"Port {port} cannot be listened on" in line
    assert "--http-port" in line
