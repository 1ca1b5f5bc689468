"""The walk of docs/local-cluster.md, run as it stands there, but for a port that nobody else has."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import pages
from tests.docs.pages import ROOT


@pytest.mark.cluster
@pytest.mark.slow
def test_the_walk_goes_as_it_is_told(executables: Path, tmp_path: Path) -> None:
    (block,) = [one for one in pages.blocks("sh") if one.page.name == "local-cluster.md"]
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    given = {**os.environ, "PATH": programs, "EXUVIA_BINARIES": str(executables), "TMPDIR": str(tmp_path)}
    try:
        done = _run(
            ["timeout", "--kill-after=20", "240", "bash", "-c", block.text.replace("18080", _free_port())], given
        )
        (walk,) = tmp_path.glob("tmp.*")
        told = f"{done.stdout}\n{done.stderr}\n{(walk / 'log').read_text(encoding='utf-8')[-4000:]}"
        assert done.returncode == 0, told
        assert done.stdout.count("Succeeded") == 3, told
        assert "is sound: " in done.stdout, told
        assert "stopped and removed the control plane" in done.stdout, told
        assert not (walk / "plane").exists()
    finally:
        for folder in tmp_path.glob("tmp.*/plane"):
            _run(["exuvia", "dev", "down", "--folder", str(folder)], given)


def _run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)


def _free_port() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])
