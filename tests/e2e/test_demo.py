"""`exuvia demo`: the story comes true within three minutes, told in plain lines where there is no terminal."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.cluster, pytest.mark.proof, pytest.mark.timeout(300)]


def test_the_story_comes_true(executables: Path, tmp_path: Path) -> None:
    """Exit code 0 in under 180 s, no control characters, and nothing of it left running."""
    folder = tmp_path / "demo"
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("EXUVIA_", "KUBE"))}
    began = time.monotonic()

    done = subprocess.run(
        [sys.executable, "-m", "exuvia.cli.main", "demo", "--folder", str(folder), "--binaries", str(executables)],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
        env=clean,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - began < 180
    assert "The story came true" in done.stdout
    assert not [one for one in done.stdout if one < " " and one != "\n"], "control characters without a terminal"
    assert running_in(folder) == []


def running_in(folder: Path) -> list[str]:
    """Command lines of processes that name the folder."""
    found = []
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = one.read_bytes().decode(errors="replace").replace("\0", " ")
        except OSError:
            continue
        if str(folder) in words:
            found.append(words)
    return found
